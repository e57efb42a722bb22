"""Selection of the labels to keep, and of the truncation points of references."""

from __future__ import annotations

import ast
import random
from collections import Counter
from collections.abc import Sequence

from prl_ray.lines import Line, segment
from sandbox_workers import Status, Verdict

_CRASHES = (Status.RUNTIME_ERROR, Status.COMPILE_ERROR)


def is_crash(verdict: Verdict) -> bool:
    """Whether a program crashed without passing a test."""
    return verdict.status in _CRASHES and verdict.passed == 0


def select_negatives(
    found: Sequence[tuple[int, Verdict]], budget: int, max_crash_share: float, rng: random.Random
) -> list[int]:
    """Indices of the negatives to keep.

    Variants that fail only some tests come first, then wrong answers, then crashes; lines that already have a negative
    come later. Crashes are at most ``max_crash_share`` of those kept.

    Args:
        found: (changed line, verdict) of each killed variant of one program.
        budget: maximum number of negatives to keep.
        max_crash_share: in [0, 1].
        rng: breaks ties.
    """
    left = list(range(len(found)))
    rng.shuffle(left)
    used: Counter[int] = Counter()
    calm: list[int] = []
    crashes: list[int] = []
    while left and len(calm) + len(crashes) < budget:
        best = min(left, key=lambda i: _rank(found[i][1]) + used[found[i][0]])
        left.remove(best)
        if not is_crash(found[best][1]):
            calm.append(best)
        elif len(crashes) < int(max_crash_share * budget + 1e-9):
            crashes.append(best)
        else:
            continue
        used[found[best][0]] += 1
    if max_crash_share < 1:  # with fewer variants than the budget, the share refers to the kept ones
        crashes = crashes[: int(len(calm) * max_crash_share / (1 - max_crash_share) + 1e-9)]
    return calm + crashes


def _rank(verdict: Verdict) -> int:
    return 0 if verdict.passed else 2 if is_crash(verdict) else 1


def blamed_line(program: str, row: int) -> int:
    """Index of the line that holds the 1-based physical line ``row``; -1 if there is none."""
    for index, line in enumerate(segment(program)):
        if program.count("\n", 0, line.start) < row <= program.count("\n", 0, line.end) + 1:
            return index
    return -1


def truncation_points(program: str, lines: Sequence[Line], prefix: int, count: int, rng: random.Random) -> list[int]:
    """Indices of lines after which a program is truncated: at most ``count``, first those that leave a complete
    program.

    The last line, neutral lines and lines inside the prefix are never chosen.
    """
    last = max((i for i, line in enumerate(lines) if not line.neutral), default=0)
    places = [i for i, line in enumerate(lines[:last]) if not line.neutral and line.end > prefix]
    rng.shuffle(places)
    if len(places) > count:
        places.sort(key=lambda i: not _parses(program[: lines[i].end]))
    return places[:count]


def _parses(program: str) -> bool:
    try:
        ast.parse(program)
    except SyntaxError:
        return False
    return True
