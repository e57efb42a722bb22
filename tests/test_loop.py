"""What the loop decides by itself; with actors it is tested in tests/actors."""

from __future__ import annotations

import pytest
from trajectories import verdicts_of

from prl_ray.loop import group_metrics, informative
from prl_ray.trajectory import Verdicts

MIXED = verdicts_of(["passed", "wrong_answer", "passed"])
SOLVED = verdicts_of(["passed"] * 3)
FAILED = verdicts_of(["runtime_error", "wrong_answer", "compile_error"])
UNKNOWN = verdicts_of(["sandbox_error"] * 3)


def test_only_groups_with_both_outcomes_are_learnt_from() -> None:
    assert informative([SOLVED, MIXED, FAILED, UNKNOWN, MIXED]) == [1, 4]


def test_a_sample_without_a_verdict_is_neither_pass_nor_failure() -> None:
    assert informative([verdicts_of(["passed", "sandbox_error"]), MIXED]) == [1]
    assert informative([verdicts_of(["wrong_answer", "sandbox_error"]), MIXED]) == [1]
    assert informative([verdicts_of(["passed", "sandbox_error", "timeout"])]) == [0]


def test_groups_without_a_pass_are_kept_where_their_lines_teach() -> None:
    assert informative([SOLVED, MIXED, FAILED, UNKNOWN, MIXED], failing=True) == [1, 2, 4]
    assert informative([SOLVED, UNKNOWN], failing=True) == [0, 1]


def test_kinds_of_groups_are_counted() -> None:
    assert group_metrics([SOLVED, MIXED, FAILED, UNKNOWN]) == {
        "training/groups_failing": 0.25,
        "training/groups_mixed": 0.25,
        "training/groups_passing": 0.25,
    }


def test_where_no_group_is_mixed_all_are_learnt_from() -> None:
    assert informative([SOLVED, FAILED]) == [0, 1]


def test_verdict_metrics_by_hand() -> None:
    metrics = Verdicts.concat([MIXED, UNKNOWN]).metrics()
    assert metrics["critic/score/mean"] == pytest.approx(2 / 3), "of those with a verdict"
    assert metrics["verify/passed"] == pytest.approx(2 / 6)
    assert metrics["verify/sandbox_error"] == pytest.approx(3 / 6)
    assert UNKNOWN.metrics()["critic/score/mean"] == 0
