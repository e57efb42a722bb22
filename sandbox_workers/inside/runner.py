"""Executes one program in its child and reports what its functions return; what was expected is not known here.

Messages to the parent, one frame each: ``["value", test, [tree, …]]`` for a test whose calls returned plain data,
``["error", test, kind, line, message]`` for one that raised (test -1 is the program itself), ``["end"]`` after the
last.
"""

from __future__ import annotations

import _sitebuiltins
import atexit
import builtins
import marshal
import os
import sys
import types
from contextlib import suppress
from types import CodeType, TracebackType
from typing import Any

from .. import plain, wire
from . import shared
from .compiler import FILE_NAME

OWN_FRAMES = 8
"""Frames of ours below the program's first, added to the recursion limit so that the program has all of it."""
PROGRAM, SETUP = -1, -2
"""Test numbers of errors in the program itself and in the suite's setup."""
MESSAGE_LENGTH = 500
_REHEARSED_PROGRAM = "import math\ndef f(a, b):\n    return sorted([a + x for x in b])\n"
_REHEARSED_CALLS = ("f(2, [3, 1])", "(f(1, []), {2.5: 'a'})", "f(None, [0])")
REHEARSAL = (
    "values",
    marshal.dumps(compile(_REHEARSED_PROGRAM, FILE_NAME, "exec")),
    marshal.dumps((None, [[compile(call, "test", "eval")] for call in _REHEARSED_CALLS])),
    False,
)
"""A job of our own: two calls that return something and one that raises."""


def warm_up() -> None:
    """Make what programs expect of an interpreter that was started without ``site``."""
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D"))
    sys.argv = [FILE_NAME]


def run(channel: int, mode: str, code: bytes, plan: bytes, stop_at_first_failure: bool) -> None:
    """``perform`` a job, then end the process."""
    perform(channel, mode, code, plan, stop_at_first_failure)
    os.read(channel, 1)  # until it is ended: the parent looks first at what it has used
    os._exit(0)


def perform(channel: int, mode: str, code: bytes, plan: bytes, stop_at_first_failure: bool) -> None:
    """Run the program and, in mode ``values``, the calls of its tests; report."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    namespace = module.__dict__
    reporter = Reporter(channel)
    if mode == "script":
        _run_script(reporter, marshal.loads(code), namespace)
    elif _execute(reporter, PROGRAM, marshal.loads(code), namespace):
        if mode == "values":
            _run_values(reporter, plan, namespace, stop_at_first_failure)
        elif mode == "shared":
            shared.run_tests(reporter, channel, namespace, stop_at_first_failure)
        elif mode == "serve":
            _serve(reporter, channel, namespace)
    _flush()
    reporter.send(["end"])


def _run_values(reporter: Reporter, plan: bytes, namespace: dict[str, Any], stop: bool) -> None:
    setup, tests = marshal.loads(plan)
    if setup is not None and not _execute(reporter, SETUP, setup, namespace):
        return
    for number, calls in enumerate(tests):
        try:
            values = [
                plain.encode(eval(call, namespace) if isinstance(call, CodeType) else _call(call, namespace))
                for call in calls
            ]
        except plain.NotPlainError as error:
            reporter.send(["error", number, "NotPlain", None, f"a value of type {error} is not plain data"])
            failed = True
        except BaseException as error:
            reporter.error(number, error)
            failed = True
        else:
            reporter.send(["value", number, values])
            failed = False
        if failed and stop:
            break


def _call(call: tuple[str, tuple[Any, ...]], namespace: dict[str, Any]) -> Any:
    name, arguments = call
    return _function(name, namespace)(*arguments)


def _function(name: str, namespace: dict[str, Any]) -> Any:
    """The program's function of that name: at the top, or a method of a class without arguments (``Solution().f``)."""
    if name in namespace:
        return namespace[name]
    owner, _, method = name.rpartition(".")
    owner = owner or "Solution"
    if owner not in namespace:
        raise NameError(f"name {name!r} is not defined")
    return getattr(namespace[owner](), method)


def _serve(reporter: Reporter, channel: int, namespace: dict[str, Any]) -> None:
    """Answer a judge's calls until it goes: ``["result", value, arguments afterwards]`` or ``["error", …]``."""
    reporter.send(["loaded"])
    while True:
        name, args, kwargs = plain.loads(wire.read_frame(channel))
        arguments, named = plain.decode(args), plain.decode(kwargs)
        try:
            result = plain.encode(_function(name, namespace)(*arguments, **named))
            afterwards = [plain.encode(argument) for argument in arguments]
        except plain.NotPlainError as error:
            reporter.send(["error", 0, "NotPlain", None, f"a value of type {error} is not plain data"])
        except BaseException as error:
            reporter.error(0, error)
        else:
            reporter.send(["result", result, afterwards])


def _execute(reporter: Reporter, number: int, code: CodeType, namespace: dict[str, Any]) -> bool:
    try:
        exec(code, namespace)
    except BaseException as error:
        reporter.error(number, error)
        return False
    return True


def _run_script(reporter: Reporter, code: CodeType, namespace: dict[str, Any]) -> None:
    """Run as ``python program.py`` would, with its ending: exit codes, threads that are waited for, exit functions."""
    exit_code = 0
    try:
        exec(code, namespace)
    except SystemExit as error:
        exit_code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException as error:
        reporter.error(PROGRAM, error)
        _print_traceback(error)
        exit_code = 1
    if threading := sys.modules.get("threading"):
        threading._shutdown()
    atexit._run_exitfuncs()
    _flush()
    os._exit(exit_code & 0xFF)


def _print_traceback(error: BaseException) -> None:
    """Say on standard error what Python would: without the frame of ours."""
    with suppress(BaseException):
        import traceback

        own = error.__traceback__
        traceback.print_exception(error.with_traceback(own.tb_next if own else None))


def _flush() -> None:
    """Write out what the program printed; it may have closed or replaced the streams."""
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        try:
            stream.flush()  # type: ignore[union-attr]
        except BaseException:
            continue  # without contextlib, whose pages would be copied for every program


class Reporter:
    """Sends messages to the parent."""

    def __init__(self, channel: int) -> None:
        self._channel = channel

    def send(self, message: list[Any]) -> None:
        """Send one message of encoded values."""
        wire.send_frame(self._channel, plain.dumps(message))

    def error(self, test: int, error: BaseException) -> None:
        """Report what was raised."""
        self.send(["error", test, *failure(error)])


def failure(error: BaseException) -> tuple[str, int | None, str]:
    """Kind, last line of the program on the traceback, and message of what was raised."""
    try:
        message = str(error)[:MESSAGE_LENGTH]
    except BaseException:
        message = ""
    return type(error).__name__, program_line(error.__traceback__), str(message)


def program_line(trace: TracebackType | None) -> int | None:
    """The innermost line of the candidate program on a traceback."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == FILE_NAME:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
