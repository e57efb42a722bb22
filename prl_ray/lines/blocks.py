"""Lines grouped into blocks: the coarser of a reward model's two units.

A *block* runs as a whole once its first line is reached: the header of a compound statement with the simple statements
directly below it, or the simple statements after the end of such a suite. So a block begins

- with every header (``for``, ``if``, ``else``, ``def``, …; decorators and their ``def`` or ``class`` are one header);
- after the end of a suite: at a line with less indentation than the line before, or no more than a header before it;

and continues to the line before the next block. This is the compiler's basic block with one difference: a header
belongs to the lines that it guards rather than to the lines before it, since the guarded lines show whether a condition
is right. Nested headers begin their own blocks, so no block hides a branch.

Neutral lines belong to the block before them, leading ones to the first block: comments and ``pass`` never add blocks.

Whether a line begins a block depends only on that line and the lines above it. So, as with lines, truncating a program
at the end of a block never moves the blocks before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from prl_ray.lines.segment import Line, physical_lines, segment

Unit = Literal["line", "block", "physical"]
"""The unit of a score: a Python statement line, a block of statement lines, or a physical line."""
UNITS: tuple[Unit, ...] = ("line", "block", "physical")


def units(program: str, unit: Unit = "line") -> list[Line]:
    """The scored units of a program, in order: its lines, its blocks as spans from the first line's start to the last
    line's end, or its physical lines. A block is neutral if all of its lines are."""
    if unit == "physical":
        return physical_lines(program)
    lines = segment(program)
    if unit == "line":
        return lines
    return [_joined(lines[block.start : block.stop]) for block in blocks(program, lines)]


def blocks(program: str, lines: Sequence[Line]) -> list[range]:
    """The blocks of ``lines`` (``segment(program)``) as ranges of their indices: in order, without gaps, none empty."""
    starts: list[int] = []
    before: Line | None = None
    for index, line in enumerate(lines):
        if index == 0 or (not line.neutral and before is not None and _begins(program, before, line)):
            starts.append(index)
        if not line.neutral:
            before = line
    return [range(start, stop) for start, stop in pairwise([*starts, len(lines)])]


def _begins(program: str, before: Line, line: Line) -> bool:
    """Whether a line begins a block; ``before`` is the last line above it that is not neutral."""
    if line.header:
        return program[before.start] != "@"
    deeper = _column(program, line) - _column(program, before)
    return deeper < 0 or (before.header and deeper == 0)


def _column(program: str, line: Line) -> int:
    """Indentation as Python counts it: tabs go to the next multiple of eight, a form feed resets the column."""
    row = max(program.rfind("\n", 0, line.start), program.rfind("\r", 0, line.start)) + 1
    return len(program[row : line.start].rpartition("\f")[2].expandtabs(8))


def _joined(lines: Sequence[Line]) -> Line:
    return Line(lines[0].start, lines[-1].end, all(line.neutral for line in lines), lines[0].header)
