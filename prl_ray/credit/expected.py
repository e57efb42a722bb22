"""Tests that consist of one call with literal arguments and its expected result."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

from prl_ray.supervision.inputs import Arguments
from sandbox_workers import TestSuite


@lru_cache(maxsize=1024)
def expected_results(suite: TestSuite, entry_point: str) -> tuple[tuple[Arguments, object], ...]:
    """(arguments, result) of the tests of the form ``f(literals) == literal``, in order.

    Empty for suites with a setup, a prelude or a tolerance: these need more than the arguments and the result.
    """
    if suite.setup.strip() or suite.runs_before or suite.objects or not entry_point.isidentifier():
        return ()
    if suite.kind == "call" and not any(suite.value_tolerance()):
        return tuple((tuple(case.given), case.expected) for case in suite.cases)
    if suite.kind == "assert":
        return tuple(pair for text in suite.tests for pair in _equalities(_parsed(text), entry_point))
    if suite.kind == "check":
        bodies = [node.body for node in _parsed(suite.tests[0]) if isinstance(node, ast.FunctionDef)]
        return tuple(pair for body in bodies for pair in _equalities(body, "candidate"))
    return ()


def equal(value: object, expected: object, tuples_are_lists: bool) -> bool:
    """Whether a test passes with this value: Python's ``==``. True for values that have no such comparison."""
    if tuples_are_lists:
        value, expected = _lists(value), _lists(expected)
    try:
        return bool(value == expected)
    except (ValueError, TypeError):  # an array
        return True


def _parsed(text: str) -> list[ast.stmt]:
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse(text).body
    return []


def _equalities(body: Sequence[ast.stmt], name: str) -> Iterator[tuple[Arguments, object]]:
    """Of the statements ``assert name(literals) == literal``."""
    for statement in body:
        match statement:
            case ast.Assert(ast.Compare(ast.Call(ast.Name(called), arguments, keywords=[]), [ast.Eq()], [result])) if (
                called == name
            ):
                with suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                    yield tuple(ast.literal_eval(argument) for argument in arguments), ast.literal_eval(result)


def _lists(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return value
