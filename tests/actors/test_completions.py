"""Completions of first lines: each text once, by the engine that samples, and the values that they give."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tiny_run import Cycle

from prl_ray.actors.completions import Completions, FirstLines, line_values
from prl_ray.actors.generator import Sampling
from prl_ray.actors.handles import get, put
from prl_ray.actors.rollout import gather
from prl_ray.config import AlgorithmConfig
from prl_ray.loop import Loop
from prl_ray.sampling import complete, sample
from tests.trajectories import Sample, batch_of


def test_equal_first_lines_are_completed_once() -> None:
    batch = batch_of(
        [
            Sample(tokens=[1, 2, 3, 4], line_ends=[1, 2, 3]),
            Sample(tokens=[1, 2, 5, 4], line_ends=[1, 2, 3], neutral=[False, True, False]),
            Sample(tokens=[6, 4], line_ends=[0, 0, 1]),  # two lines that end in one token
        ]
    )
    first = FirstLines.of(batch)
    assert first.tokens == ((1, 2), (1, 2, 3), (6,))
    assert first.of_line.tolist() == [0, 1, -1, 0, -1, -1, 2, 2, -1]


def test_values_by_hand() -> None:
    made = Completions("t", ("",) * 6, np.array([0, 1, -1, 2, 0, -1]), 50)
    ok = np.array([True, False, True, True, False, False])
    valid = np.array([True, True, True, False, False, False])
    found = line_values(made, ok, valid)
    # 1 of 2; 1 of 1; no verdict at all
    np.testing.assert_array_equal(found.values, [0.5, 1.0, np.nan, np.nan, 0.5, np.nan])
    assert found.programs == 6 and found.tokens == 50
    nothing = line_values(Completions("t", (), np.array([-1, -1]), 0), np.zeros(0, bool), np.zeros(0, bool))
    assert np.isnan(nothing.values).all()


def test_greedy_completions_of_greedy_samples_are_these_samples(cycle: Cycle) -> None:
    """So that prefix, text and verdict of a completion are exactly those of a sample."""
    sampling = Sampling(samples=1, temperature=0.0, max_tokens=64, seed=1)
    cycle.loop.push_weights()
    collected = sample(cycle.fleet, cycle.problems, sampling, 120)
    known = [put({problem.task_id: problem for problem in cycle.problems})]
    found = complete(cycle.fleet, collected.rollout.chunks, known, replace(sampling, samples=2), 120)
    for chunk, verdicts, (_, values) in zip(collected.rollout.chunks, collected.verdicts, found, strict=True):
        batch = get(chunk)
        first = FirstLines.of(batch)
        assert values.programs == 2 * len(first.tokens)
        wanted = np.where(first.of_line >= 0, float(verdicts.ok[0]), np.nan)
        np.testing.assert_array_equal(values.values, wanted)


@pytest.mark.parametrize("filtered", [True, False])
def test_a_step_of_vine_has_a_value_for_every_line_but_the_last(cycle: Cycle, filtered: bool) -> None:
    config = replace(
        cycle.config,
        algorithm=AlgorithmConfig(estimator="vine", completions=2),
        loop=replace(cycle.config.loop, filter_groups=filtered),
    )
    loop = Loop(config, cycle.fleet, cycle.problems, False)
    try:
        rollout, metrics = loop._sample(0)
        again, _ = loop._sample(0)
    finally:
        loop.close()
    experience = gather(rollout)
    batch, values = experience.batch, experience.values
    assert values is not None and len(values) == len(batch.line_ends)
    last = np.zeros(len(values), dtype=bool)
    last[batch.line_offsets[1:] - 1] = True
    np.testing.assert_array_equal(np.isnan(values), last | batch.line_neutral)
    assert set(np.unique(values[~np.isnan(values)])) <= {0.0, 0.5, 1.0}
    np.testing.assert_array_equal(gather(again).values, values)
    assert metrics["perf/completed_programs"] > 0 and metrics["perf/completed_tokens"] > 0
