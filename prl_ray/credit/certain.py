"""Lines that fail whatever follows them: text that no Python begins with, and lines that raise as the last ones too."""

from __future__ import annotations

import ast
import codeop
from collections.abc import Sequence

from prl_ray.lines import Line

_FLAGS = ast.PyCF_ONLY_AST | codeop.PyCF_ALLOW_INCOMPLETE_INPUT  # type: ignore[attr-defined]  # since Python 3.11
_INCOMPLETE = "incomplete input"
"""The parser's message for text that further lines could complete."""


def syntax_error(program: str, lines: Sequence[Line]) -> int | None:
    """Index of the line at which the text cannot go on as Python; None if all of it can."""
    try:
        compile(program, "program", "exec", _FLAGS, dont_inherit=True)
    except SyntaxError as error:
        if error.lineno is None or _INCOMPLETE in str(error):
            return None
        return _line_at(program, lines, error.lineno)
    except (ValueError, MemoryError, RecursionError):  # null bytes, or nested too deeply for this process
        return None
    return None


def cut_behind(program: str, line: Line) -> str:
    """The program up to this line; a line that begins a block gets an empty one."""
    kept = program[: line.end]
    if not line.header or _parses(kept):
        return kept
    indentation = program[program.rfind("\n", 0, line.start) + 1 : line.start]
    return f"{kept}\n{indentation}    pass"


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return True


def _line_at(program: str, lines: Sequence[Line], number: int) -> int | None:
    """Index of the line that holds a physical line, counted from 1; of the next one if that is empty."""
    starts = [0, *(at + 1 for at, character in enumerate(program) if character == "\n")]
    if number > len(starts):
        return None
    return next((index for index, line in enumerate(lines) if line.end > starts[number - 1]), None)
