"""Runs test code in a process of its own, where the program's functions are proxies that call the program in another.

The judge holds the expected values; the program gets arguments as plain data and answers with plain data. What a test
gets of an iterator's values it reads one by one from the program.
"""

from __future__ import annotations

import builtins
import sys
import time
from _thread import allocate_lock
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import NoReturn

from .. import arrays, decoding, plain, wire
from ..cost import Json
from . import carried, exceptions, process_state, protocol, recursion, reports
from .entry_point import Namespace
from .pytest_runs import PYTEST_HELPER, run_pytest
from .reporting import MESSAGE_LENGTH, Reporter, ends_tests_well, failure
from .shared import CASES_HELPER, run_test_cases

PROGRAM_CHANNEL = 4
"""Descriptor of the program's channel in the judge."""
_CALL_S, _BYTE_S, _OF_ENCODING = 250e-6, 60e-9, 4
"""Time of a call that is not the program's own, between the processes and for reading and writing: so long, so long for
each byte, and so many times as long as it took to write here, which tells how busy the machine is.
"""
_TELL_S = 0.05
"""Time between the processes after which the parent is told of it."""


class _NeedsObjects(BaseException):
    """Tests and program share something that is not plain data."""


class _ProgramGone(BaseException):
    """The program's process ended before it answered."""


class _State:
    """Facts that the judge learned, whatever the tests made of the exception that told them."""

    needs_objects = ""
    is_gone = False
    answered = False
    """Whether the program has given the tests a value: from then on it may influence them."""
    by_program = False
    last = 0.0
    """When the answer before had been read."""
    wire_s = 0.0
    """Seconds between the processes that the parent has not been told of."""
    tell: Callable[[float], None] | None = None
    tests: process_state.TestsState | None = None


def _share(what: str, by_program: bool) -> NoReturn:
    _State.needs_objects, _State.by_program = what, by_program
    raise _NeedsObjects


class Proxy:
    """A function of the program: calling it calls the program in its process."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call it; lists, sets and dicts among the arguments have the program's changes afterwards."""
        started = time.monotonic()
        try:
            call = protocol.Call(self.__name__, plain.encode(args), plain.encode(kwargs))
        except plain.NotPlainError as error:
            _share(str(error), _State.answered)
        answer = _returned(_ask_in_state(call, started))
        del call  # which holds lists of the arguments
        given = [*args, *kwargs.values()]
        if answer.arguments is not None and not carried.update(given, _arguments_after(answer.arguments)):
            _share("an argument that something else holds too", True)
        match answer.value:
            case {"argument": int(place)} if 0 <= place < len(given):
                return given[place]
        return _decoded(answer.value)


class RemoteIterator:
    """An iterator of the program's: each value is asked for when a test wants it."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __iter__(self) -> RemoteIterator:
        return self

    def __next__(self) -> object:
        answer = _ask_in_state(protocol.Next(self._number))
        if isinstance(answer, reports.Exhausted):
            raise StopIteration
        return _decoded(_returned(answer).value)

    def __enter__(self) -> NoReturn:
        _share("a context manager", True)

    def __exit__(self, *_: object) -> None: ...

    def __getattr__(self, name: str) -> NoReturn:
        _share(f"an iterator with {name}", True)


class _Names(dict[str, object]):
    """Built-in names, and behind them the program's: its functions as proxies, its plain values as they are now."""

    def __init__(self, names: list[str], called: list[str]) -> None:
        super().__init__({name: Proxy(name) for name in called} | vars(builtins))
        self._names = frozenset(names)

    def __missing__(self, name: str) -> object:
        if name not in self._names:
            raise KeyError(name)
        answer = _ask(protocol.Lookup(name))
        if isinstance(answer, reports.Missing):
            raise KeyError(name)
        if isinstance(answer, reports.Callable):
            _share(f"the function {name}", True)
        return _decoded(_returned(answer).value)


def run(channel: int, job: protocol.JudgeJob) -> None:
    """Wait until the program has loaded, then run every test."""
    reporter = Reporter(channel)
    plain.name_opaque = False
    decoding.register("held", lambda body: RemoteIterator(int(body)))
    decoding.register("ndarray", arrays.array)
    decoding.register("scalar", arrays.scalar)
    decoding.register("sub", carried.watching(partial(_share, by_program=True)))
    plain.name_subclass = carried.refuse_subclass
    plain.hold_iterator = carried.drain_unless_held(lambda what: _share(what, _State.answered))
    tests = protocol.unpack(protocol.JudgeTests, job.tests)
    _State.tests = process_state.TestsState(tests.state) if tests.state else None
    try:
        loaded = reports.read(wire.read_frame(PROGRAM_CHANNEL))
        if isinstance(loaded, reports.Raised):
            reporter.send(reports.NotLoaded(job.secret, *loaded[1:]))
            return
        module = sys.modules["__main__"] = ModuleType("__main__")
        namespace = module.__dict__
        namespace["__builtins__"] = _Names(tests.names, tests.called)
        namespace[CASES_HELPER] = run_test_cases
        namespace[PYTEST_HELPER] = run_pytest
        try:
            for code in (tests.prelude, tests.setup):
                if code is not None:
                    exec(code, namespace)
        except Exception as error:
            reporter.send(reports.NotLoaded(job.secret, *failure(error)))
            return
        recursion.allow_deep()
        _run_tests(reporter, job, tests, namespace)
    except (_NeedsObjects, _ProgramGone, EOFError, OSError, ValueError):
        pass
    if _State.needs_objects:
        reporter.send(reports.NeedsObjects(job.secret, _State.by_program, _State.needs_objects))
    elif not _State.is_gone:
        reporter.send(reports.Done())


def _run_tests(reporter: Reporter, job: protocol.JudgeJob, tests: protocol.JudgeTests, namespace: Namespace) -> None:
    _State.tell = lambda seconds: reporter.send(reports.WireTime(job.secret, seconds))
    for number, test in enumerate(tests.tests):
        report: reports.Passed | reports.Failed = reports.Passed(job.secret, number)
        try:
            exec(test, namespace)
            if tests.entry_point:
                namespace["check"](Proxy(tests.entry_point))
        except (_NeedsObjects, _ProgramGone):
            raise
        except BaseException as error:
            raised = getattr(error, "_raised_by_program", None)
            if raised or not ends_tests_well(error):
                kind, line, message = raised or failure(error)
                report = reports.Failed(job.secret, number, kind, line, message[:MESSAGE_LENGTH], raised is not None)
        if _State.needs_objects or _State.is_gone:  # a test that caught it has not passed
            return
        reporter.send(report)
        if isinstance(report, reports.Failed) and job.stop:
            return


_one_at_a_time = allocate_lock()
_ANSWERS: dict[type[protocol.Question], tuple[type[reports.Answer], ...]] = {
    protocol.Call: (reports.Returned, reports.CallRaised),
    protocol.Lookup: (reports.Returned, reports.CallRaised, reports.Callable, reports.Missing),
    protocol.Next: (reports.Returned, reports.CallRaised, reports.Exhausted),
    protocol.Collect: (reports.Left,),
}


def _ask_in_state(request: protocol.Question, started: float | None = None) -> reports.Answer:
    """The program's answer to what runs code of its own: under the state of the process that the tests have set."""
    if _State.tests is None:
        return _ask(request, started)
    try:
        carry = wire.frame(protocol.pack_question(_State.tests.carry()))
        answer = _ask(request, started, carry)
        left = _ask(protocol.Collect())
        assert isinstance(left, reports.Left)
        _State.tests.take(left)
    except process_state.NotCarriedError as error:
        _share(str(error), error.by_program or _State.answered)
    except ValueError as error:
        _State.is_gone = True
        raise _ProgramGone from error
    return answer


def _ask(request: protocol.Question, started: float | None = None, before: bytes = b"") -> reports.Answer:
    """The program's answer. Time since ``started`` is not the program's, nor what the way there and back may take.

    ``before``: a frame to send before the question's.
    """
    started = time.monotonic() if started is None else started
    try:
        with _one_at_a_time:  # tests may have threads
            question = protocol.pack_question(request)
            written = time.monotonic()
            wire.send_all(PROGRAM_CHANNEL, before + wire.frame(question))
            reply = wire.read_frame(PROGRAM_CHANNEL)
        arrived = time.monotonic()
        report = reports.read(reply)
        if not isinstance(report, _ANSWERS[type(request)]):
            raise ValueError(type(report).__name__)
        answer: reports.Answer = report
    except (EOFError, OSError, ValueError) as error:
        _State.is_gone = True
        raise _ProgramGone from error
    allowed = _CALL_S + _BYTE_S * (len(question) + len(reply)) + _OF_ENCODING * (written - started)
    between = min(started - _State.last, _CALL_S)  # a test's own time between two calls
    _State.last = time.monotonic()
    read = min(_State.last - arrived, _CALL_S + _BYTE_S * len(reply))
    _note_wire_time(between + written - started + min(arrived - written, allowed) + read)
    _State.answered = True
    if isinstance(answer, reports.CallRaised) and answer.kind == plain.NOT_PLAIN:
        _share(answer.message, True)
    return answer


def _note_wire_time(seconds: float) -> None:
    _State.wire_s += seconds
    if _State.wire_s > _TELL_S and _State.tell is not None:
        seconds, _State.wire_s = _State.wire_s, 0.0
        _State.tell(seconds)


def _returned(answer: reports.Answer) -> reports.Returned:
    """The answer, unless the program raised: then so does this."""
    if isinstance(answer, reports.CallRaised):
        raise exceptions.rebuilt(answer, _decoded, partial(_share, by_program=True))
    assert isinstance(answer, reports.Returned)
    return answer


def _arguments_after(tree: Json) -> list[object]:
    """The arguments of a call after it, the named ones last."""
    if not isinstance(tree, list):
        raise ValueError("no arguments")
    arguments, named = map(_decoded, tree)
    if not isinstance(arguments, tuple) or not isinstance(named, dict):
        raise ValueError("no arguments")
    return [*arguments, *named.values()]


def _decoded(tree: Json) -> object:
    try:
        return decoding.decode(tree)
    except plain.NotPlainError as error:
        _share(str(error), True)
