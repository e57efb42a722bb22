"""Standard output as an answer: the usual tolerant comparison, and many cases as one verdict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from .verdict import Verdict

TOLERANCE = 1e-6


def same_output(printed: str, expected: str) -> bool:
    """Whether two outputs are the same but for blanks around and between words, and the last digits of real numbers.

    Numbers are compared with a tolerance (absolute or relative) only where a real number is expected.
    """
    words, wanted = printed.split(), expected.split()
    return words == wanted or (len(words) == len(wanted) and all(map(_same_word, words, wanted)))


def _same_word(word: str, wanted: str) -> bool:
    if word == wanted:
        return True
    if not any(mark in wanted for mark in ".eE") or len(word) > 400 or len(wanted) > 400:
        return False
    try:
        number, wanted_number = float(word), float(wanted)
    except ValueError:
        return False
    return math.isclose(number, wanted_number, rel_tol=TOLERANCE, abs_tol=TOLERANCE)


def combined(verdicts: Sequence[Verdict], total: int) -> Verdict:
    """One verdict of many cases: the first failure's, with the sums of time and the largest of the peaks."""
    first = next((verdict for verdict in verdicts if not verdict.ok), verdicts[-1])
    return replace(
        first,
        passed=sum(verdict.ok for verdict in verdicts),
        total=total,
        wall_s=sum(verdict.wall_s for verdict in verdicts),
        cpu_s=sum(verdict.cpu_s for verdict in verdicts),
        peak_bytes=max(verdict.peak_bytes for verdict in verdicts),
    )
