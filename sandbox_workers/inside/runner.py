"""Executes one program in its child and reports its functions' results; expected values are not known here."""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH109
from __future__ import annotations

import _sitebuiltins
import builtins
import io
import marshal
import os
import sys
import types
from types import CodeType

from .. import plain
from . import protocol, recursion, reports, script, serving, shared
from .compiler import FILE_NAME
from .descriptors import open_by_name
from .entry_point import Namespace, find_function
from .reporting import PROGRAM, SETUP, Reporter

MODULE = "program"
"""Name of the program's module where tests import it, so that its main guard does not run."""
_CREDITS = "Thanks to those who develop Python: see https://www.python.org"
_LICENSE = "See https://www.python.org/psf/license/"
_REHEARSED_PROGRAM = "import math\ndef f(a, b):\n    return sorted([a + x for x in b])\n"
_REHEARSED_CALLS = ("f(2, [3, 1])", "(f(1, []), {2.5: 'a'})", "f(None, [0])")


def rehearsal(limits: tuple[tuple[int, int], ...]) -> protocol.ProgramJob:
    """A job of our own: two calls that return something and one that raises."""
    calls = [[compile(call, "test", "eval")] for call in _REHEARSED_CALLS]
    code = marshal.dumps(compile(_REHEARSED_PROGRAM, FILE_NAME, "exec"))
    tests = protocol.pack(protocol.ValueTests(None, calls))
    return protocol.ProgramJob(limits, "values", code, b"", tests, False, b"", False)


def warm_up() -> None:
    """Make the names of ``site``, without which the interpreter was started, and which programs expect."""
    for name in ("exit", "quit"):
        setattr(builtins, name, _sitebuiltins.Quitter(name, "Ctrl-D (i.e. EOF)"))
    builtins.help = _sitebuiltins._Helper()
    for name, text in (("copyright", sys.copyright), ("credits", _CREDITS), ("license", _LICENSE)):
        setattr(builtins, name, _sitebuiltins._Printer(name, text))
    sys.argv = [FILE_NAME]
    recursion.hide_own_frames()
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


def run(channel: int, job: protocol.ProgramJob) -> None:
    """``perform`` a job, then end the process."""
    perform(channel, job)
    os.read(channel, 1)  # until it is ended: the parent reads its use first
    os._exit(0)


def perform(channel: int, job: protocol.ProgramJob) -> None:
    """Run the program and the code that its mode adds; report."""
    is_script = job.mode == "script"
    module = types.ModuleType("__main__" if is_script else MODULE)
    sys.modules["__main__"] = module
    namespace = module.__dict__
    namespace["__file__"] = FILE_NAME
    reporter = Reporter(channel)
    if is_script:
        namespace |= {"__builtins__": builtins, "__annotations__": {}, "__cached__": None}
    if is_script or job.source or job.dies_of_signals:
        _prepare(job, namespace)
    if not is_script:
        sys.modules[MODULE] = module
    if job.prelude and not _execute(reporter, SETUP, marshal.loads(job.prelude), namespace):
        pass
    elif is_script:
        script.run_script(reporter, marshal.loads(job.code), namespace)
    elif _execute(reporter, PROGRAM, marshal.loads(job.code), namespace):
        if job.mode == "values":
            _run_values(reporter, protocol.unpack(protocol.ValueTests, job.tests), namespace, job.stop)
        elif job.mode == "shared":
            shared.run_tests(reporter, channel, namespace, job.stop)
        elif job.mode == "serve":
            serving.serve(reporter, channel, namespace)
    script.flush_standard()
    reporter.send(reports.Done())


def _prepare(job: protocol.ProgramJob, namespace: Namespace) -> None:
    """Provide what programs look for: their text and file, modules next to them, standard input by name, signals that
    end them.
    """
    directory = os.getcwd()
    namespace["__file__"] = f"{directory}/{FILE_NAME}"
    if job.mode in ("script", "shared"):
        sys.path.insert(0, directory)
    if job.source:
        script.write_source(job.source)
    if job.dies_of_signals:
        script.let_signals_end()
    if b"/dev/" in job.code or b"/proc/self/" in job.code:
        open_by_name()


def _run_values(reporter: Reporter, tests: protocol.ValueTests, namespace: Namespace, stop: bool) -> None:
    plain.name_opaque = True
    if tests.setup is not None and not _execute(reporter, SETUP, tests.setup, namespace):
        return
    last = len(tests.tests) - 1
    for number, calls in enumerate(tests.tests):
        try:
            values = [
                plain.encode_deep(eval(call, namespace) if isinstance(call, CodeType) else _call(call, namespace))
                for call in calls
            ]
        except plain.NotPlainError as error:
            reporter.send(reports.Raised(number, plain.NOT_PLAIN, None, str(error)))
            failed = True
        except BaseException as error:
            reporter.error(number, error)
            failed = True
        else:
            report = reports.Value(number, values)
            reporter.keep(report) if number == last else reporter.send(report)
            failed = False
        if failed and stop:
            break


def _call(call: protocol.NamedCall, namespace: Namespace) -> object:
    name, arguments = call
    return find_function(name, namespace)(*arguments)


def _execute(reporter: Reporter, number: int, code: CodeType, namespace: Namespace) -> bool:
    try:
        exec(code, namespace)
    except BaseException as error:
        reporter.error(number, error)
        return False
    return True
