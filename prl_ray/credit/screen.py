"""Finds completions that fail a test, many of them in one run of the sandbox.

They run one after the other in one process, each in a module of its own, on the arguments of tests of the form
``f(literals) == literal``. Their results are compared outside. A completion without a failure here is judged alone:
only the sandbox's verdict on it says that it passes. A program that disturbs the other completions in its process can
only move its own first wrong line forward.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

from prl_ray.problems import Problem
from prl_ray.supervision.inputs import Arguments
from sandbox_workers import CallResult, Status, TestSuite

Answers = Callable[[str, str, Sequence[Arguments]], Sequence[CallResult]]
"""``Sandbox.call``."""
ENTRY = "results"
MOST_TESTS = 4
MOST_CPU_S = 0.1
"""CPU seconds of a completion, which interrupt endless loops; what blocks otherwise meets the sandbox's time limit."""
_RUNNER = """
import _signal  # without the enums of the public module

class Endless(BaseException):
    pass

def stop(*_):
    raise Endless

_signal.signal(_signal.SIGVTALRM, stop)

def results(source, name, inputs):
    found = []
    _signal.setitimer(_signal.ITIMER_VIRTUAL, MOST_CPU_S)
    try:
        code = compile(source, "<completion>", "exec", dont_inherit=True)
        for arguments in inputs:
            space = {"__name__": "completion"}
            exec(code, space)
            found.append([space[name](*arguments)])
    except Endless:
        return None
    except (MemoryError, RecursionError):
        raise  # alone it might have enough
    except Exception:
        found.append([])
    finally:
        _signal.setitimer(_signal.ITIMER_VIRTUAL, 0)
    return found
"""
RUNNER = f"MOST_CPU_S = {MOST_CPU_S}\n{_RUNNER}"
"""``results(source, name, [arguments, …])``: for each arguments tuple a list of the result, an empty one where it
raised, which is the last; None for a completion that exceeds ``MOST_CPU_S``."""


def screened(problem: Problem, completions: Sequence[str], answers: Answers) -> list[Status | None]:
    """``wrong_answer`` or ``timeout`` for each completion that fails, None for those to be judged alone: all of them if
    the problem has no ``expected_results``.

    Raises:
        SandboxError: an infrastructure failure.
    """
    tests = expected_results(problem.tests, problem.entry_point)
    calls = [(text, problem.entry_point, [given for given, _ in tests]) for text in completions]
    expected, tuples_are_lists = [result for _, result in tests], problem.tests.kind == "call"
    return [_status(answer, expected, tuples_are_lists) for answer in answers(RUNNER, ENTRY, calls)]


def _status(answer: CallResult, expected: Sequence[object], tuples_are_lists: bool) -> Status | None:
    match answer:
        case CallResult(True, None):
            return Status.TIMEOUT
        case CallResult(True, list(results)) if _fails(results, expected, tuples_are_lists):
            return Status.WRONG_ANSWER
    return None


def _fails(results: Sequence[object], expected: Sequence[object], tuples_are_lists: bool) -> bool:
    return any(
        isinstance(result, list) and (not result or not _equal(result[0], value, tuples_are_lists))
        for result, value in zip(results, expected, strict=False)
    )


@lru_cache(maxsize=1024)
def expected_results(suite: TestSuite, entry_point: str) -> tuple[tuple[Arguments, object], ...]:
    """(arguments, result) of tests that consist of one call with literal arguments and its expected result, at most
    ``MOST_TESTS``, longest arguments first: an empty list rarely reveals an error.

    Empty for suites with a setup, a prelude or a tolerance: these need more than the arguments and the result.
    """
    if suite.setup.strip() or suite.runs_before or suite.objects or not entry_point.isidentifier():
        return ()
    found: list[tuple[Arguments, object]] = []
    if suite.kind == "call" and not any(suite.value_tolerance()):
        found = [(tuple(case.given), case.expected) for case in suite.cases]
    elif suite.kind == "assert":
        found = [pair for text in suite.tests for pair in _equalities(_parsed(text), entry_point)]
    elif suite.kind == "check":
        bodies = [node.body for node in _parsed(suite.tests[0]) if isinstance(node, ast.FunctionDef)]
        found = [pair for body in bodies for pair in _equalities(body, "candidate")]
    return tuple(sorted(found, key=lambda pair: len(repr(pair[0])), reverse=True)[:MOST_TESTS])


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


def _equal(value: object, expected: object, tuples_are_lists: bool) -> bool:
    """As the tests see it: Python's ``==``."""
    if tuples_are_lists:
        value, expected = _lists(value), _lists(expected)
    try:
        return bool(value == expected)
    except (ValueError, TypeError):  # an array
        return True


def _lists(value: object) -> object:
    if isinstance(value, list | tuple):
        return [_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return value
