"""The program in a chat model's answer: what stands in its code fence, with everything around it made a comment.

Positions do not move: the program is as long as the answer and every line of code stands where it stood, so that line
numbers of verdicts, line rewards and tokens stay those of the answer. What is around the code still counts as lines,
as comments do, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .languages import LANGUAGES, PYTHON

_START, _END = r"(?:(?<=[\r\n])|\A)", r"(?=[\r\n]|\Z)"
"""Of a line, whatever the line ends are."""
_FENCE = re.compile(rf"{_START}[ ]{{0,3}}(?P<mark>`{{3,}}|~{{3,}})[ \t]*(?P<info>[^\r\n`]*)(?:\r\n|\r|\n|\Z)")
_END_OF_THINKING = re.compile(rf"</think(?:ing)?>[ \t]*{_END}", re.IGNORECASE)
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_QUOTES = re.compile("\"{3}|'{3}")
_PYTHON_NAMES = (PYTHON, "py", "python3")


class Block(NamedTuple):
    """Code between two fences, as character indices of the answer."""

    start: int
    end: int
    info: str
    """What stands behind the opening fence, in lower case: a language or nothing."""


def fenced_blocks(answer: str, start: int = 0) -> list[Block]:
    """The code blocks of an answer from ``start`` on, in order. One that is never closed goes to the end: the answer
    was cut off.

    A fence within triple quotes belongs to a docstring and is none.
    """
    found: list[Block] = []
    position = start
    while opening := _FENCE.search(answer, position):
        if len(_QUOTES.findall(answer, position, opening.start())) % 2:
            end_of_string = _QUOTES.search(answer, opening.end())
            position = end_of_string.end() if end_of_string else len(answer)
            continue
        closing = re.compile(rf"{_START}[ ]{{0,3}}{opening['mark'][0]}{{{len(opening['mark'])},}}[ \t]*{_END}")
        end = closing.search(answer, opening.end())
        stop = end.start() if end else len(answer)
        found.append(Block(opening.end(), stop, opening["info"].split(" ")[0].strip().lower()))
        position = end.end() if end else len(answer)
    return found


def program_of(answer: str, *, entry_point: str = "", language: str = PYTHON) -> str:
    """The answer as a program of the same length: its code block as it is, every other line a comment.

    Of several blocks it is the last that defines ``entry_point``, or the last in ``language`` (or in none), or the
    last of all. An answer without a fence is the program itself. What a reasoning model thought before the end of its
    thinking (``</think>``) is a draft: nothing is taken from it.
    """
    mark = "#" if language == PYTHON else "//"
    thoughts = [found.end() for found in _END_OF_THINKING.finditer(answer)]
    start = thoughts[-1] if thoughts else 0
    blocks = fenced_blocks(answer, start)
    if not blocks:
        return _commented(answer[:start], mark) + answer[start:]
    block = _chosen(answer, blocks, entry_point, language)
    before, after = answer[: block.start], answer[block.end :]
    return _commented(before, mark) + answer[block.start : block.end] + _commented(after, mark)


def _chosen(answer: str, blocks: list[Block], entry_point: str, language: str) -> Block:
    names = _PYTHON_NAMES if language == PYTHON else (language, *LANGUAGES[language].aliases)
    fitting = [b for b in blocks if b.info in names] or [b for b in blocks if not b.info] or blocks
    if entry_point:
        name = re.escape(entry_point)
        definition = re.compile(rf"\b(?:def|class|function)\s+{name}\b|^{name}\s*=", re.MULTILINE)
        fitting = [b for b in fitting if definition.search(answer, b.start, b.end)] or fitting
    return fitting[-1]


def _commented(text: str, mark: str) -> str:
    """Every line that is not blank begins with ``mark``, in place of its first characters; the length stays."""
    return "".join(_comment(line, mark) + newline for line, newline in _pieces(text))


def _pieces(text: str) -> Iterable[tuple[str, str]]:
    return ((found[1], found[2]) for found in _LINE.finditer(text))


def _comment(line: str, mark: str) -> str:
    if not line.strip(" \t\f"):  # what a language reads as blank: other control characters are errors in it
        return line
    if len(line) < len(mark):
        return " " * len(line)
    # Python refuses source with NUL, and a C++ comment goes on behind a backslash
    return mark + line[len(mark) :].replace("\0", " ").rstrip("\\").ljust(len(line) - len(mark))
