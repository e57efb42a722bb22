"""Labels of a line, by hand."""

import pytest

from prl_ray.lines import segment
from prl_ray.supervision.rows import NEGATIVE, POSITIVE, UNLABELLED, line_labels

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
