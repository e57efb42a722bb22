"""The tests that a text defines and does not run, and the calls that run them.

Simple ones are called where they stand: ``test_f()``, ``TestF().test_f()``, the classes of ``unittest`` together. What
only pytest knows how to run (fixtures, parameters, marks, methods that prepare a test, coroutines), pytest runs.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable, Iterable, Sequence

from . import syntax
from .inside.pytest_runs import PYTEST_HELPER
from .inside.shared import CASES_HELPER, PROGRAM_MODULES
from .packages import PYTEST
from .scopes import top_names
from .syntax import Source

_RUNNERS = frozenset(("TextTestRunner", "TestLoader", "defaultTestLoader", "makeSuite", "debug", "testmod"))
"""Names by which tests run their own definitions."""
_PREPARE = frozenset(
    f"{what}_{where}" for what in ("setup", "teardown") for where in ("module", "function", "method", "class")
)
_FIXTURES = frozenset(
    (
        *("capsys", "capfd", "capsysbinary", "caplog", "monkeypatch", "recwarn", "request", "tmp_path", "tmpdir"),
        *("tmp_path_factory", "pytestconfig", "record_property", "subtests"),
    )
)
"""Fixtures of pytest's own that suites use."""
_ENDS = frozenset(("skip", "xfail", "importorskip", "exit"))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
Function = ast.FunctionDef | ast.AsyncFunctionDef


class DefinedTests:
    """The tests that the texts of one suite define."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self._imported = dict(pair for source in sources for node in source.nodes for pair in syntax.imported(node))
        self._mentioned = {name for source in sources for name in syntax.mentioned(source.nodes)}
        self._cases: set[str] = set()
        self._names: set[str] = set()
        self.run_themselves = any(self._is_runner(node) for source in sources for node in source.nodes)
        """Whether the texts run their definitions, by ``unittest`` or ``doctest``."""

    def with_calls(self, source: Source) -> Source:
        """The source with calls of the tests that it defines, those of the suite before it having been given."""
        body = source.tree.body
        self._names |= top_names(source.tree).bound - set(self._imported)
        if any(map(self._calls_pytest, source.nodes)):
            return Source.of(
                ast.fix_missing_locations(_Replace(self._calls_pytest, self._by_pytest()[0]).visit(source.tree))
            )
        tests = [node for node in body if self._is_test(node)]
        if tests and (any(map(self._is_for_pytest, body)) or any(map(self._ends_test, source.nodes))):
            added = self._by_pytest()
        else:
            added = [call for node in tests for call in self._calls(node)]
        return Source.of(ast.Module([*body, *added], [])) if added else source

    def _by_pytest(self) -> list[ast.stmt]:
        """The call by which pytest runs the tests defined so far."""
        return ast.parse(f"{PYTEST_HELPER}({sorted(self._names)!r})").body

    def _is_runner(self, node: ast.AST) -> bool:
        match node:
            case ast.Name(id="main"):
                return self._imported.get("main", "").startswith("unittest")
            case ast.Attribute(value=ast.Name(id=owner), attr="main"):
                return self._imported.get(owner, "").startswith("unittest")
            case ast.Name(id=name) | ast.Attribute(attr=name):
                return name in _RUNNERS
        return False

    def _calls_pytest(self, node: ast.AST) -> bool:
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr="main") | ast.Name(id="main" as name)):
                return self._imported.get(name) == PYTEST
        return False

    def _is_test(self, node: ast.stmt) -> bool:
        """Whether a statement defines tests that nothing mentions; classes of ``unittest`` are noted on the way."""
        if isinstance(node, _FUNCTIONS):
            return node.name.startswith("test") and node.name not in self._mentioned
        if not isinstance(node, ast.ClassDef):
            return False
        if any("TestCase" in ast.unparse(base) or ast.unparse(base) in self._cases for base in node.bases):
            self._cases.add(node.name)
            return node.name not in self._mentioned
        has_tests = bool(node.bases) or any(map(_is_test_function, node.body))
        return node.name.startswith("Test") and node.name not in self._mentioned and has_tests

    def _calls(self, node: ast.stmt) -> list[ast.stmt]:
        if isinstance(node, ast.ClassDef):
            text = f"{CASES_HELPER}({node.name})" if node.name in self._cases else _calls_of_methods(node)
        else:
            assert isinstance(node, _FUNCTIONS)
            text = f"{node.name}()"
        return ast.parse(text).body

    def _is_for_pytest(self, node: ast.stmt) -> bool:
        """Whether a statement defines something of which only pytest knows what to do with it."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                is_fixture = any(map(self._is_of_pytest, node.decorator_list))
                return is_fixture or node.name in _PREPARE or (self._is_test(node) and self._wants_fixtures(node, 0))
            case ast.ClassDef() if self._is_test(node):
                return any(map(self._is_of_pytest, node.decorator_list)) or any(
                    self._has_fixture(part) if node.name in self._cases else self._is_part_for_pytest(part)
                    for part in (*node.body, *(() if node.name in self._cases else node.bases))
                )
            case ast.Assign(targets=[ast.Name(id="pytestmark")]):
                return True
        return False

    def _has_fixture(self, part: ast.AST) -> bool:
        return isinstance(part, _FUNCTIONS) and any(map(self._is_of_pytest, part.decorator_list))

    def _is_part_for_pytest(self, part: ast.AST) -> bool:
        """The same for a member of a class, or one of its bases."""
        if isinstance(part, _FUNCTIONS) and (part.name in _PREPARE or _is_test_function(part)):
            return self._wants_fixtures(part, 1)
        is_object = isinstance(part, ast.Name) and part.id == "object"
        return self._has_fixture(part) or (isinstance(part, (ast.ClassDef, ast.expr)) and not is_object)

    def _ends_test(self, node: ast.AST) -> bool:
        """Whether a test ends itself as only pytest understands."""
        match node:
            case ast.Attribute(value=ast.Name(id=owner), attr=name):
                return name in _ENDS and self._imported.get(owner) == PYTEST
            case ast.Name(id=name):
                return name in _ENDS and self._imported.get(name) == PYTEST
        return False

    def _wants_fixtures(self, node: Function, own: int) -> bool:
        """Whether a test function is no plain one. ``own``: how many of its parameters are its class's.

        Other decorators than pytest's (``patch``, ``given``) give it what they are named for.
        """
        if any(map(self._is_of_pytest, node.decorator_list)):
            return True
        given = node.args
        positional = [*given.posonlyargs, *given.args][own:]
        required = {a.arg for a in positional[: len(positional) - len(given.defaults)]}
        required |= {a.arg for a, default in zip(given.kwonlyargs, given.kw_defaults, strict=True) if default is None}
        if node.decorator_list:
            return not required.isdisjoint(_FIXTURES | self._names)
        return bool(required) or isinstance(node, ast.AsyncFunctionDef)

    def _is_of_pytest(self, decorator: ast.expr) -> bool:
        root: ast.AST = decorator
        while isinstance(root, (ast.Attribute, ast.Call)):
            root = root.func if isinstance(root, ast.Call) else root.value
        return isinstance(root, ast.Name) and self._imported.get(root.id, "").startswith((PYTEST, "anyio"))


def needed_packages(sources: Iterable[Source]) -> tuple[str, ...]:
    """Packages without which these tests do not run: those that they import at the top, and pytest if it runs them."""
    sources = list(sources)
    found = {
        module.split(".")[0] for source in sources for node in source.tree.body for _, module in syntax.imported(node)
    }
    if any(PYTEST_HELPER in syntax.called(source.nodes) for source in sources):
        found.add(PYTEST)
    foreign = found - sys.stdlib_module_names - set(PROGRAM_MODULES) - {""}
    return tuple(sorted(foreign))


def _is_test_function(node: ast.stmt) -> bool:
    return isinstance(node, _FUNCTIONS) and node.name.startswith("test")


def _calls_of_methods(node: ast.ClassDef) -> str:
    """Calls of the tests of a class, each on an object of its own, with its setup and teardown."""
    names = [part.name for part in node.body if isinstance(part, _FUNCTIONS)]
    prepared = ("setup_method", "__test__"), ("teardown_method", "__test__")
    around = ("setup_class", node.name), ("teardown_class", node.name)
    before, after, first, last = (
        f"{owner}.{name}()" if name in names else "pass" for name, owner in (*prepared, *around)
    )
    calls = [
        f"__test__ = {node.name}()\n{before}\ntry:\n    __test__.{name}()\nfinally:\n    {after}"
        for name in names
        if name.startswith("test")
    ]
    return "\n".join([first, *calls, last])


class _Replace(ast.NodeTransformer):
    """Puts a statement's expression in the place of each call that is looked for."""

    def __init__(self, is_wanted: Callable[[ast.AST], bool], instead: ast.stmt) -> None:
        assert isinstance(instead, ast.Expr)
        self._is_wanted, self._instead = is_wanted, instead.value

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self._instead if self._is_wanted(node) else self.generic_visit(node)
