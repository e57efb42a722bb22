"""The learner: sharding over ranks changes nothing, and neither does a restart from a checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import ray
from tiny_run import CLUSTER, Cycle, Step, config_for, largest_difference, learner_setup, sent_by, weights_of
from trajectories import verdicts_of

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.rollout import Rollout
from prl_ray.actors.scoring import Scores
from prl_ray.actors.waiting import wait
from prl_ray.config import RewardConfig, SandboxConfig
from prl_ray.errors import CheckpointError, NotFiniteError
from prl_ray.trajectory import TrajectoryBatch

TIMES = ("timing_s/", "perf/")


def started(cycle: Cycle, ranks: int, reward: RewardConfig | None = None, **algorithm: Any) -> Fleet:
    config = config_for("float32")
    algorithms = replace(config.algorithm, **algorithm)
    config = replace(config, algorithm=algorithms, reward=reward or config.reward)
    fleet = Fleet(replace(CLUSTER, learners=ranks), SandboxConfig(), f"learners-{ranks}", say=lambda line: None)
    setup = learner_setup(cycle.policy, cycle.problems, config)
    fleet.start_learners(replace(setup, critic=cycle.prm if config.algorithm.critic == "full" else None))
    return fleet


@pytest.fixture(scope="module")
def fleets(cycle: Cycle, step: Step) -> Iterator[tuple[Fleet, Fleet]]:
    """One rank and two, started side by side."""
    both = started(cycle, 1), started(cycle, 2)
    for fleet in both:
        fleet.wait_ready()
    yield both
    for fleet in both:
        fleet.close()


def learn(fleet: Fleet, step: Step, number: int) -> list[dict[str, float]]:
    answers: list[dict[str, float]] = wait([a.step.remote(step.rollout, number) for a in fleet.learners], "a step", 120)
    return answers


def everywhere(fleet: Fleet, method: str, *args: Any) -> None:
    wait([getattr(a, method).remote(*args) for a in fleet.learners], method, 60)


def comparable(metrics: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in metrics.items() if not k.startswith(TIMES)}


def test_two_ranks_give_the_same_update_as_one(fleets: tuple[Fleet, Fleet], step: Step) -> None:
    one, two = fleets
    start = weights_of(one.learners[0])
    assert largest_difference(start, weights_of(two.learners[0])) == 0
    (single,), (first, second) = learn(one, step, 0), learn(two, step, 0)
    assert comparable(first) == comparable(second), "ranks report different metrics"
    assert comparable(single) == pytest.approx(comparable(first), rel=1e-3, abs=1e-5, nan_ok=True)
    # the cycle's own learner took the same step
    assert comparable(single) == pytest.approx({k: step.metrics[k] for k in comparable(single)}, rel=1e-4, nan_ok=True)
    assert single["actor/grad_norm"] > 0
    assert single["actor/kl"] == pytest.approx(0, abs=1e-6), "the policy is its own reference before any step"
    after = weights_of(one.learners[0])
    assert largest_difference(start, after) > 5e-5
    assert largest_difference(after, weights_of(two.learners[0])) < 1e-5
    assert wait(two.learners[1].weights.remote(), "rank 1", 60) is None


def test_a_checkpoint_brings_everything_back(fleets: tuple[Fleet, Fleet], step: Step, tmp_path: Path) -> None:
    one, two = fleets
    everywhere(one, "save", tmp_path)
    everywhere(two, "save", tmp_path / "two")
    (first,) = learn(one, step, 1)
    after, version = weights_of(one.learners[0]), sent_by(one.learners[0]).version
    learn(two, step, 1)
    after_two = weights_of(two.learners[0])
    learn(one, step, 2)
    assert largest_difference(after, weights_of(one.learners[0])) > 0

    everywhere(one, "restore", tmp_path)
    (again,) = learn(one, step, 1)
    assert comparable(again) == pytest.approx(comparable(first), rel=1e-6, nan_ok=True)
    assert largest_difference(after, weights_of(one.learners[0])) == 0
    assert sent_by(one.learners[0]).version == version

    learn(two, step, 2)
    everywhere(two, "restore", tmp_path / "two")
    learn(two, step, 1)
    assert largest_difference(after_two, weights_of(two.learners[0])) < 1e-6


def test_a_checkpoint_goes_on_with_another_number_of_ranks(
    fleets: tuple[Fleet, Fleet], step: Step, tmp_path: Path
) -> None:
    """The undisturbed run of one rank; then both from the other's checkpoint of its middle."""
    one, two = fleets
    everywhere(one, "save", tmp_path / "one")
    (undisturbed,) = learn(one, step, 1)
    after, version = weights_of(one.learners[0]), sent_by(one.learners[0]).version

    everywhere(two, "restore", tmp_path / "one")
    everywhere(two, "save", tmp_path / "two")
    everywhere(one, "restore", tmp_path / "two")
    (first, second), (single,) = learn(two, step, 1), learn(one, step, 1)
    assert comparable(first) == comparable(second)
    assert comparable(first) == pytest.approx(comparable(undisturbed), rel=1e-3, abs=1e-5, nan_ok=True)
    assert comparable(single) == pytest.approx(comparable(undisturbed), rel=1e-6, nan_ok=True)
    assert largest_difference(after, weights_of(two.learners[0])) < 1e-5
    assert largest_difference(after, weights_of(one.learners[0])) == 0, "two ranks hand on what one has written"
    assert sent_by(two.learners[0]).version == sent_by(one.learners[0]).version == version


def test_a_checkpoint_without_state_is_refused(fleets: tuple[Fleet, Fleet], tmp_path: Path) -> None:
    one, _ = fleets
    everywhere(one, "save", tmp_path)
    for file in (tmp_path / "actor").rglob("*"):
        if file.is_file():
            file.unlink()
    with pytest.raises(CheckpointError, match="no state"):
        everywhere(one, "restore", tmp_path)


def part_of(step: Step, samples: list[int], statuses: list[str], *, spoil: bool = False) -> Rollout:
    """The first samples of the step's first prompts, with verdicts of our own; one chunk."""
    batch = TrajectoryBatch.concat(ray.get(list(step.rollout.chunks)))
    scores = Scores.concat(ray.get(list(step.rollout.scores))).take(batch, np.array(samples))
    batch = batch.take(samples)
    if spoil:
        batch.logprobs[0] = np.nan
    return Rollout((ray.put(batch),), (ray.put(verdicts_of(statuses)),), (ray.put(scores),))


def test_a_rank_without_samples_takes_part(fleets: tuple[Fleet, Fleet], step: Step, tmp_path: Path) -> None:
    one, two = fleets
    for fleet, name in ((one, "one"), (two, "two")):
        everywhere(fleet, "save", tmp_path / name)
    few = replace(step, rollout=part_of(step, [0], ["passed"]))
    (single,), (first, second) = learn(one, few, 3), learn(two, few, 3)
    assert comparable(first) == comparable(second)
    assert comparable(single) == pytest.approx(comparable(first), rel=1e-2, abs=1e-4, nan_ok=True)
    for fleet, name in ((one, "one"), (two, "two")):
        everywhere(fleet, "restore", tmp_path / name)


def test_a_step_with_a_number_that_is_none_is_skipped(fleets: tuple[Fleet, Fleet], step: Step) -> None:
    _, two = fleets
    before = weights_of(two.learners[0])
    bad = replace(step, rollout=part_of(step, [0, 1, 3], ["passed", "wrong_answer", "passed"], spoil=True))
    for metrics in (*learn(two, bad, 4), *learn(two, bad, 5)):
        assert metrics["training/skipped_step"] == metrics["training/skipped_for/sampler_log-probabilities"] == 1
        assert all(np.isfinite(v) for v in metrics.values())
    assert largest_difference(before, weights_of(two.learners[0])) == 0
    with pytest.raises(NotFiniteError, match="First, step 4: sampler log-probabilities"):
        learn(two, bad, 6)


CREDITED = {"kl_in": "loss", "kl_estimator": "k3", "loss_tokens": "credited"}


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", [{}, CREDITED])
def test_groups_without_spread_change_nothing_on_two_ranks(cycle: Cycle, step: Step, algorithm: dict[str, str]) -> None:
    """Three prompts of unequal sizes: all failed, all passed, and last a group that has something to say."""
    fleet = started(cycle, 2, reward=RewardConfig(name="outcome"), estimator="rloo", **algorithm)
    try:
        fleet.wait_ready()
        start = weights_of(fleet.learners[0])
        failed, passed = "wrong_answer", "passed"
        uniform = part_of(step, [0, 1, 2, 3, 4], [failed] * 3 + [passed] * 2)
        for metrics in learn(fleet, replace(step, rollout=uniform), 0):
            assert metrics["critic/advantages/max"] == metrics["critic/advantages/min"] == 0
        assert largest_difference(start, weights_of(fleet.learners[0])) == 0
        mixed = part_of(step, [0, 1, 2, 3, 4], [failed] * 3 + [passed, failed])
        first, second = learn(fleet, replace(step, rollout=mixed), 1)
        assert comparable(first) == comparable(second)
        if algorithm:  # the KL reaches only the samples with credit
            assert 0 < first["perf/update_tokens"] < first["response_length/mean"] * 5
        assert largest_difference(start, weights_of(fleet.learners[0])) > 0
    finally:
        fleet.close()


def test_a_critic_of_its_own_trunk_learns(cycle: Cycle, step: Step) -> None:
    fleet = started(cycle, 1, critic="full", critic_learning_rate=1e-3, critic_warmup=2, kl_control="adaptive")
    try:
        fleet.wait_ready()
        start = weights_of(fleet.learners[0])
        losses = [learn(fleet, step, number)[0] for number in range(2)]
        assert losses[1]["critic/vf_loss"] < losses[0]["critic/vf_loss"]
        assert "actor/pg_loss" not in losses[0], "the critic warms up alone"
        assert largest_difference(start, weights_of(fleet.learners[0])) == 0
        (metrics,) = learn(fleet, step, 2)
        assert np.isfinite(metrics["actor/pg_loss"])
        assert largest_difference(start, weights_of(fleet.learners[0])) > 0
    finally:
        fleet.close()
