"""Weights through a file system that all nodes share: one folder per version, in shards of safetensors.

A folder gets its name when all of its files are on the disk, so that an engine reads all of a version or nothing.
``index.json`` names the shards and the tied weights.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict, cast

from prl_ray.actors.weights import Route, WeightTransport, reload_weights
from prl_ray.errors import ModelError
from prl_ray.models.folders import written_whole
from prl_ray.models.named_weights import Weight, in_main_memory, in_shards
from prl_ray.plugins import Bounds

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from vllm import LLM

INDEX = "index.json"
KEPT = 2
"""Versions that stay: the newest, and the one before it, which an engine that Ray restarts may still be given."""
VERSION = re.compile(r"version_(\d+)(_\d+)?")


class Index(TypedDict):
    """``index.json``."""

    shards: list[str]
    aliases: dict[str, str]
    """Tied weights: name -> the name in a shard."""


def filesystem(
    route: Route, *, folder: str = "", shard_mb: Annotated[int, Bounds(low=1)] = 1024
) -> FilesystemTransport:
    """The transport of this name.

    Args:
        route: Of the run.
        folder: A folder on a file system that all nodes share; empty for ``weights`` in the run folder.
        shard_mb: Greatest size of a file in MB; a larger tensor has a file of its own.
    """
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
        aliases: dict[str, str] = {}
        for left in self.folder.glob(".version_*"):  # of a learner that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
        target = self._free(version)
        with written_whole(target) as aside:
            parts = in_shards(in_main_memory(weights, dtype), self.shard_bytes, aliases)
            shards = [_write(aside, number, shard) for number, shard in enumerate(parts)]
            index: Index = {"shards": shards, "aliases": aliases}
            (aside / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
            _sync(aside / INDEX)
        # The clock of another node, on which the learner ran before, may be ahead.
        for old in [path for path in self._versions() if path != target][: 1 - KEPT]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def load(self, engine: LLM, ticket: object) -> None:
        """Reads a version's files, one tensor at a time."""
        reload_weights(engine, read(cast("Path", ticket)))

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


def read(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors of a version, tied ones under every name.

    Raises:
        ModelError: the folder is not there, or not readable.
    """
    from safetensors import SafetensorError, safe_open

    try:
        index: Index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        aliases: dict[str, list[str]] = {}
        for name, source in index["aliases"].items():
            aliases.setdefault(source, []).append(name)
        for shard in index["shards"]:
            with safe_open(folder / shard, framework="pt") as file:
                for name in file.keys():  # noqa: SIM118  # not a mapping
                    tensor = file.get_tensor(name)
                    for alias in (name, *aliases.get(name, ())):
                        yield alias, tensor
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"no weights to load in {folder} ({error}); cluster.weights=filesystem needs a folder that all nodes "
            "share: name it in cluster.weights_params.folder, or take cluster.weights=object_store"
        ) from error


def _write(folder: Path, number: int, tensors: dict[str, Tensor]) -> str:
    from safetensors.torch import save_file

    name = f"shard_{number:05d}.safetensors"
    save_file(tensors, folder / name)
    _sync(folder / name)
    return name


def _sync(path: Path) -> None:
    """Waits until a file is on the disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
