"""Groups of samples: which of them a step learns from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from trajectories import verdicts_of

from prl_ray.rewards.groups import GroupFilter, group_metrics
from prl_ray.rewards.inputs import Outcomes


def outcomes_of(statuses: list[str], cut_off: tuple[int, ...] = (), truncated: str = "fail") -> Outcomes:
    """The outcomes of samples, those at ``cut_off`` truncated."""
    finished = np.array([i not in cut_off for i in range(len(statuses))])
    return GroupFilter(truncated=truncated).outcomes(replace(verdicts_of(statuses), finished=finished))


def kept(groups: list[Outcomes], *, failing: bool = False) -> list[int]:
    return GroupFilter(failing=failing).kept(groups)


MIXED = outcomes_of(["passed", "wrong_answer", "passed"])
SOLVED = outcomes_of(["passed"] * 3)
FAILED = outcomes_of(["runtime_error", "wrong_answer", "compile_error"])
UNKNOWN = outcomes_of(["sandbox_error"] * 3)


def test_only_groups_with_both_outcomes_are_learnt_from() -> None:
    assert kept([SOLVED, MIXED, FAILED, UNKNOWN, MIXED]) == [1, 4]


def test_a_sample_without_a_verdict_is_neither_pass_nor_failure() -> None:
    assert kept([outcomes_of(["passed", "sandbox_error"]), MIXED]) == [1]
    assert kept([outcomes_of(["wrong_answer", "sandbox_error"]), MIXED]) == [1]
    assert kept([outcomes_of(["passed", "sandbox_error", "timeout"])]) == [0]


def test_groups_without_a_pass_are_kept_where_their_lines_teach() -> None:
    assert kept([SOLVED, MIXED, FAILED, UNKNOWN, MIXED], failing=True) == [1, 2, 4]
    assert kept([SOLVED, UNKNOWN], failing=True) == [0, 1]


def test_a_pass_that_is_cut_off_counts_as_the_reward_says() -> None:
    partly = {kind: outcomes_of(["passed"] * 3, cut_off=(1,), truncated=kind) for kind in ("fail", "mask", "keep")}
    for kind, mixed in (("fail", True), ("mask", False), ("keep", False)):
        assert kept([MIXED, partly[kind]]) == ([0, 1] if mixed else [0])
        assert group_metrics([partly[kind]])["training/groups_mixed"] == mixed
    masked = outcomes_of(["passed", "wrong_answer"], cut_off=(0,), truncated="mask")
    assert kept([MIXED, masked]) == [0], "its only pass is masked"
    assert kept([MIXED, outcomes_of(["passed", "passed"], cut_off=(0, 1))], failing=True) == [0, 1]


def test_kinds_of_groups_are_counted() -> None:
    assert group_metrics([SOLVED, MIXED, FAILED, UNKNOWN]) == {
        "training/groups_failing": 0.25,
        "training/groups_mixed": 0.25,
        "training/groups_passing": 0.25,
    }


def test_where_no_group_is_mixed_all_are_learnt_from() -> None:
    assert kept([SOLVED, FAILED]) == [0, 1]


def test_without_the_filter_all_groups_are_kept() -> None:
    off = GroupFilter(on=False)
    assert off.kept([SOLVED, MIXED, FAILED, UNKNOWN]) == [0, 1, 2, 3]
    assert off.keeps(SOLVED) and not GroupFilter().keeps(SOLVED)
