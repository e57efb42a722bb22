"""Labels of a line, by hand."""

import pytest

from prl_ray.lines import segment
from prl_ray.supervision.rows import NEGATIVE, POSITIVE, UNLABELLED, LabelledProgram, line_labels, without_repeats

PROGRAM = "def f(x):\n    # note\n    a = x\n    b = a\n    return b"
LINES = segment(PROGRAM)


@pytest.mark.parametrize(
    ("changed", "label", "after_error", "expected"),
    [
        ((-1, -1), POSITIVE, "drop", (1, -1, 1, 1, 1, 1)),
        ((2, 2), POSITIVE, "drop", (1, -1, 1, 1, 1, 1)),
        ((2, 2), NEGATIVE, "drop", (1, -1, 0, -1, -1, -1)),
        ((2, 2), NEGATIVE, "negative", (1, -1, 0, 0, 0, 0)),
        ((2, 2), NEGATIVE, "original", (1, -1, 0, 1, 1, -1)),
        ((2, 2), UNLABELLED, "negative", (1, -1, -1, -1, -1, -1)),
        ((5, 5), NEGATIVE, "drop", (1, -1, 1, 1, 1, 0)),  # the end: a truncation
        ((5, 5), NEGATIVE, "original", (1, -1, 1, 1, 1, 0)),
        ((2, 4), NEGATIVE, "drop", (1, -1, -1, -1, 0, -1)),  # something was left out that line 4 needs
    ],
)
def test_line_labels(changed: tuple[int, int], label: int, after_error: str, expected: tuple[int, ...]) -> None:
    assert line_labels(LINES, prefix=0, changed=changed, label=label, after_error=after_error) == expected


def test_lines_of_the_prefix_have_no_label() -> None:
    prefix = PROGRAM.index("    a = x")
    assert line_labels(LINES, prefix=prefix, changed=(3, 3), label=NEGATIVE) == (-1, -1, 1, 0, -1, -1)


def row(task: str, program: str, labels: tuple[int, ...]) -> LabelledProgram:
    return LabelledProgram(task, "", "", program, labels, False, "x", -1, -1, "passed")


def test_what_rows_share_counts_once() -> None:
    rows = [
        row("t", "a\nb\nc", (1, 1, 1, 1)),
        row("t", "a\nx\nc", (1, 0, -1, -1)),
        row("t", "a\nb", (1, 1, 0)),
        row("u", "a\nb", (1, 1, 1)),
        row("t", "a\nb\nd", (-1, 1, 0, -1)),
    ]
    expected = [(1, 1, 1, 1), (-1, 0, -1, -1), (-1, -1, 0), (1, 1, 1), (-1, -1, 0, -1)]
    assert [r.line_labels for r in without_repeats(rows)] == expected
    assert without_repeats(rows)[1].program == "a\nx\nc"
