"""The verdict on a program: its status and the resources that it used."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

ANSWER_LENGTH, MOST_ANSWERS = 200, 8


class Status(StrEnum):
    """The outcome of one program on one test suite."""

    PASSED = "passed"
    WRONG_ANSWER = "wrong_answer"
    RUNTIME_ERROR = "runtime_error"
    COMPILE_ERROR = "compile_error"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    OUTPUT_LIMIT = "output_limit"
    FORBIDDEN = "forbidden"
    SANDBOX_ERROR = "sandbox_error"
    """The sandbox failed, not the program: run it again elsewhere, never reward or punish it."""
    UNSUPPORTED = "unsupported"
    """The tests need values that cannot be carried to them: this decides nothing, never reward or punish it."""


UNDECIDED = frozenset({Status.SANDBOX_ERROR, Status.UNSUPPORTED})
"""Statuses that say nothing of the program."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of one program on one suite."""

    status: Status
    passed: int = 0
    """Tests passed; with ``stop_at_first_failure`` those before the first failure."""
    total: int = 0
    line: int | None = None
    """1-based line of the candidate program that failed: of the error, or None where no line of it is to blame."""
    error: str = ""
    """Kind of error, such as ``IndexError``; empty where nothing was raised."""
    message: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    """Largest resident size of the program's process, the warm interpreter included."""
    failed_test: int | None = None
    """0-based index of the first test that failed."""
    shared: bool = False
    """True where the tests ran in the candidate's own process: such a verdict can be forged."""
    tests: str = ""
    """One letter a test, in the suite's order: ``p`` passed, ``f`` failed, ``-`` did not report."""
    answers: tuple[tuple[int, str], ...] = ()
    """For the first ``MOST_ANSWERS`` tests that failed: the test (0-based), and the value it got or the error."""

    @property
    def ok(self) -> bool:
        """Whether every expected test reported success."""
        return self.status is Status.PASSED


@dataclass(frozen=True, slots=True)
class CallResult:
    """The result of one call of a program's function: plain data, or the kind of error."""

    ok: bool
    value: object = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of a program without tests."""

    verdict: Verdict
    """``passed`` if it ended with exit code 0; otherwise why not."""
    exit_code: int
    """As ``subprocess`` counts: negative for a signal."""
    stdout: str
    stderr: str
