"""How new weights travel from the learner to the engines.

Through the object store: rank 0 packs its state dict, one ``ray.put``, one copy a node; each engine reloads from its
node's shared memory. Packed tensors are numpy arrays, which Ray hands out without a copy; bfloat16, which numpy lacks,
travels as its bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True, slots=True)
class PackedWeights:
    """A state dict in the object store."""

    version: int
    arrays: dict[str, NDArray[np.generic]]
    dtypes: dict[str, str]
    """torch dtype names, such as ``bfloat16``."""
    aliases: dict[str, str]
    """Tied weights: name -> the name that holds the array. An engine is told both: one that only hears of the
    embedding answers OK and goes on serving the old output head."""
    probe_tokens: tuple[int, ...]
    """A text whose log-probabilities show that an engine really serves these weights."""
    probe_logprobs: NDArray[np.float32]
    """float32 ``[len(probe_tokens) - 1]``: what the learner gives each token but the first."""


def pack(
    state: Mapping[str, Tensor], dtype: torch.dtype
) -> tuple[dict[str, NDArray[np.generic]], dict[str, str], dict[str, str]]:
    """Arrays, dtypes and aliases of a state dict, floating-point tensors in ``dtype``."""
    arrays: dict[str, NDArray[np.generic]] = {}
    dtypes: dict[str, str] = {}
    aliases: dict[str, str] = {}
    holder: dict[int, str] = {}
    for name, tensor in state.items():
        if tensor.data_ptr() in holder and tensor.numel():
            aliases[name] = holder[tensor.data_ptr()]
            continue
        holder[tensor.data_ptr()] = name
        value = tensor.detach().to("cpu")
        value = (value.to(dtype) if value.is_floating_point() else value).contiguous()
        dtypes[name] = str(value.dtype).removeprefix("torch.")
        arrays[name] = (value.view(torch.int16) if value.dtype == torch.bfloat16 else value).numpy()
    return arrays, dtypes, aliases


def unpack(packed: PackedWeights) -> Iterator[tuple[str, Tensor]]:
    """Names and tensors, tied ones under every name. The tensors are views of shared memory: read only."""
    for name, array in packed.arrays.items():
        yield name, _tensor(array, packed.dtypes[name])
    for name, source in packed.aliases.items():
        yield name, _tensor(packed.arrays[source], packed.dtypes[source])


def _tensor(array: NDArray[np.generic], dtype: str) -> Tensor:
    import warnings

    with warnings.catch_warnings():
        # Object-store arrays are not writable, and nothing here writes to them.
        warnings.simplefilter("ignore", UserWarning)
        tensor = torch.from_numpy(array)
    return tensor.view(torch.bfloat16) if dtype == "bfloat16" else tensor
