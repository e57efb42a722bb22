"""The labelled program, and its labels from a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from prl_ray.lines import Line, Unit, blocks, segment, units

POSITIVE, NEGATIVE, UNLABELLED = 1, 0, -1


@dataclass(frozen=True, slots=True)
class LabelledProgram:
    """One program with one label per line: training data of the reward models."""

    task_id: str
    prompt: str
    code_prefix: str
    program: str
    """``code_prefix`` and a response; it differs from its original at the line whose label changes."""
    line_labels: tuple[int, ...]
    """Aligned with ``segment(program)`` plus one last entry for the *end*; 1 positive, 0 negative, -1 unlabelled.
    Labels on disk and in reports are always per line; ``in_units`` aligns them with blocks for training."""
    passed: bool
    """Whether the whole program passes its tests (the ORM's label)."""
    operator: str
    """``reference``, ``truncation``, or the operator's name; ``a+b`` is mutation b on a program refactored by a."""
    changed_line: int
    """Index of the line that has the label of the change; -1 for references. ``len(segment(program))`` names the end.

    It is the first line that differs from the program it was made from (the same index there). If something is missing
    that only a later line needs, it is that later line.
    """
    killed_by: int
    """Index of the first failing test, -1 if none failed or none can be named."""
    status: str
    """Status of the verdict."""


def line_labels(
    lines: Sequence[Line], *, prefix: int, changed: tuple[int, int], label: int, after_error: str = "drop"
) -> tuple[int, ...]:
    """Labels of a program that is right up to a line, which gets ``label``.

    Args:
        lines: ``segment(program)``.
        prefix: ``len(code_prefix)``; lines that end inside it are given and stay unlabelled.
        changed: (first line that differs from a right program, line that has the label), indices into ``lines`` or
            ``len(lines)`` for the end. They differ if something is missing that only a later line needs; the lines
            between stay unlabelled.
        label: ``POSITIVE`` makes every line and the end positive, wherever the change is.
        after_error: labels after a negative changed line: none (``drop``), all ``negative``, or those of the
            ``original``, where the end stays unlabelled because the end of a wrong program is never right.

    Returns:
        One label per line and one for the end. Neutral lines are unlabelled.
    """
    count = len(lines)
    if label == POSITIVE:
        labels = [POSITIVE] * (count + 1)
    else:
        first, wrong = changed
        after = {"drop": UNLABELLED, "negative": NEGATIVE, "original": POSITIVE}[after_error]
        labels = [POSITIVE] * first + [UNLABELLED] * (wrong - first) + [label]
        labels += [after if label == NEGATIVE else UNLABELLED] * (count - wrong)
        if wrong < count and after_error == "original":
            labels[count] = UNLABELLED
    for i, line in enumerate(lines):
        if line.neutral or line.end <= prefix:
            labels[i] = UNLABELLED
    return tuple(labels)


def in_units(row: LabelledProgram, unit: Unit) -> LabelledProgram:
    """The row with labels aligned with ``units(program, unit)`` and the end.

    A block is negative if one of its lines is; positive if all of its lines are, ignoring neutral lines and those of
    the code prefix; unlabelled otherwise.
    """
    if unit == "line":
        return row
    lines = segment(row.program)
    labels: list[int] = []
    changed = -1
    for number, block in enumerate(blocks(row.program, lines)):
        own = {row.line_labels[i] for i in block if not lines[i].neutral and lines[i].end > len(row.code_prefix)}
        labels.append(NEGATIVE if NEGATIVE in own else POSITIVE if own == {POSITIVE} else UNLABELLED)
        changed = number if row.changed_line in block else changed
    changed = len(labels) if row.changed_line == len(lines) else changed
    return replace(row, line_labels=(*labels, row.line_labels[-1]), changed_line=changed)


def without_repeats(rows: Sequence[LabelledProgram], unit: Unit = "line") -> list[LabelledProgram]:
    """The same rows, but a line loses its label if an earlier row of the task labels it after the same text.

    Variants of one reference share their first lines. Each of those then counts once, so that repetition does not
    inflate the positives. Ends count like lines. With ``unit="block"`` the rows are those of ``in_units``, and the same
    holds for blocks.
    """
    seen: set[tuple[str, str]] = set()
    result = []
    for row in rows:
        labels = list(row.line_labels)
        ends = [line.end for line in units(row.program, unit)]
        for i, key in enumerate((row.task_id, text) for text in (*(row.program[:e] for e in ends), row.program + "\0")):
            if labels[i] != UNLABELLED and key in seen:
                labels[i] = UNLABELLED
            elif labels[i] != UNLABELLED:
                seen.add(key)
        result.append(replace(row, line_labels=tuple(labels)))
    return result
