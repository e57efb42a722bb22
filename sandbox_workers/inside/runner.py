"""Executes one program in its child and reports what its functions return; what was expected is not known here.

Messages to the parent, one frame each: ``["value", test, [tree, …]]`` for a test whose calls returned plain data,
``["error", test, kind, line, message]`` for one that raised (test -1 is the program itself), ``["end"]`` after the
last.
"""

from __future__ import annotations

import _sitebuiltins
import atexit
import builtins
import gc
import io
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

OWN_FRAMES = 12
"""Frames of ours below the program's first, added to the recursion limit so that the program has all of it."""
_LAST = types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, dict
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
    builtins.help = _sitebuiltins._Helper()
    sys.argv = [FILE_NAME]
    _open_streams()


def _open_streams() -> None:
    """Standard output and error that were opened on pipes, as they will be: a stream asks its file once whether it can
    seek.
    """
    source, sink = os.pipe()
    for number, name, errors in ((1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        kept = os.dup(number)
        os.dup2(sink, number)
        raw = io.FileIO(number, "w", closefd=False)
        raw.name = f"<{name}>"
        is_error = name == "stderr"
        stream = io.TextIOWrapper(io.BufferedWriter(raw), "utf-8", errors, newline="\n", line_buffering=is_error)
        stream.mode = "w"  # type: ignore[misc]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
        os.dup2(kept, number)
        os.close(kept)
    os.close(source)
    os.close(sink)


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
    namespace["__file__"] = FILE_NAME
    reporter = Reporter(channel)
    if mode == "script":
        if b"/dev/stdin" in code:
            from .foreign import copy_stdin

            copy_stdin()
        _run_script(reporter, marshal.loads(code), namespace)
    elif _execute(reporter, PROGRAM, marshal.loads(code), namespace):
        if mode == "values":
            _run_values(reporter, plan, namespace, stop_at_first_failure)
        elif mode == "shared":
            shared.run_tests(reporter, channel, namespace, stop_at_first_failure)
        elif mode == "serve":
            _serve(reporter, channel, plan, namespace)
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
            reporter.send(["error", number, "NotPlain", None, _not_plain(error)])
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
    return find_function(name, namespace)(*arguments)


def find_function(name: str, namespace: dict[str, Any]) -> Any:
    """The program's function of that name: at the top, or a method of a class without arguments (``Solution.f``, also
    written ``Solution().f``).
    """
    name = name.replace("()", "")
    if name in namespace:
        return namespace[name]
    owner, _, method = name.rpartition(".")
    owner = owner or "Solution"
    if owner not in namespace:
        raise NameError(f"name {name!r} is not defined")
    return getattr(namespace[owner](), method)


def _serve(reporter: Reporter, channel: int, setup: bytes, namespace: dict[str, Any]) -> None:
    """Answer a judge until it goes.

    A call, ``[name, arguments, named arguments]``: ``["result", value, both kinds of arguments afterwards]`` or
    ``["error", 0, kind, line, message, built-in kind, its arguments]``. A name, ``[name]``: ``["function"]``,
    ``["result", value]``, ``["missing"]`` or an error.
    """
    if setup:
        with suppress(BaseException):  # the judge runs all of it, and says what is wrong with it
            exec(marshal.loads(setup), namespace)
    reporter.send(["loaded"])
    while True:
        name, *call = plain.loads(wire.read_frame(channel))
        try:
            answer = _call_for_judge(name, call, namespace) if call else _look_up(name, namespace)
        except plain.NotPlainError as error:
            answer = ["error", 0, "NotPlain", None, _not_plain(error), "", None]
        except BaseException as error:
            answer = ["error", 0, *failure(error), *_built_in(error)]
        reporter.send(answer)


def _call_for_judge(name: str, call: list[Any], namespace: dict[str, Any]) -> list[Any]:
    arguments, named = map(plain.decode, call)
    result = plain.encode(find_function(name, namespace)(*arguments, **named))
    return ["result", result, plain.encode([arguments, named])]


def _look_up(name: str, namespace: dict[str, Any]) -> list[Any]:
    if name not in namespace:
        return ["missing"]
    found = namespace[name]
    return ["function"] if callable(found) else ["result", plain.encode(found)]


def _not_plain(error: plain.NotPlainError) -> str:
    return f"a value of type {error} is not plain data; a suite whose tests handle such values says so: objects=true"


def _built_in(error: BaseException) -> tuple[str, Any]:
    """The nearest built-in kind of an exception, and its arguments if they are plain data."""
    kind = next(kind for kind in type(error).__mro__ if kind.__module__ == "builtins")
    try:
        return kind.__name__, plain.encode(error.args)
    except BaseException:
        return kind.__name__, None


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
        if exit_code != error.code and error.code is not None:
            _say(error.code)
    except BaseException as error:
        reporter.error(PROGRAM, error)
        _print_traceback(error)
        exit_code = 1
    if threading := sys.modules.get("threading"):
        threading._shutdown()
    atexit._run_exitfuncs()
    _let_go(namespace)
    _flush()
    os._exit(exit_code & 0xFF)


def _let_go(namespace: dict[str, Any]) -> None:
    """Drop what the program's names hold, as an interpreter that ends does: files write out what they buffered."""
    with suppress(BaseException):
        for name, value in list(namespace.items()):  # whose last words still find the modules and functions
            if not isinstance(value, _LAST):
                namespace[name] = None
        del value
        gc.collect()


def _say(message: object) -> None:
    with suppress(BaseException):
        print(message, file=sys.stderr)


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
