"""Samples of a prompt that all earn the same have advantage 0, whatever the other prompts of the batch do.

Whitening used to take the mean of the whole batch off, and gave every token of a uniform group up to +1.14.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.actors.advantage_columns import Given, advantage_columns, shaped_rewards
from prl_ray.actors.columns import Columns
from prl_ray.actors.rollout import Experience
from prl_ray.actors.scoring import Scores
from prl_ray.config import AlgorithmConfig, RewardConfig
from prl_ray.ppo.advantages import ESTIMATORS as ESTIMATORS_BY_NAME
from prl_ray.ppo.advantages import AdvantageInputs
from prl_ray.ppo.line_credit import LineCredit
from prl_ray.ppo.packing import shard
from prl_ray.ppo.whitening import scale_of, scaled

ESTIMATORS = ("rloo", "grpo")


def columns_of(
    statuses: list[list[str]],
    lengths: list[int] | None = None,
    *,
    kl: float = 0.0,
    finished: list[bool] | None = None,
    **algorithm: Any,
) -> tuple[Columns, np.ndarray]:
    """Columns of a batch of groups, and each sample's group."""
    flat = [status for group in statuses for status in group]
    groups = [i for i, group in enumerate(statuses) for _ in group]
    lengths = lengths or [3] * len(flat)
    ends = finished or [True] * len(flat)
    samples = [
        Sample(tokens=range(n), line_ends=[n - 1] if n else [], group=g, finished=f)
        for n, g, f in zip(lengths, groups, ends, strict=True)
    ]
    experience = Experience(batch_of(samples), verdicts_of(flat), Scores())
    shaped = shaped_rewards(experience, RewardConfig(name="outcome"), 1.0, 0)
    tokens = int(experience.batch.token_offsets[-1])
    old = np.linspace(-1, -0.5, tokens).astype(np.float32)
    given = Given(
        shaped,
        old,
        old - np.linspace(0, kl, tokens).astype(np.float32),
        np.zeros(tokens, np.float32),
        np.ones(tokens, np.bool_),
    )
    config = AlgorithmConfig(**{"negative_scale": 1.0, **algorithm})
    return advantage_columns(experience, given, config, 0.02), np.repeat(groups, lengths)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_uniform_group_next_to_a_mixed_one(name: str) -> None:
    passed, failed = "passed", "wrong_answer"
    columns, group = columns_of([[failed] * 4, [passed, failed, failed, failed], [passed] * 4], estimator=name)
    assert not columns.advantages[group != 1].any()
    mixed = columns.advantages[group == 1].reshape(4, 3)[:, 0]
    assert mixed[0] > 0 and (mixed[1:] < 0).all()
    assert mixed.sum() == pytest.approx(0, abs=1e-5)
    assert np.square(mixed).mean() == pytest.approx(1, rel=1e-4), "scaled by the root of its mean square"


@pytest.mark.parametrize("name", ESTIMATORS)
@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from(["passed", "wrong_answer", "compile_error", "sandbox_error"]), min_size=1, max_size=4),
        min_size=1,
        max_size=4,
    ),
    st.data(),
)
def test_groups_without_spread_have_no_advantage(name: str, statuses: list[list[str]], data: st.DataObject) -> None:
    count = sum(map(len, statuses))
    lengths = data.draw(st.lists(st.integers(1, 5), min_size=count, max_size=count))
    columns, group = columns_of(statuses, lengths, estimator=name)
    valid = np.repeat(columns.valid, lengths)
    assert not columns.advantages[~valid].any(), "no verdict, no advantage"
    for number, members in enumerate(statuses):
        kinds = {s for s in members if s != "sandbox_error"}
        own = columns.advantages[group == number]
        if len(kinds) < 2:
            assert not own.any()
    assert np.isfinite(columns.advantages).all()


def test_grpo_does_not_blow_the_kl_penalty_up_where_nothing_else_differs() -> None:
    """A standard deviation of the penalty alone would make of a difference of 0.001 an advantage of 1."""
    columns, group = columns_of([["wrong_answer"] * 4, ["passed", "wrong_answer"] * 2], kl=0.3, estimator="grpo")
    assert 0 < np.abs(columns.advantages[group == 0]).max() < 0.1
    assert np.abs(columns.advantages[group == 1]).min() > 0.5


def test_a_masked_program_is_in_no_baseline() -> None:
    statuses, ends = [["passed", "wrong_answer", "passed"]], [True, True, False]
    columns, _ = columns_of(statuses, finished=ends, estimator="rloo", whiten=False)
    # cut off counts as failed: totals 1, -0.3, -0.3
    assert columns.advantages.reshape(3, 3)[:, 0].tolist() == pytest.approx([1.3, -0.65, -0.65], abs=1e-5)


@pytest.mark.parametrize("name", ["gae", *ESTIMATORS])
@pytest.mark.parametrize("samples", [1, 2, 3, 7])
def test_parts_of_the_ranks_add_up_to_the_whole_also_where_a_rank_is_empty(name: str, samples: int) -> None:
    """Every rank computes these columns whole, and divides its part of the loss by the mini-batch of all ranks."""
    statuses = [["passed", "wrong_answer"][i % 2] for i in range(samples)]
    lengths = list(range(1, samples + 1))
    columns, _ = columns_of([statuses], lengths, estimator=name)
    ranks = shard(lengths, 2)
    assert samples > 1 or min(map(len, ranks)) == 0
    offsets = np.cumsum([0, *lengths])
    divisor = columns.weights.divisor(np.arange(samples))
    losses = columns.advantages * columns.weights.tokens
    parts = [sum(float(losses[offsets[i] : offsets[i + 1]].sum()) for i in rows) / divisor for rows in ranks]
    assert sum(parts) == pytest.approx(float(losses.sum()) / divisor, abs=1e-5)
    assert divisor == sum(lengths)


@pytest.mark.parametrize("name", [*ESTIMATORS, "state_anchor"])
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_rounding_is_no_spread(name: str, seed: int) -> None:
    """Failures of equal outcome earn the same under ``process``, at other lines: their float32 sums differ in the last
    digit. In a batch without another difference the scale made an advantage of 1.4 of that."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, 20, 8)
    batch = batch_of([Sample(tokens=range(n), line_ends=range(n), group=i // 4) for i, n in enumerate(lengths)])
    scores = Scores(line_scores=rng.random(len(batch.line_ends)).astype(np.float32))
    experience = Experience(batch, verdicts_of(["wrong_answer"] * 8), scores)
    shaped = shaped_rewards(experience, RewardConfig(name="process"), 1.0, 0)
    lines = LineCredit(
        batch.line_offsets,
        batch.global_line_ends,
        ~batch.line_neutral,
        np.zeros(8, dtype=np.int64),
        shaped.ok,
        states=rng.integers(0, 3, len(batch.line_ends)),
    )
    inputs = AdvantageInputs(shaped.rewards, batch.token_offsets, batch.prompt_ids, lines=lines)
    found = ESTIMATORS_BY_NAME.find(name)(inputs).advantages
    whole = scaled(found, shaped.counted, scale_of(found, shaped.counted, sparse=True))
    assert np.abs(whole).max() == 0


@pytest.mark.parametrize("name", ESTIMATORS)
def test_equal_samples_are_equal_wherever_they_lie_in_the_batch(name: str) -> None:
    """Differences of one running sum over the batch depend on what lies before."""
    rng = np.random.default_rng(0)
    rewards = (rng.normal(size=30) * 10.0 ** rng.uniform(-10, -2, size=30)).astype(np.float32)
    inputs = AdvantageInputs(np.tile(rewards, 4), np.arange(5) * 30, np.zeros(4, dtype=np.int64))
    assert not ESTIMATORS_BY_NAME.find(name)(inputs).advantages.any()
