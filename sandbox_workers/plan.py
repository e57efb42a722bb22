"""How a suite is run: prepared once a suite, used for every program (modes: ``inside.protocol.EXECUTION_MODES``)."""

from __future__ import annotations

import ast
import builtins
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import lru_cache
from types import CodeType
from typing import Literal

from . import collect, needs, outside, preludes, syntax
from .cost import Json
from .defined_tests import needed_packages
from .errors import SuiteError
from .inside import protocol
from .inside.pytest_runs import PYTEST_HELPER
from .inside.shared import CASES_HELPER, EQUAL_HELPER
from .scopes import top_names
from .suite import TestSuite
from .syntax import Source, called, defined, loaded

_BUILTINS = frozenset(dir(builtins))
_HELPERS = (CASES_HELPER, PYTEST_HELPER)
_PLAIN = frozenset(name for kind in (int, float, str, bytes, list, tuple, set, dict, deque) for name in dir(kind))

Mode = Literal["values", "judge", "shared", "script"]


@dataclass(frozen=True, slots=True)
class Plan:
    """One suite, ready to run."""

    mode: Mode
    tests: bytes = b""
    """Packed, for the process that runs the tests: ``protocol.ValueTests``, ``JudgeTests`` or ``SharedCode``."""
    checks: tuple[Callable[[Sequence[Json]], bool], ...] = ()
    """values: whether each test holds, given the results of its calls."""
    groups: tuple[int, ...] = ()
    """values: the index of the suite's test that each of the checks belongs to."""
    total: int = 0
    packages: tuple[str, ...] = ()
    """Modules of other packages that the tests import, or that run them."""


@lru_cache(maxsize=4096)
def plan(suite: TestSuite) -> Plan:
    """Prepare a suite.

    Raises:
        SuiteError: it has no tests, or a test does not parse.
    """
    if suite.total == 0:
        raise SuiteError("a suite without tests decides nothing")
    if suite.kind == "stdio":
        return Plan("script", total=suite.total)
    try:
        return _call_plan(suite) if suite.kind == "call" else _test_plan(suite)
    except (RecursionError, MemoryError) as error:
        raise SuiteError(f"a test is too deeply nested: {error}") from error


def _test_plan(suite: TestSuite) -> Plan:
    """The plan of a suite of code.

    Raises:
        SuiteError: it does not parse, or its tests check nothing.
    """
    try:
        setup_tree = ast.parse(suite.setup, "setup")
        setup = compile(setup_tree, "setup", "exec", dont_inherit=True) if suite.setup.strip() else None
        sources = collect.run_what_is_defined(suite.tests)
    except (SyntaxError, ValueError) as error:
        raise SuiteError(f"a test does not parse: {error}") from error
    collect.refuse_vacuous(sources, suite.kind)
    setup_source = Source.of(setup_tree)
    found = _plan_of(suite, setup, setup_source, sources)
    packages = needed_packages([setup_source, *sources])
    return replace(found, packages=packages) if packages else found


def _plan_of(suite: TestSuite, setup: CodeType | None, setup_source: Source, sources: list[Source]) -> Plan:
    needed = needs.of([setup_source, *sources])
    if suite.objects or needed.shared:
        return shared_plan(suite)
    if needed.state:
        return _source_plan(suite, setup, [setup_source, *sources], needed.state)
    bodies: list[list[ast.stmt] | None] = [
        _check_body(source.tree, suite.entry_point) if suite.kind == "check" else source.tree.body for source in sources
    ]
    return _values_plan(suite, setup, setup_source, bodies) or _source_plan(suite, setup, [setup_source, *sources], [])


def _call_plan(suite: TestSuite) -> Plan:
    try:
        tests = [[(suite.entry_point, deepcopy(case.given))] for case in suite.cases]  # a call may change its arguments
        near = suite.value_tolerance()
        checks = tuple(outside.equality(case.expected, tuples_are_lists=True, tolerance=near) for case in suite.cases)
        body = protocol.pack(protocol.ValueTests(None, tests))
    except (TypeError, ValueError) as error:
        raise SuiteError(f"arguments and expected values of kind 'call' must be plain data: {error}") from error
    return Plan("values", body, checks=checks, groups=tuple(range(suite.total)), total=suite.total)


def _values_plan(
    suite: TestSuite, setup: CodeType | None, setup_source: Source, bodies: list[list[ast.stmt] | None]
) -> Plan | None:
    """The plan in which every comparison is made outside; None where a test does not allow it."""
    if not all(bodies) or any(not isinstance(statement, ast.Assert) for body in bodies for statement in body or []):
        return None
    statements = [(group, statement) for group, body in enumerate(bodies) for statement in body or []]
    nodes = [syntax.walk(statement) for _, statement in statements]
    names = [loaded(found) for found in nodes]
    if not _makes_arguments(setup_source.nodes, set().union(*names)):
        return None
    if suite.kind == "check" and set().union(*names) - _BUILTINS - {suite.entry_point}:
        return None
    if "*" in defined(setup_source.nodes):  # names that are the setup's, and look like the program's
        return None
    known = _BUILTINS | defined(setup_source.nodes)
    calls, checks, groups = [], [], []
    for (group, statement), found, read in zip(statements, nodes, names, strict=True):
        entry_points = frozenset(called(found) - known - {"Counter", "isclose"})
        if not read - known:  # the program redefines a builtin: sum(10, 15)
            entry_points = frozenset([syntax.first_called(found)])
        try:
            test = outside.split(statement, entry_points)
        except outside.Unsplittable:
            return None
        calls.append(list(test.calls))
        checks.append(test.holds)
        groups.append(group)
    tests = protocol.pack(protocol.ValueTests(setup, calls))
    return Plan("values", tests, checks=tuple(checks), groups=tuple(groups), total=suite.total)


def _makes_arguments(setup: list[ast.AST], used: set[str]) -> bool:
    """Whether a setup only makes the calls' arguments: then it may run in the program's process, within its reach.

    Functions, and values that no test uses, may hold answers.
    """
    if any(isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)) for node in setup):
        return False
    return syntax.stored(setup) <= loaded(setup) | used


def _source_plan(suite: TestSuite, setup: CodeType | None, sources: list[Source], state: list[str]) -> Plan:
    """The plan in which test code runs inside: in a judge of its own unless it handles the program's objects.

    ``sources``: the setup, then the tests. ``state``: of the process, which their calls carry.
    """
    tops = [top_names(source.tree) for source in sources]
    read = {suite.entry_point if suite.kind == "check" else ""}.union(*(top.read for top in tops))
    names = sorted(read.difference([""], _BUILTINS, _HELPERS, *(top.bound for top in tops)))
    reached = set(names) | _parameters_of_check(sources[1].tree, suite)
    handles_objects = any(_reaches_into(source.nodes, reached) for source in sources) or bool(
        loaded(sources[0].nodes) & set(names)
    )
    if not names or handles_objects:
        return shared_plan(suite)
    entry_point = suite.entry_point if suite.kind == "check" else ""
    functions = sorted(set().union(*(called(source.nodes) for source in sources)) & set(names))
    text = preludes.source(suite.runs_before, (suite.setup, *suite.tests))
    prelude = compile(text, "prelude", "exec", dont_inherit=True) if text.strip() else None
    tests = protocol.JudgeTests(
        prelude, setup, _compiled(source.tree for source in sources[1:]), names, functions, entry_point, state
    )
    return Plan("judge", protocol.pack(tests), total=suite.total)


def _parameters_of_check(tests: ast.Module, suite: TestSuite) -> set[str]:
    """The names by which ``check`` calls the program's function."""
    if suite.kind != "check":
        return set()
    checks = [node for node in tests.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    return {argument.arg for node in checks for argument in node.args.args[:1]}


def shared_plan(suite: TestSuite) -> Plan:
    """The plan for a suite that says, or whose run found, that its tests need the program's process."""
    setup = compile(suite.setup, "setup", "exec", dont_inherit=True)
    sources = collect.run_what_is_defined(suite.tests)
    entry_point = suite.entry_point if suite.kind == "check" else ""
    tests = protocol.SharedCode(setup, _compiled(_harden(source.tree) for source in sources), entry_point)
    return Plan("shared", protocol.pack(tests), total=suite.total)


def _compiled(sources: Iterable[ast.Module]) -> list[CodeType]:
    return [compile(source, "test", "exec", dont_inherit=True) for source in sources]


def _harden(source: ast.Module) -> ast.Module:
    """Compare through a helper that asks no method of the program's whether something equals plain data."""
    _PlainEquality().visit(source)
    return ast.fix_missing_locations(source)


class _PlainEquality(ast.NodeTransformer):
    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        match node:
            case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
                return _equal(left, right)
            case ast.Compare(left=left, ops=[ast.NotEq()], comparators=[right]):
                return ast.UnaryOp(ast.Not(), _equal(left, right))
        return node


def _equal(left: ast.expr, right: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(EQUAL_HELPER, ast.Load()), [left, right], [])


def _check_body(source: ast.Module, entry_point: str) -> list[ast.stmt] | None:
    """The statements of ``check`` with the candidate's own name for its parameter, if the source holds nothing else
    of use.
    """
    functions = [node for node in source.body if isinstance(node, ast.FunctionDef)]
    others = [node for node in source.body if not isinstance(node, ast.FunctionDef | ast.Assign)]
    if len(functions) != 1 or others or functions[0].name != "check" or len(functions[0].args.args) != 1:
        return None
    body = [node for node in functions[0].body if not _is_idle(node)]
    renamed = _Rename(functions[0].args.args[0].arg, entry_point)
    return [
        ast.fix_missing_locations(renamed.visit(node)) for node in ast.parse(ast.unparse(ast.Module(body, []))).body
    ]


def _is_idle(node: ast.stmt) -> bool:
    """Whether a statement tests nothing: a docstring, ``pass``, ``assert True``."""
    match node:
        case ast.Pass() | ast.Expr(value=ast.Constant()) | ast.Assert(test=ast.Constant(value=True)):
            return True
    return False


class _Rename(ast.NodeTransformer):
    def __init__(self, old: str, new: str) -> None:
        self._old, self._new = old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.copy_location(ast.Name(self._new, node.ctx), node) if node.id == self._old else node


def _reaches_into(nodes: list[ast.AST], names: set[str]) -> bool:
    """Whether the code asks for an attribute of the program's functions, of what they return, or of a variable that
    holds that and is no plain data by its look; or hands or compares an object that a class of the program's made; or
    catches such a class, derives from it, or hands it on.
    """
    classes = {name for name in names if outside.names_a_class(name) or (name.isupper() and "_" not in name)}
    held, made = _holders(nodes, names), _holders(nodes, classes)

    def is_made(node: ast.AST) -> bool:
        below = syntax.walk(node)
        return bool(called(below) & classes or loaded(below) & made)

    for part in nodes:
        match part:
            case ast.ExceptHandler(type=ast.expr() as caught) if loaded(syntax.walk(caught)) & names:
                return True
            case ast.ClassDef(bases=bases) if any(loaded(syntax.walk(base)) & names for base in bases):
                return True
            case ast.Attribute(value=ast.Name(id=name)) if name in names | made:
                return True
            case ast.Attribute(value=ast.Call(func=ast.Name(id=name)), attr=attribute) if name in names:
                if name in classes or attribute not in _PLAIN:
                    return True
            case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in held and attribute not in _PLAIN:
                return True
            case ast.Call(func=ast.Name(id=name), args=arguments) if name in names and any(map(is_made, arguments)):
                return True
            case ast.Call(args=arguments) if any(isinstance(a, ast.Name) and a.id in classes for a in arguments):
                return True
            case ast.Compare(left=left, comparators=others):
                sides = [side for side in (left, *others) if _holds(side, names, held)]
                if len(sides) > 1 and any(map(is_made, sides)):
                    return True
    return False


def _holds(node: ast.AST, names: set[str], held: set[str]) -> bool:
    """Whether an expression has a result of these functions, or one of the variables that hold it."""
    below = syntax.walk(node)
    return bool(called(below) & names or loaded(below) & held)


def _holders(nodes: list[ast.AST], names: set[str]) -> set[str]:
    """Variables that are assigned a result of these functions."""
    held: set[str] = set()
    for part in nodes:
        match part:
            case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value) | ast.NamedExpr(value=value):
                if called(syntax.walk(value)) & names:
                    held |= defined(syntax.walk(part))
    return held
