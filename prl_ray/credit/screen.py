"""Finds completions that fail a test, many of them in one run of the sandbox.

They run one after the other in one process, each in a module of its own, on the arguments of tests of the form
``f(literals) == literal``. Their results are compared outside. A completion without a failure here is judged alone:
only the sandbox's verdict on it says that it passes. A program that disturbs the other completions in its process can
only move its own first wrong line forward.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prl_ray.credit.expected import equal, expected_results
from prl_ray.problems import Problem
from prl_ray.supervision.inputs import Arguments
from sandbox_workers import CallResult, Status

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
    known = expected_results(problem.tests, problem.entry_point)
    # longest arguments first: an empty list rarely reveals an error
    tests = sorted(known, key=lambda test: len(repr(test[0])), reverse=True)[:MOST_TESTS]
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
        isinstance(result, list) and (not result or not equal(result[0], value, tuples_are_lists))
        for result, value in zip(results, expected, strict=False)
    )
