"""Figures of line scores, by hand and against their definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.supervision.quality import average_precision, blamed_lines, over_problems, share_by_value

pairs = st.lists(st.tuples(st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.booleans()), min_size=1, max_size=30)


def test_average_precision_by_hand() -> None:
    # in order: hit, miss, hit: precisions at the hits are 1 and 2/3
    assert average_precision(np.array([0.9, 0.5, 0.7]), np.array([True, True, False])) == pytest.approx(5 / 6)
    # all tied: the share
    assert average_precision(np.zeros(4), np.array([True, False, False, False])) == pytest.approx(1 / 4)
    assert math.isnan(average_precision(np.ones(2), np.zeros(2, dtype=bool)))


@given(pairs)
def test_average_precision_is_the_mean_precision_at_the_wanted(rows: list[tuple[float, bool]]) -> None:
    scores, wanted = np.array([s for s, _ in rows]), np.array([w for _, w in rows])
    expected = [wanted[scores >= s].mean() for s in scores[wanted]]
    found = average_precision(scores, wanted)
    assert found == pytest.approx(np.mean(expected)) if expected else math.isnan(found)


def test_the_first_low_line_is_blamed_else_the_lowest() -> None:
    scores = np.array([0.9, 0.4, 0.1, 0.8, 0.6, 0.7, 0.2, 0.3])
    offsets = np.array([0, 3, 6, 8])
    candidates = np.array([True, True, True, True, True, True, False, False])
    assert blamed_lines(scores, candidates, offsets).tolist() == [1, 1, -1]
    assert blamed_lines(scores, candidates, offsets, theta=-math.inf).tolist() == [2, 1, -1]
    assert blamed_lines(scores, ~candidates, offsets).tolist() == [-1, -1, 0]


def test_a_baseline_learns_the_share_of_each_value() -> None:
    known, labels = np.array([0, 0, 0, 2, 2]), np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    # mean 0.4: value 0 has (2 + 0.4) / 4, value 2 (0 + 0.4) / 3, values 1 and 9 the mean
    found = share_by_value(known, labels, np.array([0, 1, 2, 9]))
    assert found == pytest.approx([0.6, 0.4, 0.4 / 3, 0.4])


def test_an_interval_draws_whole_problems() -> None:
    problems = np.array([7, 3, 7, 7])
    x = np.array([1.0, 0.0, 1.0, 1.0])
    seen = set()

    def mean(rows: np.ndarray) -> float:
        seen.add(tuple(sorted(rows.tolist())))
        return float(x[rows].mean())

    interval = over_problems(problems, mean, repeats=200)
    assert interval.value == 0.75 and interval.low == 0.0 and interval.high == 1.0
    # two draws of problem 3 (row 1), of problem 7 (rows 0, 2, 3), or one of each; and the whole, which is the latter
    assert seen == {(1, 1), (0, 1, 2, 3), (0, 0, 2, 2, 3, 3)}
    nothing = over_problems(problems, lambda rows: float("nan"), repeats=3)
    assert math.isnan(nothing.value) and math.isnan(nothing.low)


def test_an_interval_is_about_two_standard_errors_wide() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=400)
    interval = over_problems(np.arange(400), lambda rows: float(x[rows].mean()))
    assert interval.low < interval.value < interval.high
    assert interval.high - interval.low == pytest.approx(4 * x.std() / 20, rel=0.15)
