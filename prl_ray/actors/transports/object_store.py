"""Weights through Ray's object store: one ``ray.put``, one copy per node, read from shared memory.

Tensors travel as numpy arrays, which Ray hands out without a copy; bfloat16, which numpy lacks, travels as its bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray

from prl_ray.actors.weights import Route, WeightTransport, distinct, reload_weights

if TYPE_CHECKING:
    from torch import Tensor
    from vllm import LLM

    from prl_ray.actors.handles import Ref


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """A state dict in the object store."""

    arrays: dict[str, NDArray[np.generic]]
    dtypes: dict[str, str]
    """torch dtype names, such as ``bfloat16``."""
    aliases: dict[str, str]
    """Tied weights: name -> the name that holds the array."""


@dataclass(frozen=True, slots=True)
class Stored:
    """The ticket. The ref lies inside an object, so that Ray passes the ref and not its value."""

    ref: Ref[PackedWeights]


class ObjectStore(WeightTransport):
    """The default: fast within a node, and needs nothing but Ray."""

    def __init__(self, route: Route) -> None:
        pass

    def send(self, version: int, state: Mapping[str, Tensor], dtype: torch.dtype) -> Stored:
        """Puts the packed weights into this node's object store. Earlier ones go when no engine holds their ref."""
        from prl_ray.actors.handles import put

        return Stored(put(pack(state, dtype)))

    def load(self, engine: LLM, ticket: object) -> None:
        """Reads the weights from this node's object store."""
        from prl_ray.actors.handles import get

        reload_weights(engine, unpack(get(cast("Stored", ticket).ref)))


def pack(state: Mapping[str, Tensor], dtype: torch.dtype) -> PackedWeights:
    """The arrays of a state dict, floating-point tensors in ``dtype``."""
    tensors, aliases = distinct(state, dtype)
    arrays = {n: (t.view(torch.int16) if t.dtype == torch.bfloat16 else t).numpy() for n, t in tensors.items()}
    return PackedWeights(arrays, {n: str(t.dtype).removeprefix("torch.") for n, t in tensors.items()}, aliases)


def unpack(packed: PackedWeights) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors, tied ones under every name. The tensors are views of shared memory: read only."""
    for name, array in packed.arrays.items():
        yield name, _tensor(array, packed.dtypes[name])
    for name, source in packed.aliases.items():
        yield name, _tensor(packed.arrays[source], packed.dtypes[source])


def _tensor(array: NDArray[np.generic], dtype: str) -> Tensor:
    with warnings.catch_warnings():
        # Object-store arrays are not writable, and nothing here writes to them.
        warnings.simplefilter("ignore", UserWarning)
        tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
