"""Labels of a line, by hand."""

from dataclasses import replace

import pytest

from prl_ray.lines import segment
from prl_ray.supervision.rows import (
    NEGATIVE,
    POSITIVE,
    UNLABELLED,
    LabelledProgram,
    in_units,
    line_labels,
    without_repeats,
)

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


BLOCKS = "def f(xs):\n    # note\n    n = 0\n    for x in xs:\n        n += x\n        n *= 2\n    return n"
"""Three blocks: lines 0 to 2, 3 to 5, and 6."""


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ((1, -1, 1, 1, 1, 1, 1, 1), (1, 1, 1, 1)),
        ((1, -1, 0, -1, -1, -1, -1, -1), (0, -1, -1, -1)),
        ((1, -1, 1, 1, 0, -1, -1, -1), (1, 0, -1, -1)),
        ((1, -1, 1, 1, -1, -1, -1, -1), (1, -1, -1, -1)),
        ((1, -1, 1, -1, -1, 0, -1, -1), (1, 0, -1, -1)),
        ((1, -1, 1, 1, 1, 1, 0, -1), (1, 1, 0, -1)),
        ((1, -1, 1, 1, 1, 1, 1, 0), (1, 1, 1, 0)),
    ],
)
def test_a_block_is_negative_with_one_line_and_positive_with_all(
    labels: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert in_units(row("t", BLOCKS, labels), "block").line_labels == expected
    assert in_units(row("t", BLOCKS, labels), "line").line_labels == labels


def test_the_changed_line_is_found_in_its_block() -> None:
    for line, block in ((-1, -1), (0, 0), (2, 0), (4, 1), (6, 2), (7, 3)):
        found = in_units(replace(row("t", BLOCKS, (1, -1, 1, 1, 1, 1, 1, 1)), changed_line=line), "block")
        assert found.changed_line == block


def test_a_block_that_begins_in_the_prefix_has_the_label_of_the_rest() -> None:
    prefix = BLOCKS[: BLOCKS.index("    n = 0")]
    given = replace(row("t", BLOCKS, (-1, -1, 1, 1, 1, 1, 1, 1)), code_prefix=prefix)
    assert in_units(given, "block").line_labels == (1, 1, 1, 1)
    all_given = replace(given, code_prefix=BLOCKS[: BLOCKS.index("    for")], line_labels=(-1, -1, -1, 1, 1, 1, 1, 1))
    assert in_units(all_given, "block").line_labels == (-1, 1, 1, 1)


def test_blocks_that_rows_share_count_once() -> None:
    rows = [
        row("t", BLOCKS, (1, -1, 1, 1, 1, 1, 1, 1)),
        row("t", BLOCKS.replace("+= x", "-= x"), (1, -1, 1, 1, 0, -1, -1, -1)),
    ]
    found = without_repeats([in_units(r, "block") for r in rows], "block")
    assert [r.line_labels for r in found] == [(1, 1, 1, 1), (-1, 0, -1, -1)]
