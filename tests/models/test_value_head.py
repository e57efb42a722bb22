import pytest
import torch

from prl_ray.models.value_head import ValueHead


@pytest.mark.parametrize("width", [0, 16])
def test_values_start_at_zero_and_can_be_learned(width):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(64, 8, generator=generator)
    target = torch.tanh(features[:, 0])
    head = ValueHead(8, width)
    assert torch.equal(head(features), torch.zeros(64))
    optimizer = torch.optim.Adam(head.parameters(), lr=3e-2)
    for _ in range(200):
        loss = ((head(features) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.3 * target.var()


def test_features_in_bfloat16_give_float32_values_of_the_same_shape():
    assert ValueHead(8)(torch.randn(2, 3, 8, dtype=torch.bfloat16)).dtype == torch.float32
    assert ValueHead(8)(torch.randn(2, 3, 8)).shape == (2, 3)


def test_a_head_can_start_from_a_constant():
    head = ValueHead(8)
    head.start_from(-0.25)
    assert torch.equal(head(torch.randn(3, 8)), torch.full((3,), -0.25))
