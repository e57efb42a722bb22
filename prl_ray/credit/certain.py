"""Lines that fail whatever follows them: text that no Python begins with, lines that raise as the last ones too, and
lines that return a wrong result before anything has been computed."""

from __future__ import annotations

import ast
import codeop
from collections.abc import Mapping, Sequence

from prl_ray.credit.expected import equal
from prl_ray.credit.trace import State, physical_lines, returned
from prl_ray.lines import Line

_FLAGS = ast.PyCF_ONLY_AST | codeop.PyCF_ALLOW_INCOMPLETE_INPUT  # type: ignore[attr-defined]  # since Python 3.11
_INCOMPLETE = "incomplete input"
"""The parser's message for text that further lines could complete."""
_CONTROL = (ast.If, ast.For, ast.While, ast.Return, ast.Pass, ast.Break, ast.Continue, ast.Import, ast.ImportFrom)


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


def wrong_return(
    program: str,
    lines: Sequence[Line],
    states: Sequence[State | None],
    expected: Mapping[int, object],
    entry_point: str,
) -> int | None:
    """Index of the first line that returns a wrong result, if the lines before it are control flow only; else None.

    ``expected`` has the results by index of the input. Where the program has computed values, one of them may be the
    error, and not the line that returns it.
    """
    wrong = (
        line
        for line, state in enumerate(states)
        for at, text in enumerate(state or ())
        if at in expected and _returns_other(text, expected[at])
    )
    first = next(wrong, None)
    return first if first is not None and _computes_nothing(cut_behind(program, lines[first]), entry_point) else None


def cut_behind(program: str, line: Line) -> str:
    """The program up to this line; a line that begins a block gets an empty one."""
    kept = program[: line.end]
    if not line.header or _parsed(kept) is not None:
        return kept
    indentation = program[program.rfind("\n", 0, line.start) + 1 : line.start]
    return f"{kept}\n{indentation}    pass"


def _returns_other(text: str, expected: object) -> bool:
    try:
        return not equal(returned(text), expected, tuples_are_lists=True)
    except ValueError:
        return False


def _computes_nothing(text: str, entry_point: str) -> bool:
    """Whether a program consists of the entry point with nothing but branches, loops and returns in it."""
    tree = _parsed(text)
    return tree is not None and all(_computes_no_value(node, entry_point) for node in ast.walk(tree))


def _computes_no_value(node: ast.AST, entry_point: str) -> bool:
    match node:
        case ast.FunctionDef(name):
            return name == entry_point
        case ast.Name(name):
            return name != entry_point  # a recursion computes values
        case ast.Expr(value):
            return isinstance(value, ast.Constant)  # a docstring
        case ast.stmt():
            return isinstance(node, _CONTROL)
    return not isinstance(node, ast.NamedExpr)


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None
