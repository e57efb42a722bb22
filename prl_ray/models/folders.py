"""Folders that are written atomically, and the user's cache for derived models."""

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
    # The XDG specification requires that a relative path here is ignored.
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".cache"
    return root / "prl_ray"


@contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields an empty folder next to ``folder``; it is renamed to ``folder`` when the block ends without an error.

    If another process has created ``folder`` in the meantime, that one is kept: both were made from the same input.
    After an error in the block nothing remains.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield aside
        aside.chmod(0o755)  # mkdtemp makes it private
        _rename_unless_there(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def replaced_whole(folder: Path) -> Iterator[Path]:
    """As ``written_whole``, but an existing ``folder`` is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        yield aside
        aside.chmod(0o755)  # mkdtemp makes it private
        replace_folder(aside, folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def replace_folder(aside: Path, final: Path) -> None:
    """Renames ``aside`` to ``final``; a process killed at any moment leaves ``final``, or the earlier folder under the
    name ``.NAME.old.part``."""
    old = final.with_name(f".{final.name}.old.part")
    shutil.rmtree(old, ignore_errors=True)
    if final.exists():
        final.rename(old)
    aside.rename(final)
    shutil.rmtree(old, ignore_errors=True)


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name, or a copy of it where the file system has no hard links."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)


def lift(inner: Path) -> None:
    """Moves the files of ``inner`` into its parent folder and removes ``inner``."""
    for file in inner.iterdir():
        file.rename(inner.parent / file.name)
    inner.rmdir()


def _rename_unless_there(source: Path, target: Path) -> None:
    try:
        source.rename(target)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
