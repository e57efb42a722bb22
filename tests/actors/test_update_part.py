"""The update reads only tokens with a gradient, and its gradient is that of all tokens."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from trajectories import Sample, any_samples, batch_of

from prl_ray.actors.columns import Columns
from prl_ray.actors.forward import Forward
from prl_ray.actors.update_part import UpdatePart, lengths_with_gradient, up_to_last
from prl_ray.models.output_head import output_head
from prl_ray.models.policy import load_policy
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.ppo.collate import flat_rows
from prl_ray.ppo.config import LossConfig
from prl_ray.ppo.normalisers import NORMALISERS
from prl_ray.ppo.policy_losses import policy_objective
from prl_ray.trajectory import TrajectoryBatch

VOCABULARY = 250


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> nn.Module:
    folder: Path = tmp_path_factory.mktemp("policy")
    write_tiny(folder, ["def f(x): return x"] * 8, shape=TinyShape(32, 2, 2, 1, 64, 300, 256))
    return load_policy(folder, torch.float32)


def columns_with(batch: TrajectoryBatch, advantages: np.ndarray, mask: np.ndarray) -> Columns:
    tokens = len(batch.tokens)
    zeros, ones = np.zeros(tokens, np.float32), np.ones(len(batch), np.bool_)
    return Columns(
        rewards=zeros,
        valid=ones,
        kl=zeros,
        kl_coef=0.1,
        old=np.linspace(-3, -1, tokens).astype(np.float32),
        reference=zeros,
        read=np.ones(tokens, np.bool_),
        values=zeros,
        advantages=advantages.astype(np.float32),
        returns=zeros,
        mask=mask.astype(np.float32),
        weights=NORMALISERS.find("token_mean")(mask.astype(np.float32), batch.token_offsets, 0),
    )


def gradient(model: nn.Module, batch: TrajectoryBatch, columns: Columns, loss: LossConfig, part: UpdatePart) -> list:
    """The gradient of the objective over all samples of the batch, as the learner computes it."""
    forward = Forward(model, 64)
    model.zero_grad()
    rows = np.arange(len(batch))
    for padded in forward.micro_batches(part.batch, part.rows(rows), 0, 1):
        states = flat_rows(forward.hidden(padded), padded.predicts)
        found = output_head(model).logprobs(states, padded.targets, temperature=0.7)
        output = policy_objective(part.inputs(columns, padded.rows, *found), loss, columns.kl_coef)
        (output.total / columns.weights.divisor(rows)).backward()
    return [torch.zeros(1) if p.grad is None else p.grad.clone() for p in model.parameters()]


CREDITED = LossConfig(
    clip_high=50.0, clip_low=0.9, kl_in="loss", kl_estimator="k2", kl_coef=0.1, loss_tokens="credited"
)


@pytest.mark.parametrize(
    "loss",
    [
        LossConfig(clip_high=50.0, clip_low=0.9),
        CREDITED,
        replace(CREDITED, loss="gspo"),
        replace(CREDITED, entropy_coef=0.01),
    ],
    ids=["ppo", "credited", "credited gspo", "credited with entropy"],
)
@given(st.lists(any_samples(), min_size=1, max_size=6), st.sampled_from([0.0, 0.1, 0.5]), st.integers(0, 2**32))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_gradient_of_the_part_is_that_of_all_tokens(
    model: nn.Module, loss: LossConfig, samples: list[Sample], share: float, seed: int
) -> None:
    known = [replace(s, prompt=(1, 2 + s.group), tokens=[t % VOCABULARY for t in s.tokens]) for s in samples]
    batch, draw = batch_of(known), np.random.default_rng(seed)
    tokens = len(batch.tokens)
    advantages = np.where(draw.random(tokens) < share, draw.normal(size=tokens), 0)
    counted = draw.random(tokens) < 0.8
    credited = up_to_last(np.where(counted, advantages, 0), batch.token_offsets)
    columns = columns_with(batch, advantages, counted & credited if loss.credited_only else counted)
    part = UpdatePart.of(batch, columns, loss)
    assert (part.read == credited).all() if credited.any() else part.read.sum() <= 1
    found, expected = (gradient(model, batch, columns, loss, p) for p in (part, UpdatePart.whole(batch)))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a.expand_as(b) if a.numel() == 1 else a, b, rtol=1e-4, atol=1e-6)


def test_the_part_by_hand() -> None:
    batch = batch_of([Sample(tokens=(5, 6, 7), line_ends=(0, 2)), Sample(tokens=(8, 9)), Sample(), Sample(tokens=(4,))])
    advantages, mask = np.array([0, 2, 0, 1, 0, 0]), np.array([1, 1, 1, 0, 1, 1])
    assert lengths_with_gradient(advantages * mask, batch.token_offsets).tolist() == [2, 0, 0, 0]
    part = UpdatePart.of(batch, columns_with(batch, advantages, mask), LossConfig())
    assert part.tokens.tolist() == [0, 1, 3, 5]  # the second sample's only advantage has no weight
    assert part.rows(np.arange(4)).tolist() == [0]
    assert part.rows(np.array([3, 1])).tolist() == [3]  # a backward pass of zeros
    assert part.read.tolist() == [True, True, False, False, False, False]
    assert part.uncut(np.array([1, 2, 3, 4], np.float32)).tolist() == [1, 2, 0, 3, 0, 4]
    assert up_to_last(advantages * mask, batch.token_offsets).tolist() == [True, True, False, False, False, False]


@pytest.mark.parametrize(
    "loss",
    [
        LossConfig(loss="gspo"),
        LossConfig(entropy_coef=0.01),
        LossConfig(kl_in="loss"),
        LossConfig(loss=f"{__name__}:policy_objective"),
    ],
)
def test_losses_whose_tokens_depend_on_more_than_their_advantage_read_everything(loss: LossConfig) -> None:
    batch = batch_of([Sample(tokens=(5, 6, 7)), Sample(tokens=(8, 9))])
    part = UpdatePart.of(batch, columns_with(batch, np.zeros(5), np.ones(5)), loss)
    assert part.tokens.tolist() == [0, 1, 2, 3, 4] and part.rows(np.arange(2)).tolist() == [0, 1]
    assert part.batch is batch
