"""Standard output as an answer: the rules that compare it with the expected text, and one verdict of many cases.

==================================  ================================================================================
rule                                the output is right if
==================================  ================================================================================
``exact``                           it is the expected text, character by character
``lines`` (the default)             it has the same lines; blanks at the ends of lines and empty lines at the end do
                                    not count; blanks before one of several lines do, as in testlib's ``fcmp``: they
                                    shape patterns; a real number may differ as described at ``same_real``
``tokens``                          it has the same words, whatever the blanks and line ends between them
``floats(ABS, REL)``                it has the same lines of words; blanks around words and empty lines do not count,
                                    as in testlib's ``lcmp`` and for the graders of APPS and LiveCodeBench; a number
                                    may differ by ABS, or by REL times the expected number
``tokens(ABS, REL)``                as ``tokens``, numbers as in ``floats``
``checker``                         the problem's own program says so (``suite.Checker``)
==================================  ================================================================================

``ignoring case`` may follow every rule but ``exact`` and ``checker``: letters are then compared without their case.
Two whole numbers are always compared exactly: a tolerance is for real numbers only. Only plain decimal notation is a
number: ``1_000``, ``0x1p3``, ``nan`` and digits of other scripts are words.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from decimal import Context, Decimal
from functools import lru_cache, partial

from .errors import SuiteError
from .verdict import MOST_ANSWERS, Verdict

DEFAULT = "lines"
CHECKER = "checker"
RULES = ("exact", "lines", "tokens", "tokens(ABS, REL)", "floats(ABS, REL)", CHECKER)
SHOWN_ABS = 1e-6
"""How far a printed real number may be from the expected one under ``lines``, as most judges ask."""
SHOWN_REL = 1e-12
"""The same, relative to the expected number: the loss of adding up a few thousand doubles, and no more."""
MONEY_DECIMALS = 2
"""Numbers with two decimals are mostly money, times and versions: both decimals have to be printed."""
MAX_NUMBER_LENGTH = 400
_BLANKS = " \t\r\f\v"
_WORD = re.compile(r"[^ \t\r\f\v\n]+")
"""Words lie between blanks of ASCII: other blanks of Python's ``split`` may be characters of a word."""
_REAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+([eE][+-]?[0-9]+)?|[eE][+-][0-9]+)", re.A)
"""A real number as languages print it: with a decimal point, or an exponent with a sign. ``12e3`` is a word."""
_PRINTED = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?", re.A)
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?", re.A)
_WHOLE = re.compile(r"[+-]?[0-9]+", re.A)
_RULE = re.compile(r"(?P<name>[a-z]+)(?:\((?P<abs>[^,()]+),(?P<rel>[^,()]+)\))?(?P<case> ignoring case)?")
_DECIMALS = Context(prec=MAX_NUMBER_LENGTH * 2, traps=[])
"""Wide enough for every number that is compared; an exponent out of its range compares as unequal."""

Comparison = Callable[[str, str], bool]
"""Whether the printed text is as expected: ``(printed, expected)``."""


@lru_cache(maxsize=256)
def comparison(rule: str) -> Comparison:
    """The comparison of a rule of the table above, ``checker`` excepted.

    Raises:
        SuiteError: there is no such rule, or its tolerance is not a number from 0 on.
    """
    found = _parsed(rule)
    name = found["name"]
    if found["abs"] is None:
        compare = _PLAIN_RULES.get(name)
    else:
        abs_error, rel_error = map(Decimal, tolerance(rule))
        unit = _TOLERANT_RULES.get(name)
        compare = unit and partial(unit, same=partial(same_number, abs_error=abs_error, rel_error=rel_error))
    if compare is None or (name == "exact" and found["case"]):
        raise SuiteError(f"unknown compare {rule!r}; one of {', '.join(RULES)}")
    return partial(_ignoring_case, compare) if found["case"] else compare


def tolerance(rule: str) -> tuple[float, float]:
    """Absolute and relative tolerance of a rule that has them.

    Raises:
        SuiteError: it has none, or they are not numbers from 0 on.
    """
    found = _parsed(rule)
    try:
        parts = float(found["abs"] or "nan"), float(found["rel"] or "nan")
    except ValueError:
        parts = math.nan, math.nan
    if not all(0 <= part < math.inf for part in parts):
        raise SuiteError(f"the tolerances of compare {rule!r} have to be numbers from 0 on")
    return parts


def _parsed(rule: str) -> re.Match[str]:
    found = _RULE.fullmatch(rule.strip())
    if found is None:
        raise SuiteError(f"unknown compare {rule!r}; one of {', '.join(RULES)}")
    return found


def _ignoring_case(compare: Comparison, printed: str, expected: str) -> bool:
    return compare(printed.lower(), expected.lower())


def same_tokens(printed: str, expected: str) -> bool:
    """Whether two texts have the same words."""
    return _WORD.findall(printed) == _WORD.findall(expected)


def same_lines(printed: str, expected: str) -> bool:
    """Whether two texts have the same lines, but for blanks at their ends, and the last digits of real numbers."""
    lines, wanted = _lines(printed), _lines(expected)
    return lines == wanted or (len(lines) == len(wanted) and all(map(_same_line, lines, wanted)))


def _lines(text: str) -> list[str]:
    lines = [line.rstrip(_BLANKS) for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return [lines[0].lstrip(_BLANKS)] if len(lines) == 1 else lines


def _same_line(line: str, wanted: str) -> bool:
    if line == wanted:
        return True
    words, wanted_words = re.split(r"([ \t]+)", line), re.split(r"([ \t]+)", wanted)
    return _same_words(words, wanted_words, same_real)


def _same_tokens_nearly(printed: str, expected: str, same: Comparison) -> bool:
    return _same_words(_WORD.findall(printed), _WORD.findall(expected), same)


def _same_lines_of_words(printed: str, expected: str, same: Comparison) -> bool:
    lines, wanted = _lines_of_words(printed), _lines_of_words(expected)
    return len(lines) == len(wanted) and all(
        _same_words(words, wanted_words, same) for words, wanted_words in zip(lines, wanted, strict=True)
    )


def _lines_of_words(text: str) -> list[list[str]]:
    return [words for line in text.split("\n") if (words := _WORD.findall(line))]


def _same_words(words: Sequence[str], wanted: Sequence[str], same: Comparison) -> bool:
    return words == wanted or (len(words) == len(wanted) and all(map(same, words, wanted)))


def same_real(word: str, wanted: str) -> bool:
    """Whether a word stands for the same real number as the expected word, as languages print real numbers.

    Only where the expected word has a decimal point or a signed exponent, and the printed word is a number too:
    ``2.5`` for ``2.500000``, ``0.30000000000000004`` for ``0.3``, ``3`` for ``3.0``. They may differ by ``SHOWN_ABS``,
    or by ``SHOWN_REL`` of the expected number. An expected number with two decimals is mostly money, a time or a
    version: there ``5.5`` is not ``5.50``.
    """
    if word == wanted:
        return True
    found = _REAL.fullmatch(wanted)
    if not found or not _PRINTED.fullmatch(word):
        return False
    decimals = found[2].partition(".")[2]
    if len(decimals) == MONEY_DECIMALS and decimals.isdigit() and _decimals(word) < MONEY_DECIMALS:
        return False
    return _is_near(word, wanted, Decimal(SHOWN_ABS), Decimal(SHOWN_REL))


def _decimals(word: str) -> int:
    return len(re.split("[eE]", word.partition(".")[2])[0])


def same_number(word: str, wanted: str, *, abs_error: Decimal, rel_error: Decimal) -> bool:
    """Whether two words are the same, or numbers within the tolerance; whole numbers have to be equal."""
    if word == wanted:
        return True
    if not _NUMBER.fullmatch(word) or not _NUMBER.fullmatch(wanted):
        return False
    if _WHOLE.fullmatch(word) and _WHOLE.fullmatch(wanted):
        abs_error = rel_error = Decimal(0)
    return _is_near(word, wanted, abs_error, rel_error)


def _is_near(word: str, wanted: str, abs_error: Decimal, rel_error: Decimal) -> bool:
    if max(len(word), len(wanted)) > MAX_NUMBER_LENGTH:
        return False
    number, expected = _DECIMALS.create_decimal(word), _DECIMALS.create_decimal(wanted)
    difference = _DECIMALS.abs(_DECIMALS.subtract(number, expected))
    allowed = _DECIMALS.multiply(rel_error, _DECIMALS.abs(expected))
    return difference.is_finite() and difference <= max(abs_error, allowed)


_PLAIN_RULES: dict[str, Comparison] = {"exact": operator.eq, "lines": same_lines, "tokens": same_tokens}
_TOLERANT_RULES = {"floats": _same_lines_of_words, "tokens": _same_tokens_nearly}


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
        tests="".join(verdict.tests for verdict in verdicts).ljust(total, "-"),
        answers=tuple(answer for verdict in verdicts for answer in verdict.answers)[:MOST_ANSWERS],
    )
