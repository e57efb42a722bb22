"""Lines grouped into blocks: the coarser of the two units that a reward model may score.

A *block* is what runs as a whole once the line that begins it is reached: the header of a compound statement with the
simple statements right below it, or the simple statements that follow where such a suite has ended. So a block begins

- with every header (``for``, ``if``, ``else``, ``def``, …; decorators and their ``def`` or ``class`` are one header);
- where a suite has ended, that is with less indentation than the line before, or none more than a header before it;

and continues to the line before the next block. This is the compiler's basic block, but for where a branch belongs: a
header is scored with the lines that it guards rather than with the lines before it, since those show whether a
condition is right. Nested headers begin blocks of their own, so no block hides a branch.

Neutral lines decide nothing and belong to the block before them, the first ones to the first block: neither comments
nor ``pass`` make more blocks.

Whether a line begins a block depends on that line and the ones above it only. So, as with lines, cutting a program off
at the end of a block never moves the blocks before it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from prl_ray.lines.segment import Line, physical_lines, segment

Unit = Literal["line", "block", "physical"]
"""What has one score: a statement line of Python, a block of them, or a line as it stands in the file."""
UNITS: tuple[Unit, ...] = ("line", "block", "physical")


def units(program: str, unit: Unit = "line") -> list[Line]:
    """The scored units of a program, in order: its lines, its blocks as spans from the first line's start to the last
    line's end, or its physical lines. A block is neutral where all of its lines are."""
    if unit == "physical":
        return physical_lines(program)
    lines = segment(program)
    if unit == "line":
        return lines
    return [_joined(lines[block.start : block.stop]) for block in blocks(program, lines)]


def blocks(program: str, lines: Sequence[Line]) -> list[range]:
    """The blocks of ``lines`` (``segment(program)``) as ranges of their indices: none empty, in order, without gaps."""
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
    """Indentation as Python counts it: tabs go to the next multiple of eight, a form feed starts afresh."""
    row = max(program.rfind("\n", 0, line.start), program.rfind("\r", 0, line.start)) + 1
    return len(program[row : line.start].rpartition("\f")[2].expandtabs(8))


def _joined(lines: Sequence[Line]) -> Line:
    return Line(lines[0].start, lines[-1].end, all(line.neutral for line in lines), lines[0].header)
