"""Which negatives are kept, and where references are cut."""

import random

from hypothesis import given
from hypothesis import strategies as st

from prl_ray.lines import segment
from prl_ray.supervision.selection import blamed_line, is_crash, select_negatives, truncation_points
from sandbox_workers import Status, Verdict

SOME = Verdict(Status.WRONG_ANSWER, passed=2, total=3)
WRONG = Verdict(Status.WRONG_ANSWER, passed=0, total=3)
CRASH = Verdict(Status.RUNTIME_ERROR, passed=0, total=3)
LATE_CRASH = Verdict(Status.RUNTIME_ERROR, passed=1, total=3)


def chosen(found: list[tuple[int, Verdict]], budget: int, share: float = 0.5) -> list[tuple[int, Verdict]]:
    return [found[i] for i in select_negatives(found, budget, share, random.Random(0))]


def test_a_crash_that_passed_a_test_is_no_mere_crash() -> None:
    assert is_crash(CRASH) and not is_crash(LATE_CRASH) and not is_crash(WRONG)


def test_partial_failures_come_first() -> None:
    assert chosen([(0, CRASH), (0, WRONG), (0, SOME), (0, LATE_CRASH)], 2) == [(0, SOME), (0, LATE_CRASH)] or chosen(
        [(0, CRASH), (0, WRONG), (0, SOME), (0, LATE_CRASH)], 2
    ) == [(0, LATE_CRASH), (0, SOME)]


def test_lines_take_turns() -> None:
    found = [(1, SOME)] * 5 + [(2, WRONG), (3, WRONG)]
    assert {line for line, _ in chosen(found, 4)} == {1, 2, 3}


def test_crashes_alone_are_nothing_unless_all_may_crash() -> None:
    assert chosen([(0, CRASH)] * 3, 3) == []
    assert chosen([(0, CRASH)] * 3, 3, 1.0) == [(0, CRASH)] * 3


@given(
    st.lists(st.tuples(st.integers(0, 4), st.sampled_from([SOME, WRONG, CRASH, LATE_CRASH])), max_size=20),
    st.integers(0, 12),
    st.sampled_from([0.0, 0.25, 0.4, 0.5, 1.0]),
    st.integers(0, 99),
)
def test_budget_and_crash_share_hold(found: list[tuple[int, Verdict]], budget: int, share: float, seed: int) -> None:
    kept = select_negatives(found, budget, share, random.Random(seed))
    assert len(kept) <= budget and len(set(kept)) == len(kept)
    crashes = sum(is_crash(found[i][1]) for i in kept)
    assert crashes <= share * len(kept) + 1e-9
    calm = sum(not is_crash(verdict) for _, verdict in found)
    assert len(kept) - crashes >= min(calm, budget - int(share * budget))


PROGRAM = "def f(x):\n    # note\n    for y in x:\n        a = y\n    b = [a,\n         1]\n    return b\n"


def test_cuts_leave_a_whole_program_where_they_can() -> None:
    lines = segment(PROGRAM)
    for seed in range(20):
        assert set(truncation_points(PROGRAM, lines, 0, 2, random.Random(seed))) == {3, 4}
    assert set(truncation_points(PROGRAM, lines, 0, 9, random.Random(0))) == {0, 2, 3, 4}
    assert set(truncation_points(PROGRAM, lines, PROGRAM.index("    a = y"), 9, random.Random(0))) == {3, 4}
    assert truncation_points("def f(x):\n    return x", segment("def f(x):\n    return x"), 0, 3, random.Random(0)) == [
        0
    ]


def test_rows_of_a_traceback_name_lines() -> None:
    assert [blamed_line(PROGRAM, row) for row in range(1, 9)] == [0, 1, 2, 3, 4, 4, 5, -1]
