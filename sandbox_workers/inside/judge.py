"""Runs test code in a process of its own, where the program's functions are proxies that call the program in another.

The judge holds the expected values; the program gets arguments as plain data and answers with plain data. Messages to
the parent: ``["pass", test]``, ``["fail", test, kind, line, message, raised_by_program]``, ``["program", kind, line,
message]`` when the program did not load, ``["objects"]`` when a test hands over an object that is not plain data,
``["end"]``.
"""

from __future__ import annotations

import builtins
import marshal
from types import CodeType
from typing import Any

from .. import plain, wire
from .runner import Reporter, failure

PROGRAM_CHANNEL = 4
"""Descriptor of the program's channel in the judge."""


class _NeedsObjects(BaseException):
    """A test handed over something that is not plain data."""


class _ProgramGone(BaseException):
    """The program's process ended before it answered."""


class Proxy:
    """A function of the program: calling it calls the program in its process."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it; lists, sets and dicts among the arguments show afterwards what the program did to them."""
        try:
            call = [self.__name__, plain.encode(args), plain.encode(kwargs)]
        except plain.NotPlainError as error:
            raise _NeedsObjects from error
        answer = _ask(call)
        if answer[0] == "error":
            raise _exception(answer)
        for argument, after in zip(args, answer[2] or [], strict=False):
            _update(argument, plain.decode(after))
        return plain.decode(answer[1])


def run(channel: int, body: bytes, stop_at_first_failure: bool) -> None:
    """Wait until the program has loaded, then run every test."""
    reporter = Reporter(channel)
    setup, tests, names, entry_point = marshal.loads(body)
    try:
        loaded = plain.loads(wire.read_frame(PROGRAM_CHANNEL))
        if loaded[0] == "error":
            reporter.send(["program", *loaded[2:5]])
            return
        namespace: dict[str, Any] = {"__name__": "tests", **{name: Proxy(name) for name in names}}
        if setup is not None:
            exec(setup, namespace)
        _run_tests(reporter, tests, namespace, entry_point, stop_at_first_failure)
    except _NeedsObjects:
        reporter.send(["objects"])
    except (_ProgramGone, EOFError, OSError):
        return
    reporter.send(["end"])


def _run_tests(
    reporter: Reporter, tests: list[CodeType], namespace: dict[str, Any], entry_point: str, stop: bool
) -> None:
    for number, test in enumerate(tests):
        try:
            exec(test, namespace)
            if entry_point:
                namespace["check"](Proxy(entry_point))
        except (_NeedsObjects, _ProgramGone):
            raise
        except BaseException as error:
            raised = getattr(error, "_raised_by_program", None)
            reporter.send(["fail", number, *(raised or failure(error)), raised is not None])
            if stop:
                return
        else:
            reporter.send(["pass", number])


def _ask(call: list[Any]) -> Any:
    try:
        wire.send_frame(PROGRAM_CHANNEL, plain.dumps(call))
        answer = plain.loads(wire.read_frame(PROGRAM_CHANNEL))
        if answer[0] not in ("error", "result"):
            raise ValueError(answer[0])
    except (EOFError, OSError, ValueError, TypeError, IndexError, KeyError) as error:
        raise _ProgramGone from error
    return answer


def _exception(answer: list[Any]) -> BaseException:
    """The built-in exception of the name that the program raised, so that tests can expect it."""
    _, _, kind, line, message = answer
    found = getattr(builtins, str(kind), None)
    kind_of = found if isinstance(found, type) and issubclass(found, Exception) else RuntimeError
    try:
        error = kind_of(message)
    except TypeError:  # such as UnicodeDecodeError, which wants five arguments
        error = RuntimeError(message)
    error.__dict__["_raised_by_program"] = [kind, line, message]
    return error


def _update(argument: Any, after: Any) -> None:
    """Show in the test's own list, set or dict what the program did to its copy."""
    if type(argument) is not type(after) or argument == after:
        return
    if isinstance(argument, list):
        argument[:] = after
    elif isinstance(argument, (dict, set)):
        argument.clear()
        argument.update(after)
