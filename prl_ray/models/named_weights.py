"""A model's weights one at a time, for saving and pushing: by name, tied ones once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Weight:
    """One entry of a model's state dict."""

    name: str
    value: Tensor
    """It may share the model's storage, and be gathered only while the iteration is at this weight."""
    same_as: str = ""
    """The earlier weight to which this one is tied; empty for one with its own tensor."""


def named_weights(state: Mapping[str, Tensor]) -> Iterator[Weight]:
    """The entries of a state dict in their order. Tied weights are one tensor under two names."""
    first: dict[int, str] = {}
    for name, tensor in state.items():
        # all empty tensors have the same address, also the placeholders of a sharded model's parameters
        known = first.setdefault(tensor.data_ptr() if tensor.numel() else id(tensor), name)
        yield Weight(name, tensor, "" if known == name else known)


def in_main_memory(weights: Iterable[Weight], dtype: torch.dtype | None = None) -> Iterator[Weight]:
    """The same weights on the CPU and contiguous, floating-point ones in ``dtype`` if one is given; tied ones are
    unchanged."""
    for weight in weights:
        if weight.same_as:
            yield weight
            continue
        value = weight.value.detach().to("cpu")
        yield replace(weight, value=(value.to(dtype) if dtype and value.is_floating_point() else value).contiguous())


def in_shards(weights: Iterable[Weight], shard_bytes: int, aliases: dict[str, str]) -> Iterator[dict[str, Tensor]]:
    """Groups of tensors of at most ``shard_bytes``, or of one larger tensor; only one group is in memory at a time.

    The other names of tied weights are added to ``aliases``: name -> the name that holds the tensor.
    """
    shard: dict[str, Tensor] = {}
    size = 0
    for weight in weights:
        if weight.same_as:
            aliases[weight.name] = weight.same_as
            continue
        if shard and size + weight.value.nbytes > shard_bytes:
            yield shard
            shard, size = {}, 0
        shard[weight.name] = weight.value
        size += weight.value.nbytes
    if shard:
        yield shard
