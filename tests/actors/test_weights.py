"""Weights travel as numpy arrays: every number, every name, and tied ones once."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.actors.transports.object_store import Packed, pack, unpack
from prl_ray.models.named_weights import Weight, named_weights


def packed(
    state: dict[str, torch.Tensor], dtype: torch.dtype, shard_bytes: int = 1000
) -> tuple[list[Packed], dict[str, str]]:
    aliases: dict[str, str] = {}
    return list(pack(named_weights(state), dtype, aliases, shard_bytes)), aliases


@given(shard_bytes=st.integers(1, 100), dtype=st.sampled_from([torch.float32, torch.bfloat16]))
def test_what_is_packed_is_unpacked(shard_bytes: int, dtype: torch.dtype) -> None:
    shared = torch.randn(2, 3)
    state = {
        "a.weight": torch.randn(3, 5, dtype=torch.float32),
        "shared": shared,
        "transposed": torch.randn(4, 2).t(),
        "count": torch.tensor([7], dtype=torch.int64),
        "empty": torch.zeros(0),
        "empty too": torch.zeros(0),
        "shared too": shared,
    }
    parts, aliases = packed(state, dtype, shard_bytes)
    largest = max(array.nbytes for part in parts for array in part.arrays.values())
    assert all(sum(a.nbytes for a in part.arrays.values()) <= max(shard_bytes, largest) for part in parts)
    found = dict(unpack(parts, aliases))
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        expected = tensor.to(dtype) if tensor.is_floating_point() else tensor
        assert found[name].dtype == expected.dtype
        assert torch.equal(found[name], expected)


def test_tied_weights_are_sent_once_and_named_twice() -> None:
    shared = torch.randn(4, 2)
    (part,), aliases = packed({"embed": shared, "body": torch.ones(2), "head": shared}, torch.float32)
    assert set(part.arrays) == {"embed", "body"}
    assert aliases == {"head": "embed"}
    found = dict(unpack([part], aliases))
    assert torch.equal(found["head"], shared) and torch.equal(found["embed"], shared)


def test_untied_weights_that_are_equal_stay_apart() -> None:
    (part,), aliases = packed({"embed": torch.ones(4, 2), "head": torch.ones(4, 2)}, torch.float32)
    assert set(part.arrays) == {"embed", "head"} and not aliases


def test_packing_takes_no_gradient_and_leaves_the_module_alone() -> None:
    module = torch.nn.Linear(2, 2)
    before = module.weight.detach().clone()
    packed(module.state_dict(), torch.bfloat16)
    assert torch.equal(module.weight, before) and module.weight.requires_grad


def test_one_part_is_held_at_a_time() -> None:
    """A sender that reads ahead would hold a sharded model whole."""
    read = []

    def weights() -> Iterator[Weight]:
        for name in "abcd":
            read.append(name)
            yield next(named_weights({name: torch.zeros(10)}))

    parts = pack(weights(), torch.float32, {}, shard_bytes=80)
    assert set(next(parts).arrays) == {"a", "b"} and read == ["a", "b", "c"]
