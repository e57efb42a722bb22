"""The labeller's interface to a verifier, which must first prove that it runs programs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prl_ray.errors import DataError
from prl_ray.problems import Problem
from prl_ray.supervision.inputs import Arguments
from sandbox_workers import UNDECIDED, CallResult, Status, TestSuite, Verdict

if TYPE_CHECKING:
    from prl_ray.credit.verdicts import LineVerdict

Item = tuple[str, TestSuite]
Job = tuple[str, str, Sequence[Arguments]]
Verify = Callable[[Sequence[Item]], Iterable[Verdict]]
"""Runs programs on suites; one verdict each, in order. All tests of a program should run, also after a failure."""
Call = Callable[[Sequence[Job]], Iterable[Sequence[CallResult]]]
"""Runs (program, entry point, arguments); for each, one result per argument tuple, in order."""

Locate = Callable[[Sequence[tuple[Problem, str]]], "Iterable[LineVerdict | None]"]
"""Line verdicts of failing programs (``code_prefix`` included), in order; None for one that the sandbox lost."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs the labeller's programs and calls."""

    verify: Verify
    call: Call | None
    retries: int

    def run(self, items: Sequence[Item]) -> list[Verdict]:
        """Verdicts in order; after a sandbox error a program is run again, at most ``retries`` times.

        Raises:
            DataError: verdicts are missing.
        """
        verdicts = self._verdicts(items)
        for _ in range(self.retries):
            failed = [i for i, verdict in enumerate(verdicts) if verdict.status is Status.SANDBOX_ERROR]
            if not failed:
                break
            for i, verdict in zip(failed, self._verdicts([items[i] for i in failed]), strict=True):
                verdicts[i] = verdict
        return verdicts

    def _verdicts(self, items: Sequence[Item]) -> list[Verdict]:
        verdicts = list(self.verify(items)) if items else []
        if len(verdicts) != len(items):
            raise DataError(f"{len(items)} programs were sent to the verifier and {len(verdicts)} verdicts came back")
        return verdicts

    def run_with_forced_failure(self, items: Sequence[Item]) -> list[Verdict]:
        """The same, plus a copy of the first program that raises an error: a verifier that passes it does not run
        programs.

        Raises:
            DataError: the broken program passed, or the sandbox cannot run programs.
        """
        if not items:
            return []
        program, suite = items[0]
        broken, *verdicts = self.run([(f"raise RuntimeError('forced failure')\n{program}", suite), *items])
        if broken.status is Status.PASSED:
            raise DataError("a program that raises at once passed its tests: the verifier does not run programs")
        if broken.status in UNDECIDED:
            raise DataError(f"the sandbox cannot run any program: {broken.message}")
        return verdicts

    def answers(self, jobs: Sequence[Job]) -> list[Sequence[CallResult]]:
        """Results of calls, in order.

        Raises:
            DataError: results are missing.
        """
        assert self.call is not None
        results = list(self.call(jobs)) if jobs else []
        if len(results) != len(jobs) or any(len(r) != len(job[2]) for r, job in zip(results, jobs, strict=True)):
            raise DataError("differential inputs: the sandbox lost results")
        return results
