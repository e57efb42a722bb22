"""A program text as statement lines.

A *line* is what Python's grammar calls a logical line: a simple statement, however many physical lines it spans, or the
header of a compound statement. So:

- ``else:``, ``case …:`` and each decorator are separate lines;
- ``if x: return 1`` is one line, and so is ``a = 1; b = 2``: code on one logical line shares a score;
- a trailing comment belongs to the code's line; a comment on its own line is a line (neutral);
- blank lines are not lines.

The scanner does not parse, so errors elsewhere in the program do not matter: truncating a program at the end of a line
never moves the lines before it. If no logical line can be read (a bracket or a string that never closes, a bracket
closed by another kind, a statement keyword inside brackets), the physical line is the line, and scanning restarts after
it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from prl_ray.lines.strings import STRING_START, string_end

_BLANK = " \t\f"  # Python's whitespace; str.strip() would also remove characters that Python rejects
_MARK = re.compile(
    rf"(?P<comment>#[^\r\n]*)|{STRING_START}|(?P<bracket>[(\[{{)\]}}])|(?P<joined>\\(?:\r\n|\r|\n))|(?P<newline>\r\n|\r|\n)"
)
_NEWLINE = re.compile(r"\r\n|\r|\n|\Z")
_CLOSER = {"(": ")", "[": "]", "{": "}"}
# Keywords that no expression contains: at the start of a physical line, they show that a bracket above was left open.
_STATEMENT = re.compile(
    rf"[{_BLANK}]*(?:assert|break|class|continue|def|del|elif|except|finally|global|import|nonlocal|pass|raise|return|try"
    r"|while|with)\b"
)
# The rest of a line without effect, after removing strings and comments: ``pass``, ``...`` and bare constants.
_NO_EFFECT = re.compile(r"(?:[\s;(),]|\.\.\.|\b(?:pass|None|True|False)\b|\b[0-9][\w.]*+)*+")
# Keywords that begin a compound statement or one of its clauses; ``match`` and ``case`` may be names too.
_HEADER = re.compile(
    r"\s*(?:@|(?:async|class|def|elif|else|except|finally|for|if|try|while|with)\b|(?:match|case)\b(?=.*:\s*\Z))",
    re.DOTALL,
)
_PHYSICAL = re.compile(r"[^\r\n]+")
_COMMENT_ONLY = re.compile(
    r"//.*|/\*(?:(?!\*/).)*\*/|#(?!\s*(?:include|define|undef|if|ifdef|ifndef|elif|else|endif|pragma|error|line)\b).*"
)
_MAX_BROKEN = 64  # each costs a scan to the end of the text; after that many, every physical line is a line


@dataclass(frozen=True, slots=True)
class Line:
    """One statement line: ``program[start:end]`` is its text without indentation, trailing blanks and newline."""

    start: int
    """Index of the first character after the indentation."""
    end: int
    """Index one past the last non-blank character, a trailing comment included."""
    neutral: bool
    """Has no effect: a comment, a docstring or other bare constants, ``pass``, ``...``."""
    header: bool = False
    """Begins a compound statement or one of its clauses (``for``, ``else``, …), or is a decorator."""


@dataclass(frozen=True, slots=True)
class _Scan:
    end: int
    """Where the newline begins (or the text ends)."""
    code: str
    """The code without strings, comments and joined newlines."""
    empty: bool
    """Only blanks."""


def segment(program: str) -> list[Line]:
    """The statement lines of ``program``, in order. Never raises; exact wherever the program is lexically valid.

    Linear in the length of the text.
    """
    lines: list[Line] = []
    position = broken = 0
    while position < len(program):
        scan = _scan_logical(program, position) if broken < _MAX_BROKEN else None
        if scan is None:
            broken += 1
            scan = _scan_physical(program, position)
        if not scan.empty:
            text = program[position : scan.end]
            start = position + len(text) - len(text.lstrip(_BLANK))
            neutral = _NO_EFFECT.fullmatch(scan.code) is not None
            header = _HEADER.match(scan.code) is not None
            lines.append(Line(start, position + len(text.rstrip(_BLANK + "\r\n")), neutral, header))
        newline = _NEWLINE.match(program, scan.end)
        position = newline.end() if newline else scan.end
    return lines


def physical_lines(program: str) -> list[Line]:
    """The physical lines of a program in any language, without blank lines.

    A line is neutral if it is only a one-line comment: ``//``, ``/* … */``, or ``#`` unless it begins a directive of
    the C preprocessor. Braces and indentation are ignored.
    """
    lines = []
    for found in _PHYSICAL.finditer(program):
        text = found.group().strip(_BLANK)
        if text:
            start = found.start() + found.group().index(text)
            lines.append(Line(start, start + len(text), _COMMENT_ONLY.fullmatch(text) is not None))
    return lines


def _scan_logical(program: str, position: int) -> _Scan | None:
    """The logical line that starts at ``position``; None if none can be read."""
    code: list[str] = []
    open_brackets: list[str] = []
    empty = True
    while mark := _MARK.search(program, position):
        code.append(program[position : mark.start()])
        position = mark.end()
        if mark["newline"]:
            if not open_brackets:
                return _finish(mark.start(), code, empty)
            if _STATEMENT.match(program, position):
                return None
        elif bracket := mark["bracket"]:
            if bracket in _CLOSER:
                open_brackets.append(_CLOSER[bracket])
            elif open_brackets and open_brackets.pop() != bracket:
                return None
            code.append(bracket)
        elif mark["quote"]:
            position = string_end(program, mark)
            if position < 0:
                return None
            code.append("f" if {"f", "t"} & set((mark["prefix"] or "").lower()) else "")
        code.append(" ")
        empty = empty and bool(mark["newline"] or mark["joined"])
    if open_brackets:
        return None
    code.append(program[position:])
    return _finish(len(program), code, empty)


def _finish(end: int, code: list[str], empty: bool) -> _Scan:
    text = "".join(code)
    return _Scan(end, text, empty and not text.strip(_BLANK))


def _scan_physical(program: str, position: int) -> _Scan:
    newline = _NEWLINE.search(program, position)
    end = newline.start() if newline else len(program)
    text = program[position:end]
    return _Scan(end, "broken", not text.strip(_BLANK))
