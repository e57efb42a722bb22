"""Lines that fail whatever follows them: text that no Python begins with, and lines that raise as the last ones too."""

from __future__ import annotations

import ast
import codeop
from collections.abc import Sequence

from prl_ray.credit.trace import physical_lines
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
        number = error.lineno  # of the physical line, which may be empty: then the next one does not go on
        return next((index for index, line in enumerate(lines) if physical_lines(program, line)[1] >= number), None)
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
