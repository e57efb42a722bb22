"""The engine in bfloat16, where a processor without the instructions is slow but right."""

from __future__ import annotations

import pytest
import ray
import torch
from torch import nn

from prl_ray.actors.engine import Engine, EngineSettings, join_group
from prl_ray.actors.meeting import RankInfo


class Rank:
    """One engine around a square of weights, all of which the loss pushes down alike."""

    def __init__(self, info: RankInfo, settings: EngineSettings) -> None:
        join_group(info)
        torch.manual_seed(0)
        self.module = nn.Linear(256, 256, bias=False).to(settings.dtype)
        self.engine = Engine(self.module, settings, info.world)

    def weights(self) -> torch.Tensor:
        return self.engine.module.weight.detach().float().clone()  # type: ignore[operator,union-attr,return-value]

    def step(self) -> None:
        weight: torch.Tensor = self.engine.module.weight  # type: ignore[assignment]
        self.engine.backward(weight.float().sum() / 1000, last=True)
        self.engine.step()


def test_updates_below_the_grid_of_bfloat16_arrive_on_average(ray_here: None) -> None:
    """The grid's step at these weights is up to 24 times the learning rate, by which Adam moves each of them.

    DeepSpeed begins with an empty step. If that one counted, the bias corrections would be one step ahead, and the
    steps 0.735, 0.848, 0.899 and 0.927 of the rate.
    """
    rate = 1e-5
    settings = EngineSettings(learning_rate=rate, dtype=torch.bfloat16, max_grad_norm=0)
    rank = ray.remote(num_cpus=0)(Rank).remote(RankInfo(), settings)
    before = ray.get(rank.weights.remote(), timeout=120)
    torch.manual_seed(0)
    assert torch.equal(before, nn.Linear(256, 256, bias=False).weight.detach().to(torch.bfloat16).float())
    for _ in range(4):
        ray.get(rank.step.remote(), timeout=60)
    moved = ray.get(rank.weights.remote(), timeout=60) - before
    assert moved.mean().item() == pytest.approx(-4 * rate, rel=0.05)
    ray.kill(rank)
