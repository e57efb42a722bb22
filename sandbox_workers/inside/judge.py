"""Runs test code in a process of its own, where the program's functions are proxies that call the program in another.

The judge holds the expected values; the program gets arguments as plain data and answers with plain data. Messages to
the parent: ``["pass", test]``, ``["fail", test, kind, line, message, raised_by_program]``, ``["program", kind, line,
message]`` when the program did not load, ``["objects", answered]`` when a test hands over an object that is not plain
data, and whether the program had given a value before, ``["end"]``.
"""

from __future__ import annotations

import builtins
import marshal
import sys
from _thread import allocate_lock
from collections import deque
from contextlib import suppress
from types import CodeType, ModuleType
from typing import Any

from .. import plain, wire
from .runner import Reporter, failure

PROGRAM_CHANNEL = 4
"""Descriptor of the program's channel in the judge."""
_ENDS_A_LOOP = StopIteration, StopAsyncIteration
"""Raised in the tests' own process, these would end a loop of the tests early, and what it leaves out would pass."""


class _NeedsObjects(BaseException):
    """A test handed over something that is not plain data."""


class _ProgramGone(BaseException):
    """The program's process ended before it answered."""


class _State:
    """What has happened, whatever the tests made of the exception that told them."""

    needs_objects = False
    is_gone = False
    answered = False
    """Whether the program has given the tests a value: from then on it may have a hand in what they do."""


class Proxy:
    """A function of the program: calling it calls the program in its process."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it; lists, sets and dicts among the arguments show afterwards what the program did to them."""
        try:
            call = [self.__name__, plain.encode(args), plain.encode(kwargs)]
        except plain.NotPlainError as error:
            if str(error) == _Chosen.__name__:
                raise TypeError("a function of the program's is no plain data to hand to it: objects=true") from error
            _State.needs_objects = True
            raise _NeedsObjects from error
        answer = _ask(call)
        _State.answered = True
        if answer[0] == "error":
            raise _exception(answer)
        result = plain.decode(answer[1])
        arguments, named = plain.decode(answer[2])
        for argument, after in zip([*args, *kwargs.values()], [*arguments, *named.values()], strict=False):
            _update(argument, after)
        return result


class _Chosen(Proxy):
    """A function of a name that tests do not call: that it is one, and no value, was for the program to say."""


class _Names(dict[str, Any]):
    """Built-in names, and behind them the program's: its functions as proxies, its plain values as they are now."""

    def __init__(self, names: list[str], called: list[str]) -> None:
        super().__init__({name: Proxy(name) for name in called} | vars(builtins))
        self._names = frozenset(names)

    def __missing__(self, name: str) -> Any:
        if name not in self._names:
            raise KeyError(name)
        answer = _ask([name])
        _State.answered = True
        if answer[0] == "missing":
            raise KeyError(name)
        if answer[0] == "error":
            raise _exception(answer)
        return plain.decode(answer[1]) if answer[0] == "result" else _Chosen(name)


def run(channel: int, body: bytes, stop_at_first_failure: bool) -> None:
    """Wait until the program has loaded, then run every test."""
    reporter = Reporter(channel)
    setup, tests, names, called, entry_point = marshal.loads(body)
    try:
        loaded = plain.loads(wire.read_frame(PROGRAM_CHANNEL))
        if loaded[0] == "error":
            reporter.send(["program", *loaded[2:5]])
            return
        module = sys.modules["__main__"] = ModuleType("__main__")
        namespace = module.__dict__
        namespace["__builtins__"] = _Names(names, called)
        try:
            if setup is not None:
                exec(setup, namespace)
        except Exception as error:
            reporter.send(["program", *failure(error)])
            return
        _run_tests(reporter, tests, namespace, entry_point, stop_at_first_failure)
    except (_NeedsObjects, _ProgramGone, EOFError, OSError):
        pass
    if _State.needs_objects:
        reporter.send(["objects", _State.answered])
    elif not _State.is_gone:
        reporter.send(["end"])


def _run_tests(
    reporter: Reporter, tests: list[CodeType], namespace: dict[str, Any], entry_point: str, stop: bool
) -> None:
    for number, test in enumerate(tests):
        report: list[Any] = ["pass", number]
        try:
            exec(test, namespace)
            if entry_point:
                namespace["check"](Proxy(entry_point))
        except (_NeedsObjects, _ProgramGone):
            raise
        except BaseException as error:
            raised = getattr(error, "_raised_by_program", None)
            if not isinstance(error, SystemExit) or error.code or raised:  # what unittest.main raises when content
                report = ["fail", number, *(raised or failure(error)), raised is not None]
        if _State.needs_objects or _State.is_gone:  # a test that caught it has not passed
            return
        reporter.send(report)
        if report[0] == "fail" and stop:
            return


_one_at_a_time = allocate_lock()
_TO_A_CALL = {"error": 7, "result": 3}
_TO_A_NAME = {"error": 7, "result": 2, "function": 1, "missing": 1}
"""What a program's process may answer, and in how many parts."""


def _ask(call: list[Any]) -> Any:
    try:
        with _one_at_a_time:  # tests may have threads
            wire.send_frame(PROGRAM_CHANNEL, plain.dumps(call))
            answer = plain.loads(wire.read_frame(PROGRAM_CHANNEL))
        if len(answer) != (_TO_A_NAME if len(call) == 1 else _TO_A_CALL)[answer[0]]:
            raise ValueError(answer[0])
    except (EOFError, OSError, ValueError, TypeError, IndexError, KeyError) as error:
        _State.is_gone = True
        raise _ProgramGone from error
    return answer


def _exception(answer: list[Any]) -> BaseException:
    """The built-in exception of the name that the program raised, so that tests can expect it."""
    _, _, kind, line, message, built_in, arguments = answer
    found = getattr(builtins, str(built_in), None)
    kind_of: Any = RuntimeError
    if isinstance(found, type) and issubclass(found, (Exception, SystemExit)) and not issubclass(found, _ENDS_A_LOOP):
        kind_of = found
    error: BaseException = RuntimeError(message)
    for parts in ([] if arguments is None else [arguments], [{"tuple": [message]}]):
        with suppress(Exception):  # such as UnicodeDecodeError, which wants five arguments
            error = kind_of(*plain.decode(*parts))
            if str(error) == message:
                break
    error.__dict__["_raised_by_program"] = [kind, line, message]
    return error


def _update(argument: Any, after: Any) -> None:
    """Show in the test's own list, set or dict what the program did to its copy."""
    if type(argument) is not type(after) or argument == after:
        return
    if isinstance(argument, (list, bytearray)):
        argument[:] = after
    elif isinstance(argument, deque):
        argument.clear()
        argument.extend(after)
    elif isinstance(argument, (dict, set)):
        argument.clear()
        argument.update(after)
