"""The first wrong line of a program that a policy wrote, in the real sandbox."""

import pytest

from prl_ray.problems import Problem
from prl_ray.supervision import label_rollouts
from prl_ray.supervision.local import LocalExecution
from sandbox_workers import TestSuite
from tests.credit.reference import PREFIX, PROBLEM, REFERENCE


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        # as the reference, and otherwise: right
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return n", (-1, 1, 1, 1, 1, 1)),
        ("    xs.sort()\n    return sum(x + 3 for x in xs[:2])", (-1, 1, 1, 1)),
        # a wrong constant in the first, the second, the last place
        (
            "    xs = [x + 4 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return n",
            (-1, 0, -1, -1, -1, -1),
        ),
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:3])\n    return n", (-1, 1, 1, 0, -1, -1)),
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return xs", (-1, 1, 1, 1, 0, -1)),
        # in a program with steps of its own
        ("    ys = sorted(xs)\n    return sum(x + 2 for x in ys[:2])", (-1, 1, 0, -1)),
        # a step is missing: what comes too early is wrong
        ("    xs = [x + 3 for x in xs]\n    n = sum(xs[:2])\n    return n", (-1, 1, 0, -1, -1)),
        # the end comes too early
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)", (-1, 1, 1, 0)),
        # does not parse
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs\n    n = sum(xs[:2])\n    return n", (-1, 1, 0, -1, -1, -1)),
        # raises whatever follows; the line before it has no witness, or one under another name
        ("    ys = [x + 4 for x in xs]\n    n = missing + 1\n    return n", (-1, -1, 0, -1, -1)),
        ("    ys = [x + 3 for x in xs]\n    n = missing + 1\n    return n", (-1, 1, 0, -1, -1)),
        # returns a wrong result whatever follows
        ("    return 7", (-1, 0, -1)),
        # wrong, but nothing says where
        ("    ys = xs[::-1]\n    return ys", (-1, -1, -1, -1)),
    ],
)
def test_first_wrong_line(body: str, labels: tuple[int, ...], execution: LocalExecution) -> None:
    report = label_rollouts([(PROBLEM, PREFIX + body)], execution.verify, execution.locate, execution.call)
    (row,) = report.rows
    assert row.line_labels == labels
    assert row.passed == (1 in labels and 0 not in labels) and row.operator == "rollout"


def test_weak_tests_give_no_positive_label(execution: LocalExecution) -> None:
    weak = Problem("w", "p", "f", TestSuite("assert", tests=("assert f([0, 1]) == 7",)), (REFERENCE,), "train")
    program = PREFIX + "    return 7"
    (row,) = label_rollouts([(weak, program)], execution.verify, execution.locate, execution.call).rows
    assert row.passed and set(row.line_labels) == {-1}
    (row,) = label_rollouts([(weak, program)], execution.verify, execution.locate).rows
    assert row.passed and set(row.line_labels) == {1}


@pytest.mark.parametrize(
    ("body", "labels"),
    [
        # the limit came after `return x`, inside `return xs[0]`, after the last character, and long after the error
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return x", (-1, 1, 1, 1, -1, -1)),
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])", (-1, 1, 1, -1, -1)),
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return n", (-1, 1, 1, 1, -1, -1)),
        ("    xs = [x + 4 for x in xs]\n    xs = sorted(xs)\n    n = su", (-1, 0, -1, -1, -1)),
    ],
)
def test_a_truncated_program_has_no_label_where_it_was_cut(
    body: str, labels: tuple[int, ...], execution: LocalExecution
) -> None:
    pair, given = (PROBLEM, PREFIX + body), (execution.verify, execution.locate, execution.call)
    (row,) = label_rollouts([pair], *given, finished=[False]).rows
    assert row.line_labels == labels
    as_ended, as_cut = label_rollouts([pair, pair], *given, finished=[True, False]).rows
    assert as_cut == row and as_ended.program == row.program


def test_repeats_are_labelled_once(execution: LocalExecution) -> None:
    report = label_rollouts([(PROBLEM, REFERENCE)] * 3, execution.verify, execution.locate, execution.call)
    assert len(report.rows) == 1 and report.totals["executed"] == 1
    assert label_rollouts([], execution.verify, execution.locate).rows == []
