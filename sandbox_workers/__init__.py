"""Runs one untrusted program and says what happened.

A *zygote*, a warm single-threaded interpreter inside its jail, forks one short-lived child a program; the verdict is
decided outside the child. ``Sandbox`` is one such worker. Needs only the standard library.
"""

from __future__ import annotations

from .errors import SandboxError, SandboxUnavailable, SuiteError
from .extraction import program_of
from .limits import Limits
from .sandbox import Sandbox
from .suite import Case, Checker, TestSuite
from .verdict import UNDECIDED, CallResult, Execution, Status, Verdict

__all__ = [
    "UNDECIDED",
    "CallResult",
    "Case",
    "Checker",
    "Execution",
    "Limits",
    "Sandbox",
    "SandboxError",
    "SandboxUnavailable",
    "Status",
    "SuiteError",
    "TestSuite",
    "Verdict",
    "program_of",
]
