"""Weights travel as numpy arrays: every number, every name, and tied ones once."""

from __future__ import annotations

import pytest
import torch

from prl_ray.actors.transports.object_store import pack, unpack


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_packed_is_unpacked(dtype: torch.dtype) -> None:
    state = {
        "a.weight": torch.randn(3, 5, dtype=torch.float32),
        "transposed": torch.randn(4, 2).t(),
        "count": torch.tensor([7], dtype=torch.int64),
        "empty": torch.zeros(0),
        "empty too": torch.zeros(0),
    }
    found = dict(unpack(pack(state, dtype)))
    assert found.keys() == state.keys()
    for name, tensor in state.items():
        expected = tensor.to(dtype) if tensor.is_floating_point() else tensor
        assert found[name].dtype == expected.dtype
        assert torch.equal(found[name], expected)


def test_tied_weights_are_sent_once_and_named_twice() -> None:
    shared = torch.randn(4, 2)
    weights = pack({"embed": shared, "body": torch.ones(2), "head": shared}, torch.float32)
    assert set(weights.arrays) == {"embed", "body"}
    assert weights.aliases == {"head": "embed"}
    found = dict(unpack(weights))
    assert torch.equal(found["head"], shared) and torch.equal(found["embed"], shared)


def test_untied_weights_that_are_equal_stay_apart() -> None:
    weights = pack({"embed": torch.ones(4, 2), "head": torch.ones(4, 2)}, torch.float32)
    assert set(weights.arrays) == {"embed", "head"} and not weights.aliases


def test_packing_takes_no_gradient_and_leaves_the_module_alone() -> None:
    module = torch.nn.Linear(2, 2)
    before = module.weight.detach().clone()
    pack(module.state_dict(), torch.bfloat16)
    assert torch.equal(module.weight, before) and module.weight.requires_grad
