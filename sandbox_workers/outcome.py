"""From the reports and the end of a program to its verdict."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass, field

from .inside.protocol import Ended
from .limits import Limits
from .supervise import Cause, Record
from .verdict import ANSWER_LENGTH, MOST_ANSWERS, Status, Verdict

CPU_ACCURACY = 0.7  # the kernel enforces its limit by ticks and reports by another clock
_OWN_END = 0.85
"""Share of its CPU limit from which on a program that fails by itself has met it: its runtime caught the signal."""
_AT_CPU_LIMIT = frozenset((signal.SIGKILL, signal.SIGXCPU))
_SHELL_SIGNAL = 128
"""Added to a signal's number, this is the exit code of a command that it ended, as shells count."""
_FORBIDDEN_ERRORS = {"PermissionError"}


@dataclass(frozen=True, slots=True)
class Failure:
    """The first thing that went wrong, as reported from inside or found by a comparison outside."""

    status: Status
    error: str = ""
    line: int | None = None
    message: str = ""
    test: int | None = None
    got: str = ""
    """The program's answers, where they were compared."""

    @property
    def answer(self) -> str:
        """The value that a test got, or the error."""
        error = ": ".join(part for part in (self.error, self.message) if part)
        return printable(self.got or error or "the test does not hold")[:ANSWER_LENGTH]

    @classmethod
    def raised(cls, kind: str, line: int | None, message: str, test: int | None = None) -> Failure:
        """A failure by an exception: its kind, line and message, all of which the program may have forged."""
        status = Status.RUNTIME_ERROR
        if kind == "MemoryError":
            status = Status.OUT_OF_MEMORY
        elif kind in _FORBIDDEN_ERRORS:
            status = Status.FORBIDDEN
        return cls(status, kind[:100], line, message[:500], test)


@dataclass(slots=True)
class Tally:
    """Which tests have reported; invariant: ``passed`` and ``failed`` share no test."""

    total: int
    passed: set[int] = field(default_factory=set)
    failed: set[int] = field(default_factory=set)
    first: Failure | None = None
    answers: dict[int, str] = field(default_factory=dict)
    """The answers to the first tests that failed."""

    def fail(self, test: int | None, failure: Failure) -> None:
        """Note a failure of one test, or of the program before any."""
        if test is not None:
            self.failed.add(test)
            self.passed.discard(test)
            if len(self.answers) < MOST_ANSWERS:
                self.answers.setdefault(test, failure.answer)
        if self.first is None:
            self.first = failure

    def succeed(self, test: int) -> None:
        """Note a success, unless the test has failed already."""
        if test not in self.failed:
            self.passed.add(test)


def verdict(
    tally: Tally,
    cause: Cause,
    record: Record,
    limits: Limits,
    wall_s: float,
    *,
    shared: bool = False,
    groups: Sequence[int] | None = None,
    total: int | None = None,
    first_test: int = 0,
) -> Verdict:
    """The verdict of a run: passed only if every expected test reported success and nothing else went wrong.

    ``groups`` says which of the suite's ``total`` tests each of the tally's belongs to, where they are not the same;
    ``first_test`` is the number of the tally's first test in the suite.
    """
    ended = record.ended
    assert ended is not None
    groups = range(first_test, first_test + tally.total) if groups is None else groups
    failure = _failure(tally, cause, ended, limits, groups)
    if failure is None:  # then every test has passed
        count = len(set(groups))
        return Verdict(
            status=Status.PASSED,
            passed=count,
            total=tally.total if total is None else total,
            wall_s=wall_s,
            cpu_s=ended.cpu_s,
            peak_bytes=ended.peak_bytes,
            shared=shared,
            tests="p" * count,
        )
    unproven = {group for test, group in enumerate(groups) if test not in tally.passed}
    return Verdict(
        status=failure.status,
        passed=len(set(groups) - unproven),
        total=tally.total if total is None else total,
        line=failure.line,
        error=printable(failure.error),
        message=printable(failure.message),
        wall_s=wall_s,
        cpu_s=ended.cpu_s,
        peak_bytes=ended.peak_bytes,
        failed_test=failure.test,
        shared=shared,
        tests=_letters(tally, groups),
        answers=_answers(tally, groups),
    )


def _letters(tally: Tally, groups: Sequence[int]) -> str:
    """``Verdict.tests``: a test passed if all of its checks did, and failed if one of them did."""
    failed = {groups[test] for test in tally.failed if 0 <= test < len(groups)}
    unproven = {group for test, group in enumerate(groups) if test not in tally.passed}
    return "".join("f" if t in failed else "-" if t in unproven else "p" for t in dict.fromkeys(groups))


def _answers(tally: Tally, groups: Sequence[int]) -> tuple[tuple[int, str], ...]:
    """``Verdict.answers``; of a test with several checks the first that failed. A forged number is no test's."""
    answers = {groups[t]: answer for t, answer in reversed(tally.answers.items()) if 0 <= t < len(groups)}
    return tuple(sorted(answers.items()))


def used_up_cpu(ended: Ended, limits: Limits, extended_s: float = 0.0) -> bool:
    """Whether a process that did not end well met its CPU limit: killed there, or by itself when it was told.

    ``extended_s``: seconds beyond the limit for which the program is not charged.
    """
    if ended.status == 0:
        return False
    exit_code = os.waitstatus_to_exitcode(ended.status)
    number = -exit_code if exit_code < 0 else exit_code - _SHELL_SIGNAL
    share = CPU_ACCURACY if number in _AT_CPU_LIMIT else _OWN_END
    return ended.cpu_s >= math.ceil(limits.cpu_s) * share + extended_s  # the kernel knows whole seconds


def cpu_failure(limits: Limits, test: int | None, error: str = "") -> Failure:
    """The failure of a program that met its CPU limit."""
    return Failure(Status.TIMEOUT, error, message=f"more than {limits.cpu_s} s of CPU", test=test)


def exit_failure(ended: Ended, limits: Limits, test: int) -> Failure:
    """The failure of a program that ended by itself with an exit code other than 0."""
    if used_up_cpu(ended, limits):
        return cpu_failure(limits, test)
    message = f"ended with exit code {os.WEXITSTATUS(ended.status)}"
    return Failure(Status.RUNTIME_ERROR, "ExitCode", message=message, test=test)


def printable(text: str) -> str:
    """Text of a program's, without what would not be shown but obeyed or refused: escapes of terminals, lone
    surrogates.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def _failure(tally: Tally, cause: Cause, ended: Ended, limits: Limits, groups: Sequence[int]) -> Failure | None:
    reported = tally.passed | tally.failed
    next_test = next((groups[test] for test in range(tally.total) if test not in reported), None)
    if cause == "output":
        return Failure(Status.OUTPUT_LIMIT, message=f"more than {limits.output_kb} KiB of output", test=next_test)
    if cause == "memory":
        return Failure(
            Status.OUT_OF_MEMORY, "MemoryError", message=f"more than {limits.memory_mb} MiB of memory", test=next_test
        )
    if tally.first is not None:
        return tally.first
    if cause == "timeout":
        return Failure(Status.TIMEOUT, message=f"more than {limits.wall_s} s", test=next_test)
    if cause == "forged":
        return Failure(Status.RUNTIME_ERROR, "ForgedMessage", message="wrote to its result channel", test=next_test)
    if next_test is None:
        return None
    return _early_end(ended, limits, next_test)


def _early_end(ended: Ended, limits: Limits, test: int) -> Failure:
    """The program's process ended before every test had reported."""
    if not os.WIFSIGNALED(ended.status):
        if used_up_cpu(ended, limits):
            return cpu_failure(limits, test)
        message = f"ended with exit code {os.WEXITSTATUS(ended.status)} before its tests"
        return Failure(Status.RUNTIME_ERROR, "EarlyExit", message=message, test=test)
    number = os.WTERMSIG(ended.status)
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if used_up_cpu(ended, limits):
        return cpu_failure(limits, test, name)
    if number == signal.SIGKILL:
        return Failure(Status.OUT_OF_MEMORY, name, message="killed: the host or its memory limit ended it", test=test)
    if number == signal.SIGXFSZ:
        return Failure(Status.OUTPUT_LIMIT, name, message=f"a file of more than {limits.file_mb} MiB", test=test)
    return Failure(Status.FORBIDDEN if number == signal.SIGSYS else Status.RUNTIME_ERROR, name, message=name, test=test)
