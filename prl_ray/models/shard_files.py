"""Weights as a folder of shards that this program reads again: safetensors, and ``index.json`` with the shards and the
tied weights. Folders for others, in Hugging Face's form, are written by ``prl_ray.models.saving``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from prl_ray.errors import ModelError
from prl_ray.models.named_weights import Weight, in_shards

if TYPE_CHECKING:
    from torch import Tensor

INDEX = "index.json"


class Index(TypedDict):
    """``index.json``."""

    shards: list[str]
    aliases: dict[str, str]
    """Tied weights: name -> the name in a shard."""


def write_folder(folder: Path, weights: Iterable[Weight], shard_bytes: int) -> None:
    """Writes weights that lie in main memory into a folder that exists; all of it is on the disk at the end."""
    aliases: dict[str, str] = {}
    shards = [_write(folder, number, shard) for number, shard in enumerate(in_shards(weights, shard_bytes, aliases))]
    index: Index = {"shards": shards, "aliases": aliases}
    (folder / INDEX).write_text(json.dumps(index, indent=1), encoding="utf-8")
    _sync(folder / INDEX)


def read_folder(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors that ``write_folder`` wrote, one tensor at a time, tied ones under every name.

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
