"""Your own weight transport: one compressed file of ``torch.save`` per weight version.

A run selects it by its import path, with its parameters::

    cd examples
    python -m prl_ray.train experiment=smoke cluster.weights=own_transport:compressed \\
        cluster.weights_params.level=6

Run as a program, this file sends a small state dict and prints what an engine receives.
"""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import torch

from prl_ray.actors.weights import Route, WeightTransport, reload_weights
from prl_ray.models.named_weights import Weight, in_main_memory, named_weights
from prl_ray.plugins import Bounds


def compressed(route: Route, *, level: Annotated[int, Bounds(low=1, high=9)] = 1) -> Compressed:
    """Files in the run folder, compressed by ``gzip`` at ``level``."""
    return Compressed(route.folder, level)


class Compressed(WeightTransport):
    """The learner writes ``VERSION.pt.gz``; the file's path is the ticket, and every engine reads it."""

    def __init__(self, folder: Path, level: int) -> None:
        self.folder, self.level = folder, level

    def send(self, version: int, weights: Iterable[Weight], dtype: torch.dtype) -> Path:
        """Writes the newest version and keeps the previous one, which a restarted engine may still load."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{version}.pt.gz"
        aside = path.with_suffix(".part")
        tensors: dict[str, torch.Tensor] = {}
        aliases: dict[str, str] = {}
        for weight in in_main_memory(weights, dtype):
            if weight.same_as:
                aliases[weight.name] = weight.same_as
            else:
                tensors[weight.name] = weight.value
        with gzip.open(aside, "wb", self.level) as file:
            torch.save((tensors, aliases), cast("BinaryIO", file))
        aside.replace(path)
        (self.folder / f"{version - 2}.pt.gz").unlink(missing_ok=True)
        return path

    def load(self, engine: object, ticket: object) -> None:
        """Loads every tensor into the engine, under each of its names."""
        assert isinstance(ticket, Path)
        with gzip.open(ticket, "rb") as file:
            tensors, aliases = torch.load(cast("BinaryIO", file), weights_only=True)
        reload_weights(engine, _named(tensors, aliases))


def _named(tensors: Mapping[str, torch.Tensor], aliases: Mapping[str, str]) -> Iterator[tuple[str, torch.Tensor]]:
    yield from tensors.items()
    yield from ((name, tensors[source]) for name, source in aliases.items())


class Shown:
    """Takes the place of an engine."""

    def collective_rpc(self, method: str, kwargs: dict[str, Iterator[tuple[str, torch.Tensor]]]) -> None:
        """Prints the names and sums of the weights."""
        for name, tensor in kwargs["weights_iterator"]:
            print(f"{method}: {name} {tensor.sum().item():g}")


def main() -> None:
    """Sends a state dict with tied embeddings."""
    with tempfile.TemporaryDirectory() as folder:
        transport = compressed(Route(Path(folder)))
        shared = torch.ones(3, 2)
        state = {"embed": shared, "body": 2 * torch.ones(2), "head": shared}
        ticket = transport.send(1, named_weights(state), torch.float32)
        transport.load(Shown(), ticket)


if __name__ == "__main__":
    main()
