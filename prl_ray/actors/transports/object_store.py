"""Weights through Ray's object store: one copy per node, read from shared memory.

Tensors travel as numpy arrays, which Ray hands out without a copy; bfloat16, which numpy lacks, travels as its bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

from prl_ray.actors.weights import Route, WeightTransport, reload_weights
from prl_ray.models.named_weights import Weight, in_main_memory, in_shards

if TYPE_CHECKING:
    from torch import Tensor
    from vllm import LLM

    from prl_ray.actors.handles import Ref


SHARD_BYTES = 1 << 28
"""Greatest size of an object in the store, if no single tensor is larger. The sender holds one such part at a time."""


@dataclass(frozen=True, slots=True)
class Packed:
    """Some weights as they lie in the object store."""

    arrays: dict[str, NDArray[np.generic]]
    dtypes: dict[str, str]
    """torch dtype names, such as ``bfloat16``."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The ticket. The refs lie inside an object, so that Ray passes the refs and not their values."""

    parts: tuple[Ref[Packed], ...]
    aliases: dict[str, str]
    """Tied weights: name -> the name that holds the array."""


class ObjectStore(WeightTransport):
    """The default: fast within a node, and needs nothing but Ray."""

    def __init__(self, route: Route) -> None:
        self.ranks = route.ranks

    def send(self, version: int, weights: Iterable[Weight], dtype: torch.dtype) -> Stored:
        """Puts the packed weights into this node's object store. Earlier ones go when no engine holds their refs."""
        from prl_ray.actors.handles import put

        aliases: dict[str, str] = {}
        parts = tuple(put(part) for part in pack(weights, dtype, aliases))
        return Stored(parts, aliases)

    def fetch(self, ticket: object) -> None:
        """Brings the parts to this node's object store. A part that is lost is noticed by ``load``."""
        import ray

        parts = list(cast("Stored", ticket).parts)
        ray.wait(parts, num_returns=len(parts), fetch_local=True)

    def load(self, engine: LLM, ticket: object) -> None:
        """Reads the weights from this node's object store, one part at a time."""
        from prl_ray.actors.handles import get

        stored = cast("Stored", ticket)
        reload_weights(engine, unpack((get(part) for part in stored.parts), stored.aliases), self.ranks)


def pack(
    weights: Iterable[Weight], dtype: torch.dtype, aliases: dict[str, str], shard_bytes: int = SHARD_BYTES
) -> Iterator[Packed]:
    """The arrays of a model's weights, floating-point ones in ``dtype``; ``aliases`` as for ``in_shards``."""
    for part in in_shards(in_main_memory(weights, dtype), shard_bytes, aliases):
        arrays = {n: (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy() for n, t in part.items()}
        yield Packed(arrays, {n: str(t.dtype).removeprefix("torch.") for n, t in part.items()})


def unpack(parts: Iterable[Packed], aliases: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors, tied ones under every name. The tensors are views of shared memory: read only."""
    others: dict[str, list[str]] = {}
    for name, source in aliases.items():
        others.setdefault(source, []).append(name)
    for part in parts:
        for name, array in part.arrays.items():
            tensor = _tensor(array, part.dtypes[name])
            for each in (name, *others.get(name, ())):
                yield each, tensor


def _tensor(array: NDArray[np.generic], dtype: str) -> Tensor:
    with warnings.catch_warnings():
        # Object-store arrays are not writable, and nothing here writes to them.
        warnings.simplefilter("ignore", UserWarning)
        tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
