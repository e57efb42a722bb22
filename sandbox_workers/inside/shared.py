"""Runs tests in the program's process: for suites whose tests handle the program's own objects or watch its state.

This mode is weaker than the others, and the verdict says so. What it has instead: the tests arrive after the program
has been loaded, with a secret made for this run; every test must report with the secret; plain data is compared by
built-in methods.
"""

from __future__ import annotations

import io
import sys
import types
from types import CodeType
from typing import TYPE_CHECKING, NamedTuple

from .. import decoding, plain, wire
from ..cost import Json
from . import protocol, reports
from .entry_point import Namespace, find_function
from .pytest_runs import PYTEST_HELPER, run_pytest
from .reporting import Reporter, ends_tests_well, failure

if TYPE_CHECKING:
    import unittest

EQUAL_HELPER = "__plain_equal__"
"""Name under which test code finds ``plain_equal``."""
CASES_HELPER = "__run_test_cases__"
"""Name under which test code finds ``run_test_cases``."""
PROGRAM_MODULES = ("program", "solution", "main", "candidate", "submission", "your_module")
"""Names by which tests may import the program."""


def plain_equal(left: object, right: object) -> object:
    """The result of ``==`` on two values: by built-in types only as soon as both are plain data.

    Two objects of the program's own, and arrays, are compared by their own methods. Plain data is compared with such an
    object by its method only if that does not say yes to anything.
    """
    trees = [_tree(left), _tree(right)]
    if _ARRAY in trees or trees == [_OBJECT, _OBJECT]:
        return left == right
    if _OBJECT in trees:
        own, data = (left, right) if trees[0] is _OBJECT else (right, left)
        return not any(_agrees(own, decoy) for decoy in _decoys(data)) and left == right
    first, second = (decoding.decode(tree.tree) for tree in trees)
    return bool(first == second)


class _Form(NamedTuple):
    """The role of a value in a comparison."""

    what: str
    tree: Json = None


_OBJECT = _Form("an object of the program's own")
_ARRAY = _Form("an array")
_ARRAYS = ("numpy", "ndarray"), ("pandas", "DataFrame"), ("pandas", "Series"), ("pandas", "Index")


def _tree(value: object) -> _Form:
    if any(type(value) is getattr(sys.modules.get(module), name, None) for module, name in _ARRAYS):
        return _ARRAY
    if isinstance(value, _PASSED_ON):
        return _OBJECT
    try:
        tree = plain.encode(value)
    except (plain.NotPlainError, RecursionError):
        return _OBJECT
    return _OBJECT if type(tree) is dict and "opaque" in tree else _Form("plain data", tree)


def _decoys(data: object) -> list[object]:
    """A value that nothing equal to ``data`` should be equal to."""
    if isinstance(data, (int, float)):
        return [object(), data + 1]
    return [object(), data * 2] if isinstance(data, (str, list, tuple)) and data else [object()]


def _agrees(own: object, decoy: object) -> bool:
    try:
        return bool(own == decoy)
    except Exception:
        return False


_PASSED_ON = (type(iter(())), types.GeneratorType, map, filter, zip, enumerate, reversed)
"""Iterators, which encoding would use up."""


def run_test_cases(*cases: type[unittest.TestCase]) -> None:
    """Run classes of ``unittest`` that the tests define and nothing runs.

    Raises:
        AssertionError: the first failure, or every test was skipped.
    """
    import unittest

    suite = unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, cases))
    result = unittest.TextTestRunner(io.StringIO()).run(suite)
    for test, trace in [*result.errors, *result.failures]:
        raise AssertionError(f"{test}: {trace.strip().splitlines()[-1]}")
    if result.skipped and len(result.skipped) >= result.testsRun:
        raise AssertionError("every test was skipped")


def run_tests(reporter: Reporter, channel: int, namespace: Namespace, stop_at_first_failure: bool) -> None:
    """Say that the program is loaded, read the tests, run them in its namespace."""
    reporter.send(reports.Loaded())
    secret, body = protocol.unpack(protocol.SharedTests, wire.read_frame(channel))
    setup, tests, entry_point = protocol.unpack(protocol.SharedCode, body)
    namespace[EQUAL_HELPER] = plain_equal
    namespace[CASES_HELPER] = run_test_cases
    namespace[PYTEST_HELPER] = run_pytest
    for name in PROGRAM_MODULES:
        sys.modules.setdefault(name, sys.modules["__main__"])
    namespace["__name__"] = "__main__"  # the tests are the main program
    try:
        if setup is not None:
            exec(setup, namespace)
    except BaseException as error:
        reporter.send(_failed(secret, 0, error))
        return
    for number, test in enumerate(tests):
        report: reports.Passed | reports.Failed = reports.Passed(secret, number)
        try:
            _run_test(test, namespace, entry_point)
        except BaseException as error:
            if not ends_tests_well(error):
                report = _failed(secret, number, error)
        reporter.send(report)
        if isinstance(report, reports.Failed) and stop_at_first_failure:
            return


def _failed(secret: str, number: int, error: BaseException) -> reports.Failed:
    kind, line, message = failure(error)
    return reports.Failed(secret, number, kind, line, message, line is not None and kind != "AssertionError")


def _run_test(test: CodeType, namespace: Namespace, entry_point: str) -> None:
    """Run one assert, or define ``check`` and call it with the program's function."""
    candidate = find_function(entry_point, namespace) if entry_point else None
    exec(test, namespace)
    if entry_point:
        namespace["check"](candidate)
