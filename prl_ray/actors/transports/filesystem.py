"""Weights through a file system that all nodes share: one folder per version, in shards of safetensors.

A folder gets its name when all of its files are on the disk, so that an engine reads all of a version or nothing.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from prl_ray.actors.weights import Route, WeightTransport, reload_folder
from prl_ray.errors import ConfigError
from prl_ray.models.folders import written_whole
from prl_ray.models.named_weights import Weight, in_main_memory
from prl_ray.models.shard_files import write_folder
from prl_ray.plugins import Bounds

if TYPE_CHECKING:
    import torch
    from vllm import LLM

KEPT = 2
"""Versions that stay: the newest, and the one before it, which an engine that Ray restarts may still be given."""
VERSION = re.compile(r"version_(\d+)(_\d+)?")


def filesystem(
    route: Route, *, folder: str = "", shard_mb: Annotated[int, Bounds(low=1)] = 1024
) -> FilesystemTransport:
    """The transport of this name.

    Args:
        route: Of the run.
        folder: A folder on a file system that all nodes share; empty for ``weights`` in the run folder.
        shard_mb: Greatest size of a file in MB; a larger tensor has a file of its own.

    Raises ``ConfigError`` for a relative ``folder``: actors do not run in the driver's working directory.
    """
    if folder and not Path(folder).is_absolute():
        raise ConfigError(f"config: cluster.weights_params.folder={folder} must be an absolute path")
    return FilesystemTransport(Path(folder) / route.folder.parent.name if folder else route.folder, shard_mb)


class FilesystemTransport(WeightTransport):
    """Files that outlive the learner: a restarted engine loads them also while the learner is down.

    Args:
        folder: Where the versions lie; made by the first ``send``.
        shard_mb: As for :func:`filesystem`.
    """

    def __init__(self, folder: Path, shard_mb: int) -> None:
        self.folder, self.shard_bytes = folder, shard_mb * 1_000_000

    def send(self, version: int, weights: Iterable[Weight], dtype: torch.dtype) -> Path:
        """Writes a version, and removes those before the last. Returns its folder."""
        for left in self.folder.glob(".version_*"):  # of a learner that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
        target = self._free(version)
        with written_whole(target) as aside:
            write_folder(aside, in_main_memory(weights, dtype), self.shard_bytes)
        # The clock of another node, on which the learner ran before, may be ahead.
        for old in [path for path in self._versions() if path != target][: 1 - KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def load(self, engine: LLM, ticket: object) -> None:
        """Each rank of the engine reads a version's files, one tensor at a time."""
        reload_folder(engine, cast("Path", ticket))

    def remove(self) -> None:
        """Removes all versions, and the folder if nothing else lies in it."""
        if not self.folder.is_dir():
            return
        for left in [*self._versions(), *self.folder.glob(".version_*")]:
            shutil.rmtree(left, ignore_errors=True)
        with suppress(OSError):
            self.folder.rmdir()

    def _free(self, version: int) -> Path:
        """A name for a version: a learner that resumed from a checkpoint sends versions again, with other weights."""
        target = self.folder / f"version_{version:08d}"
        number = 1
        while target.exists():
            target = self.folder / f"version_{version:08d}_{number}"
            number += 1
        return target

    def _versions(self) -> list[Path]:
        """The versions on the disk, in the order in which they were written; nothing else in the folder is ours."""
        found = [path for path in self.folder.iterdir() if VERSION.fullmatch(path.name)]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)
