"""Errors of this package. Both say what is wrong and what to do about it."""

from __future__ import annotations


class SandboxError(Exception):
    """Root of this package's errors."""


class SandboxUnavailable(SandboxError, OSError):  # noqa: N818 - a state, not an error of the caller
    """The host denies the isolation that was asked for. Names what is missing and the setting that would do with
    less.
    """


class SuiteError(SandboxError, ValueError):
    """A test suite cannot be used: unknown kind, no tests, or tests that do not parse."""
