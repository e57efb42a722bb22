"""Execution on this machine, without Ray: what the labeller needs of a verifier, by one sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

from prl_ray.supervision.inputs import Arguments
from sandbox_workers import CallResult, Limits, Sandbox, TestSuite, Verdict


class LocalExecution:
    """One sandbox as ``verify`` and ``call`` of ``label_problems``; a context manager.

    Args:
        isolation: see ``Sandbox``.
        limits: of each program; by default shorter than the sandbox's own, because mutants often loop for ever.

    Raises:
        SandboxUnavailable: this host denies the isolation.
    """

    def __init__(self, isolation: str = "full", limits: Limits | None = None) -> None:
        self.sandbox = Sandbox(isolation=isolation, limits=limits or Limits(wall_s=1.5, cpu_s=1.0))

    def verify(self, items: Sequence[tuple[str, TestSuite]]) -> Iterator[Verdict]:
        """One verdict a (program, suite), all of its tests run."""
        for program, suite in items:
            yield self.sandbox.run(program, suite, stop_at_first_failure=False)

    def call(self, jobs: Sequence[tuple[str, str, Sequence[Arguments]]]) -> Iterator[list[CallResult]]:
        """One list of results a (program, entry point, arguments)."""
        for program, entry_point, arguments in jobs:
            yield self.sandbox.call(program, entry_point, arguments)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sandbox.close()
