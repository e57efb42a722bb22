"""Tests that import the program, by a name that data sets give its file (``from solution import f``)."""

from __future__ import annotations

import ast

from . import syntax
from .inside.shared import PROGRAM_MODULES


def left_out(tree: ast.Module) -> ast.Module:
    """The tests, reading the program's names without an import: tests see them anyway.

    The tree is changed. ``import solution`` stays: such tests look at the module itself.
    """
    imports = [node for node in syntax.walk(tree) if isinstance(node, ast.ImportFrom) and _imports_program(node)]
    if imports:
        _LeaveOut(imports).visit(tree)
        ast.fix_missing_locations(tree)
    return tree


def _imports_program(node: ast.ImportFrom) -> bool:
    return node.module in PROGRAM_MODULES and node.level <= 1


class _LeaveOut(ast.NodeTransformer):
    """Takes the imports out, and uses the program's names for renamed ones."""

    def __init__(self, imports: list[ast.ImportFrom]) -> None:
        self._names = {alias.asname: alias.name for node in imports for alias in node.names if alias.asname}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        return ast.Pass() if _imports_program(node) else node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        node.id = self._names.get(node.id, node.id)
        return node
