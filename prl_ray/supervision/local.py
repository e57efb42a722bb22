"""Execution on this machine, without Ray: one sandbox or several as the labeller's verifier."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from types import TracebackType
from typing import Self

from prl_ray.credit.verdicts import LineJudge, LineVerdict
from prl_ray.problems import Problem
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.inputs import Arguments
from prl_ray.supervision.labeller import Progress, stream_labels
from prl_ray.supervision.report import LabelReport
from sandbox_workers import CallResult, Limits, Sandbox, TestSuite, Verdict


class LocalExecution:
    """One sandbox as ``verify`` and ``call`` of ``label_problems`` and ``locate`` of ``label_rollouts``; a context
    manager.

    Args:
        isolation: see ``Sandbox``.
        limits: of each program; by default shorter than the sandbox's own, because mutants often loop endlessly.

    Raises:
        SandboxUnavailable: this host denies the isolation.
    """

    def __init__(self, isolation: str = "full", limits: Limits | None = None) -> None:
        self.sandbox = Sandbox(isolation, limits or Limits(wall_s=1.5, cpu_s=1.0), shared_fallback=False)
        self.lines = LineJudge(partial(self.sandbox.run, stop_at_first_failure=True), self.sandbox.call)

    def verify(self, items: Sequence[tuple[str, TestSuite]]) -> Iterator[Verdict]:
        """One verdict per (program, suite), with all tests run."""
        for program, suite in items:
            yield self.sandbox.run(program, suite, stop_at_first_failure=False)

    def call(self, jobs: Sequence[tuple[str, str, Sequence[Arguments]]]) -> Iterator[list[CallResult]]:
        """One list of results per (program, entry point, arguments)."""
        for program, entry_point, arguments in jobs:
            yield self.sandbox.call(program, entry_point, arguments)

    def locate(self, programs: Sequence[tuple[Problem, str]]) -> Iterator[LineVerdict]:
        """One line verdict per failing program."""
        for problem, program in programs:
            yield self.lines.verdict(problem, program, False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.sandbox.close()


def label_in_processes(
    problems: Sequence[Problem],
    config: LabelConfig,
    workers: int | None = None,
    *,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> LabelReport:
    """The result of ``label_problems``, computed by several processes of this machine, each with its own sandbox.

    Args:
        problems: as in ``label_problems``.
        config: as in ``label_problems``; a process labels ``config.chunk`` problems at a time.
        workers: processes; one per core by default.
        limits: see ``LocalExecution``.
        progress: called after each chunk.

    Raises:
        DataError: the verifier passes a program that must fail, or loses verdicts.
        SandboxUnavailable: this host denies the isolation.
    """
    chunks = [problems[i : i + config.chunk] for i in range(0, len(problems), config.chunk)]
    report = LabelReport()
    # Not fork: a child would inherit locks that other threads of this process may hold.
    with ProcessPoolExecutor(workers or os.cpu_count(), mp_context=get_context("spawn")) as pool:
        for part in pool.map(partial(_label, config=config, limits=limits), chunks):
            report.merge(part)
            if progress is not None:
                progress(report.notes["problems"], len(problems))
    return report


def _label(problems: Sequence[Problem], config: LabelConfig, limits: Limits | None) -> LabelReport:
    report = LabelReport()
    with LocalExecution(limits=limits) as execution:
        for part in stream_labels(problems, config, execution.verify, execution.call):
            report.merge(part)
    return report
