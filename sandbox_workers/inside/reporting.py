"""Reports of a child on a run, and how an exception is described in them."""

from __future__ import annotations

from types import TracebackType

from .. import wire
from . import reports
from .compiler import FILE_NAME

MESSAGE_LENGTH = 500
PROGRAM, SETUP = -1, -2
"""Test numbers of errors in the program itself and in the suite's setup."""


class Reporter:
    """Sends reports to the parent, or to a judge."""

    def __init__(self, channel: int) -> None:
        self._channel = channel
        self._kept = b""

    def send(self, report: reports.Report) -> None:
        """Send one report, and before it the one that was kept."""
        wire.send_all(self._channel, self._kept + wire.frame(reports.write(report)))
        self._kept = b""

    def keep(self, report: reports.Report) -> None:
        """Send a report together with the next one: each time that something arrives, the parent wakes up."""
        self._kept = wire.frame(reports.write(report))

    def error(self, test: int, error: BaseException) -> None:
        """Report an exception."""
        self.send(reports.Raised(test, *failure(error)))


def failure(error: BaseException, most: int = MESSAGE_LENGTH) -> tuple[str, int | None, str]:
    """Kind, last line of the program on the traceback, and message of an exception, ``most`` characters of it."""
    try:
        message = str(error)[:most]
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


def ends_tests_well(error: BaseException) -> bool:
    """Whether tests ended themselves without a complaint, as ``unittest.main`` does; the program may not do it."""
    return isinstance(error, SystemExit) and not error.code and program_line(error.__traceback__) is None
