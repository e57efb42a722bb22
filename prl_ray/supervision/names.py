"""The variables of a program, and the program with other names for them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache

_NAME = re.compile(r"[^\W\d]\w*")
Renames = tuple[tuple[str, str], ...]
"""Pairs of an old and a new name."""


@lru_cache(maxsize=4096)
def bound_names(program: str) -> tuple[str, ...]:
    """Parameters and variables in the order in which the text binds them, up to the line at which it is not Python.

    Variables of comprehensions and lambdas are not visible outside of them, and are left out.
    """
    return tuple(dict.fromkeys(_bound(_parsed(program))))


def assigns(program: str) -> bool:
    """Whether the text assigns variables, up to the line at which it is not Python."""
    return any(isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) for node in ast.walk(_parsed(program)))


@lru_cache(maxsize=64)
def _parsed(program: str) -> ast.Module:
    lines = program.split("\n")
    for count in range(len(lines), 0, -1):
        with suppress(SyntaxError, ValueError, MemoryError, RecursionError):
            return ast.parse("\n".join(lines[:count]))
    return ast.Module([], [])


def mentioned(text: str) -> set[str]:
    """All names in a text, keywords and those of attributes included."""
    return set(_NAME.findall(text))


def renamed(program: str, names: Renames) -> str:
    """The program with some variables renamed, printed from its syntax tree.

    Raises ``SyntaxError`` if it is not Python.
    """
    new = dict(names)
    try:
        tree = ast.parse(program)
        for node in ast.walk(tree):
            if isinstance(node, ast.Name):
                node.id = new.get(node.id, node.id)
            elif isinstance(node, ast.arg):
                node.arg = new.get(node.arg, node.arg)
        return ast.unparse(tree)
    except ValueError as error:  # null bytes, or an f-string that unparse cannot print; both before Python 3.12
        raise SyntaxError(str(error)) from error


def _bound(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.arg(name) | ast.Name(name, ast.Store()):
            yield name
        case ast.ListComp() | ast.SetComp() | ast.DictComp() | ast.GeneratorExp() | ast.Lambda() | ast.ClassDef():
            return
    for child in ast.iter_child_nodes(node):
        yield from _bound(child)
