"""What the loop decides by itself; with actors it is tested in tests/actors."""

from __future__ import annotations

import numpy as np
import pytest
from trajectories import verdicts_of

from prl_ray.loop import group_metrics, informative
from prl_ray.rewards.inputs import Outcomes
from prl_ray.trajectory import Verdicts


def outcomes_of(statuses: list[str], cut_off: tuple[int, ...] = (), truncated: str = "fail") -> Outcomes:
    """The outcomes of samples, those at ``cut_off`` truncated."""
    finished = np.array([i not in cut_off for i in range(len(statuses))])
    return Outcomes.of(verdicts_of(statuses), finished, truncated)


MIXED = outcomes_of(["passed", "wrong_answer", "passed"])
SOLVED = outcomes_of(["passed"] * 3)
FAILED = outcomes_of(["runtime_error", "wrong_answer", "compile_error"])
UNKNOWN = outcomes_of(["sandbox_error"] * 3)


def test_only_groups_with_both_outcomes_are_learnt_from() -> None:
    assert informative([SOLVED, MIXED, FAILED, UNKNOWN, MIXED]) == [1, 4]


def test_a_sample_without_a_verdict_is_neither_pass_nor_failure() -> None:
    assert informative([outcomes_of(["passed", "sandbox_error"]), MIXED]) == [1]
    assert informative([outcomes_of(["wrong_answer", "sandbox_error"]), MIXED]) == [1]
    assert informative([outcomes_of(["passed", "sandbox_error", "timeout"])]) == [0]


def test_groups_without_a_pass_are_kept_where_their_lines_teach() -> None:
    assert informative([SOLVED, MIXED, FAILED, UNKNOWN, MIXED], failing=True) == [1, 2, 4]
    assert informative([SOLVED, UNKNOWN], failing=True) == [0, 1]


def test_a_pass_that_is_cut_off_counts_as_the_reward_says() -> None:
    partly = {kind: outcomes_of(["passed"] * 3, cut_off=(1,), truncated=kind) for kind in ("fail", "mask", "keep")}
    for kind, mixed in (("fail", True), ("mask", False), ("keep", False)):
        assert informative([MIXED, partly[kind]]) == ([0, 1] if mixed else [0])
        assert group_metrics([partly[kind]])["training/groups_mixed"] == mixed
    masked = outcomes_of(["passed", "wrong_answer"], cut_off=(0,), truncated="mask")
    assert informative([MIXED, masked]) == [0], "its only pass is masked"
    assert informative([MIXED, outcomes_of(["passed", "passed"], cut_off=(0, 1))], failing=True) == [0, 1]


def test_kinds_of_groups_are_counted() -> None:
    assert group_metrics([SOLVED, MIXED, FAILED, UNKNOWN]) == {
        "training/groups_failing": 0.25,
        "training/groups_mixed": 0.25,
        "training/groups_passing": 0.25,
    }


def test_where_no_group_is_mixed_all_are_learnt_from() -> None:
    assert informative([SOLVED, FAILED]) == [0, 1]


def test_verdict_metrics_by_hand() -> None:
    unknown = verdicts_of(["sandbox_error"] * 3)
    metrics = Verdicts.concat([verdicts_of(["passed", "wrong_answer", "passed"]), unknown]).metrics()
    assert metrics["critic/score/mean"] == pytest.approx(2 / 3), "of those with a verdict"
    assert metrics["verify/passed"] == pytest.approx(2 / 6)
    assert metrics["verify/sandbox_error"] == pytest.approx(3 / 6)
    assert unknown.metrics()["critic/score/mean"] == 0
