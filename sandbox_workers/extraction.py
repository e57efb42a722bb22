"""The program in a chat model's answer: the text of its code fence, with everything around it made a comment.

Positions do not move: the program is as long as the answer and every line of code stands where it stood, so that line
numbers of verdicts, line rewards and tokens stay those of the answer. What is around the code still counts as lines,
as comments do, and decides nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from .languages import LANGUAGES, PYTHON

_START, _END = r"(?:(?<=[\r\n])|\A\ufeff?)", r"(?=[\r\n]|\Z)"
"""Of a line, whatever the line ends are."""
_FENCE = re.compile(rf"{_START}[ ]{{0,3}}(?P<mark>`{{3,}}|~{{3,}})[ \t]*(?P<info>[^\r\n`]*)(?:\r\n|\r|\n|\Z)")
_THINKING = re.compile(r"\s*<think(?:ing)?>", re.IGNORECASE)
_END_OF_THINKING = re.compile(rf"</think(?:ing)?>[ \t]*{_END}", re.IGNORECASE)
_LINE = re.compile(r"([^\r\n]*)(\r\n|\r|\n|\Z)")
_QUOTES = re.compile("\"{3}|'{3}")
_STRING_STARTS = re.compile(r"(?:[ \t]*|.*(?:[=(\[{,]|\breturn)[ \t]*)[rbuf]{0,2}", re.IGNORECASE)
"""Text before a string on its line in code; prose that names three quotes has words there."""
_PYTHON_NAME = re.compile(r"i?py(?:thon)?[\d.]*")
_DOCUMENTS = ("markdown", "md")
"""A fence of these holds text with fences of its own."""


class Block(NamedTuple):
    """Code between two fences, as character indices of the answer."""

    start: int
    end: int
    info: str
    """The word behind the opening fence, in lower case: a language or nothing."""


def fenced_blocks(answer: str, start: int = 0, stop: int | None = None) -> list[Block]:
    """The code blocks of ``answer[start:stop]``, in order. One that is never closed goes to the end: the answer was cut
    off.

    A fence within triple quotes belongs to a docstring and is none. Of a fenced Markdown text, its own blocks count.
    """
    found: list[Block] = []
    position, last = start, len(answer) if stop is None else stop
    while opening := _FENCE.search(answer, position, last):
        if quote := _open_string(answer, position, opening.start()):
            end_of_string = answer.find(quote, opening.end(), last)
            position = last if end_of_string < 0 else end_of_string + len(quote)
            continue
        closing = _closing(answer, opening, last)
        end = closing.start() if closing else last
        block = Block(opening.end(), end, opening["info"].split(" ")[0].strip().strip("{}.").lower())
        found += (fenced_blocks(answer, block.start, end) if block.info in _DOCUMENTS else []) or [block]
        position = closing.end() if closing else last
    return found


def _closing(answer: str, opening: re.Match[str], stop: int) -> re.Match[str] | None:
    """The fence that closes a block: words may follow it, and one within a docstring closes only if none follows."""
    mark = opening["mark"]
    fence = re.compile(rf"{_START}[ ]{{0,3}}{mark[0]}{{{len(mark)},}}(?:[ \t\f]+[^\r\n{mark[0]}]*)?{_END}")
    found = list(fence.finditer(answer, opening.end(), stop))
    outside = (m for m in found if not _open_string(answer, opening.end(), m.start()))
    return next(outside, found[0] if found else None)


def _open_string(answer: str, start: int, stop: int) -> str:
    """The quotes of the string that begins in ``answer[start:stop]`` and does not end there; empty if none does."""
    quote = ""
    for found in _QUOTES.finditer(answer, start, stop):
        if quote:
            quote = "" if found[0] == quote else quote
        elif _STRING_STARTS.fullmatch(answer, _line_start(answer, found.start()), found.start()):
            quote = found[0]
    return quote


def _line_start(answer: str, position: int) -> int:
    return max(answer.rfind("\n", 0, position), answer.rfind("\r", 0, position)) + 1


def program_of(answer: str, *, entry_point: str = "", language: str = PYTHON) -> str:
    """The answer as a program of the same length: its code block as it is, every other line a comment.

    Of several blocks it is the last that defines ``entry_point``, or the last in ``language`` (or in none), or the
    last of all. An answer without a fence is the program itself. What a reasoning model thought before the end of its
    thinking (``</think>``, or the end of an answer that is cut off before) is a draft: nothing is taken from it.
    """
    mark = "#" if language == PYTHON else "//"
    thoughts = [found.end() for found in _END_OF_THINKING.finditer(answer)]
    if not thoughts and _THINKING.match(answer):
        return _commented(answer, mark)
    start = thoughts[-1] if thoughts else 0
    blocks = fenced_blocks(answer, start)
    if not blocks:
        return _commented(answer[:start], mark) + answer[start:]
    block = _chosen(answer, blocks, entry_point, language)
    before, after = answer[: block.start], answer[block.end :]
    return _commented(before, mark) + answer[block.start : block.end] + _commented(after, mark)


def _chosen(answer: str, blocks: list[Block], entry_point: str, language: str) -> Block:
    named = [b for b in blocks if _is_named(b.info, language)]
    plain = [b for b in blocks if not b.info]
    kinds: tuple[list[Block], ...] = (named, plain, blocks)
    if entry_point:
        name = re.escape(entry_point)
        definition = re.compile(rf"\b(?:def|class|function)\s+{name}\b|^{name}\s*=", re.MULTILINE)
        kinds = (*([b for b in kind if definition.search(answer, b.start, b.end)] for kind in kinds), *kinds)
    return next(kind for kind in kinds if kind)[-1]


def _is_named(info: str, language: str) -> bool:
    if language == PYTHON:
        return _PYTHON_NAME.fullmatch(info) is not None
    return info in (language, *LANGUAGES[language].aliases)


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
