"""Runs a program as ``python program.py`` would, with its ending: exit codes, threads, exit functions, open files."""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH123
from __future__ import annotations

import atexit
import gc
import io
import os
import sys
import types
from collections.abc import Callable
from contextlib import suppress
from types import CodeType, FrameType

from .compiler import FILE_NAME
from .entry_point import Namespace
from .reporting import PROGRAM, Reporter

_LAST = types.ModuleType, types.FunctionType, types.BuiltinFunctionType, type, dict
_SIGNAL_EXIT = 128
"""Added to a signal's number, this is the exit code of a program that it ended, as shells count."""
Handler = Callable[[int, FrameType | None], object] | int
"""A handler for ``signal.signal``."""
_FATAL = (1, 3, 10, 12, 14, 15, 26, 27, 29)
"""Signals that end a process by default: HUP, QUIT, USR1, USR2, ALRM, TERM, VTALRM, PROF, IO."""


def run_script(reporter: Reporter, code: CodeType, namespace: Namespace) -> None:
    """Run the program; does not return."""
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
    flush_standard()
    _let_go(namespace)
    _flush_files()
    flush_standard()
    os._exit(exit_code & 0xFF)


def flush_standard() -> None:
    """Flush the program's output; it may have closed or replaced the streams."""
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        try:
            stream.flush()  # type: ignore[union-attr]
        except BaseException:
            continue  # without contextlib, whose pages would be copied for every program


def write_source(source: bytes) -> None:
    """Put the program where it looks for itself: its working directory."""
    with suppress(OSError), open(FILE_NAME, "wb") as file:
        file.write(source)


def let_signals_end() -> None:
    """Let signals end this process that the kernel keeps from the first one of a namespace."""
    import signal

    set_handler, get_handler, kill = signal.signal, signal.getsignal, os.kill

    def end(number: int, _: object) -> None:
        os._exit(_SIGNAL_EXIT + number)

    def set_instead(number: int, handler: Handler) -> Handler | None:
        before = set_handler(number, end if handler == signal.SIG_DFL and number in _FATAL else handler)
        return signal.SIG_DFL if before is end else before

    def get_instead(number: int) -> Handler | None:
        handler = get_handler(number)
        return signal.SIG_DFL if handler is end else handler

    def kill_instead(pid: int, number: int) -> None:
        if number == signal.SIGKILL and pid == os.getpid():
            os._exit(_SIGNAL_EXIT + number)
        kill(pid, number)

    for number in _FATAL:
        set_handler(number, end)
    signal.signal, signal.getsignal, os.kill = set_instead, get_instead, kill_instead  # type: ignore[assignment]


def _let_go(namespace: Namespace) -> None:
    """Drop the values of the program's names, as an interpreter that ends does: objects are finalised."""
    with suppress(BaseException):
        for name, value in list(namespace.items()):  # whose last words still find the modules and functions
            if not isinstance(value, _LAST):
                namespace[name] = None
        del value
        gc.collect()


def _flush_files() -> None:
    """Flush files that classes, closures, defaults or bound methods still hold."""
    streams = [held for held in gc.get_objects() if isinstance(held, (io.TextIOWrapper, io.BufferedWriter))]
    for kind in (io.TextIOWrapper, io.BufferedWriter):  # the buffers below the texts last
        for stream in streams:
            with suppress(BaseException):
                if isinstance(stream, kind) and not stream.closed:
                    stream.flush()


def _say(message: object) -> None:
    with suppress(BaseException):
        print(message, file=sys.stderr)


def _print_traceback(error: BaseException) -> None:
    """Print Python's traceback on standard error, without our own frame."""
    with suppress(BaseException):
        import traceback

        own = error.__traceback__
        traceback.print_exception(error.with_traceback(own.tb_next if own else None))
