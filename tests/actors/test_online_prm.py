"""The PRM that is trained during PPO: what it learns, that ranks change nothing, and that scorers load its weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import ray
import torch
from test_learner import comparable, everywhere, learn
from tiny_run import CLUSTER, Cycle, Step, config_for, learner_setup

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.online_prm import OnlinePrmSetup, PrmWeights
from prl_ray.actors.scorer import Scorer
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.actors.waiting import wait
from prl_ray.config import PrmConfig, SandboxConfig
from prl_ray.credit.columns import FOUND_BY, LineVerdicts
from prl_ray.errors import ModelError
from prl_ray.trajectory import TrajectoryBatch


def started(cycle: Cycle, ranks: int) -> Fleet:
    settings = PrmConfig(online=True, online_learning_rate=5e-3, online_replay=2, batch_size=6)
    config = replace(config_for("float32"), prm=settings)
    fleet = Fleet(replace(CLUSTER, learners=ranks), SandboxConfig(), f"online-{ranks}", say=lambda line: None)
    setup = learner_setup(cycle.policy, cycle.problems, config)
    fleet.start_learners(replace(setup, prm=OnlinePrmSetup.of(config, cycle.prm, torch.float32)))
    return fleet


def second_lines_wrong(step: Step) -> Step:
    """The step with its first chunk's lines executed: the second line of each sample is the first wrong one."""
    chunks = ray.get(list(step.rollout.chunks))
    first = chunks[0]
    found = LineVerdicts(
        wrong=np.ones(len(first), dtype=np.int32),
        found_by=np.full(len(first), FOUND_BY.index("state"), dtype=np.uint8),
        runs=np.ones(len(first), dtype=np.int32),
        states=np.arange(len(first.line_ends), dtype=np.int64),
        traces=LineVerdicts.unknown(first).traces,
    )
    lines = tuple(ray.put(found if chunk is first else LineVerdicts.unknown(chunk)) for chunk in chunks)
    return replace(step, rollout=replace(step.rollout, lines=lines))


def sent(fleet: Fleet) -> PrmWeights:
    found: PrmWeights = wait(fleet.learners[0].prm_weights.remote(), "the PRM's weights", 60)
    return found


def test_it_learns_from_executed_lines_and_scorers_follow(cycle: Cycle, step: Step, tmp_path: object) -> None:
    one, two = started(cycle, 1), started(cycle, 2)
    try:
        for fleet in (one, two):
            fleet.wait_ready()
        executed = second_lines_wrong(step)
        chunk: TrajectoryBatch = ray.get(step.rollout.chunks[0])
        wrong = chunk.line_offsets[:-1] + 1
        labels = 2 * len(chunk) - int(chunk.line_neutral[np.concatenate([wrong - 1, wrong])].sum())
        losses = []
        for number in range(6):
            (single,), (first, second) = learn(one, executed, number), learn(two, executed, number)
            assert comparable(first) == comparable(second)
            assert single["prm/online_loss"] == pytest.approx(first["prm/online_loss"], rel=1e-3)
            assert single["prm/online_labels"] == labels
            assert single["prm/online_replayed"] == (len(chunk) if number else 0)
            losses.append(single["prm/online_loss"])
            if number == 1:
                everywhere(one, "save", tmp_path)
        assert losses[-1] < losses[0] / 2

        setup = ScorerSetup(cycle.prm, None, None, False, torch.float32, 256)
        scorer, weights = Scorer(setup), sent(one)
        before = scorer.score([step.rollout.chunks[0]]).line_scores
        after = scorer.score([step.rollout.chunks[0]], weights).line_scores
        assert weights.version == 6 and (after[wrong] < before[wrong]).all() and after[wrong].max() < 0.5
        # one that was started anew has nothing but its folder, and follows at its first request
        np.testing.assert_array_equal(Scorer(setup).score([step.rollout.chunks[0]], weights).line_scores, after)
        np.testing.assert_allclose(
            Scorer(setup).score([step.rollout.chunks[0]], sent(two)).line_scores, after, atol=1e-3
        )
        with pytest.raises(ModelError, match="do not fit"):
            scorer.score([step.rollout.chunks[0]], PrmWeights(9, ray.put({"score.weight": torch.zeros(1, 64)})))

        everywhere(one, "restore", tmp_path)
        assert sent(one).version == 2
        for number in range(2, 6):
            learn(one, executed, number)
        again = Scorer(setup).score([step.rollout.chunks[0]], sent(one)).line_scores
        np.testing.assert_array_equal(again, after)

        everywhere(two, "restore", tmp_path)
        assert sent(two).version == 2, "two ranks go on from the checkpoint of one"
        for number in range(2, 6):
            learn(two, executed, number)
        again = Scorer(setup).score([step.rollout.chunks[0]], sent(two)).line_scores
        np.testing.assert_allclose(again, after, atol=1e-3)
    finally:
        for fleet in (one, two):
            fleet.close()


def test_without_executed_lines_nothing_is_learnt(cycle: Cycle, step: Step) -> None:
    fleet = started(cycle, 1)
    try:
        fleet.wait_ready()
        setup = ScorerSetup(cycle.prm, None, None, False, torch.float32, 256)
        before = Scorer(setup).score([step.rollout.chunks[0]]).line_scores
        (metrics,) = learn(fleet, step, 0)
        assert metrics["prm/online_labels"] == 0 and "prm/online_loss" not in metrics
        np.testing.assert_array_equal(Scorer(setup).score([step.rollout.chunks[0]], sent(fleet)).line_scores, before)
    finally:
        fleet.close()
