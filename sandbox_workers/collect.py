"""The checks of a test source: the tests that it defines and does not run, and whether it checks anything at all."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from . import program_imports, syntax
from .defined_tests import DefinedTests
from .errors import SuiteError
from .syntax import Source

_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_FINDERS = frozenset(("discover", "loadTestsFromName", "loadTestsFromNames", "testmod", "testfile", "FunctionTestCase"))
"""By these, tests run code that is defined elsewhere."""
_REPORTING = "exit", "TextTestRunner"
"""Words of texts that run tests and go on, whatever the result."""


def run_what_is_defined(texts: Sequence[str]) -> list[Source]:
    """The sources of these texts, with calls of the test functions and test classes that they define and never run.

    Raises:
        SyntaxError, ValueError: one does not parse.
    """
    trees = [_parsed(text) for text in texts]
    sources = [
        Source.of(_heeding_results(tree) if any(word in text for word in _REPORTING) else tree)
        for text, tree in zip(texts, trees, strict=True)
    ]
    if not any(isinstance(node, _DEFINITIONS) for source in sources for node in source.tree.body):
        return sources
    tests = DefinedTests(sources)
    return sources if tests.run_themselves else [tests.with_calls(source) for source in sources]


def _parsed(text: str) -> ast.Module:
    tree = ast.parse(text, "test")
    return program_imports.left_out(tree) if "from" in text else tree


def _heeding_results(tree: ast.Module) -> ast.Module:
    """The tests, failing where ``unittest`` says that they do: ``main(exit=False)`` and ``run`` only return that."""
    _HeedResults().visit(tree)
    ast.fix_missing_locations(tree)
    return tree


class _HeedResults(ast.NodeTransformer):
    """Asserts results that nothing looks at."""

    def __init__(self) -> None:
        self._runners: set[str] = set()

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=function)) if _is_runner(function):
                self._runners.add(name)
        return node

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        match node.value:
            case ast.Call(func=ast.Attribute(attr="main") | ast.Name(id="main"), keywords=keywords):
                if "exit=False" in map(ast.unparse, keywords):
                    return self._asserted(node, ast.Attribute(node.value, "result", ast.Load()))
            case ast.Call(func=ast.Attribute(value=ast.Call(func=function), attr="run")) if _is_runner(function):
                return self._asserted(node, node.value)
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="run")) if name in self._runners:
                return self._asserted(node, node.value)
        return node

    def _asserted(self, node: ast.Expr, result: ast.expr) -> ast.Assert:
        call = ast.Call(ast.Attribute(result, "wasSuccessful", ast.Load()), [], [])
        return ast.copy_location(ast.Assert(call), node)


def _is_runner(function: ast.expr) -> bool:
    return "TextTestRunner" in (getattr(function, "attr", ""), getattr(function, "id", ""))


def refuse_vacuous(sources: Sequence[Source], kind: str) -> None:
    """Refuse tests that no program can fail.

    Raises:
        SuiteError: they check nothing.
    """
    if kind != "check" and _runs_nothing(sources):
        raise SuiteError("the tests check nothing: they run unittest, and define no test")
    if kind == "check":
        functions = [
            node for node in sources[0].tree.body if isinstance(node, ast.FunctionDef) and node.name == "check"
        ]
        checks = not functions or any(_checks(function.body) for function in functions)
    else:
        checks = any(_checks(source.tree.body) for source in sources)
    if not checks:
        raise SuiteError("the tests check nothing: they define, import or pass, and assert or call nothing")


def _runs_nothing(sources: Sequence[Source]) -> bool:
    """Whether all that these do is to run ``unittest`` on no test."""
    nodes = [node for source in sources for node in source.nodes]
    if any(isinstance(node, (ast.Assert, ast.Raise)) or _is_run_by_unittest(node) for node in nodes):
        return False
    return DefinedTests(sources).run_themselves and _FINDERS.isdisjoint(syntax.mentioned(nodes))


def _is_run_by_unittest(node: ast.AST) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith(("test", "runTest"))


def _checks(body: Sequence[ast.stmt]) -> bool:
    return any(map(_is_check, body))


def _is_check(node: ast.stmt) -> bool:
    match node:
        case ast.Assert(test=ast.Constant(value=value)):
            return not value
        case ast.Assert(test=ast.Tuple(elts=[_, *_])):
            return False  # a parenthesis too many: always true
        case ast.Assert() | ast.Raise():
            return True
        case ast.Expr(value=value):
            return any(isinstance(part, (ast.Call, ast.Await)) for part in syntax.walk(value))
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return False
    parts = [getattr(node, name, []) for name in ("body", "orelse", "finalbody")]
    handlers = [handler.body for handler in getattr(node, "handlers", [])]
    cases = [case.body for case in getattr(node, "cases", [])]
    return any(map(_checks, [*parts, *handlers, *cases]))
