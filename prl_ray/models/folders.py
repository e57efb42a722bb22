"""Folders that appear whole or not at all, and the user's cache where derived models live."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def user_cache() -> Path:
    """``$XDG_CACHE_HOME/prl_ray``, by default ``~/.cache/prl_ray``. Not created here."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG specification says that a relative path here is to be ignored.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "prl_ray"


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder next to ``folder`` that takes its name when the block ends without an error.

    Where another process made ``folder`` in the meantime, theirs stays and ours is dropped: both were made from the
    same input. An error in the block leaves nothing behind.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield aside
        aside.chmod(0o755)  # mkdtemp makes it private
        _rename_unless_there(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def lift(inner: Path) -> None:
    """Moves the files of ``inner`` into the folder that holds it, and removes it."""
    for file in inner.iterdir():
        file.rename(inner.parent / file.name)
    inner.rmdir()


def _rename_unless_there(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
