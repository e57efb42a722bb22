"""A sandbox worker in a Ray actor, and its verdicts as columns of a batch."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import ray

from prl_ray.credit.verdicts import LineJudge, LineVerdict
from prl_ray.lines import units
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import STATUSES, Report, TrajectoryBatch, Verdicts
from sandbox_workers import CallResult, Limits, Sandbox, TestSuite, Verdict
from sandbox_workers.languages import PYTHON

_NEWLINE = re.compile(r"\r\n|\r|\n")
"""Line ends of physical lines, as Python counts them."""
Suites = Mapping[str, TestSuite]
"""Tests by task id."""


@dataclass(frozen=True, slots=True)
class VerifierSetup:
    """Settings of one worker."""

    isolation: str = "full"
    wall_s: float = 3.0
    memory_mb: int = 512
    attempts: int = 3
    language: str = PYTHON
    """Of all programs of a run."""


@dataclass(frozen=True, slots=True)
class Started:
    """Where a worker runs."""

    host: str
    node: str
    """Ray's id of the node."""


COMPLETION_S = 1.0
"""Wall seconds of a program that is run for line verdicts: those that say something take milliseconds."""


class Verifier:
    """One sandbox worker."""

    def __init__(self, setup: VerifierSetup) -> None:
        self.setup = setup
        limits = Limits(wall_s=setup.wall_s, memory_mb=setup.memory_mb)
        # A policy must not be able to choose, by what its programs return, the mode in which verdicts can be forged.
        self.sandbox = Sandbox(setup.isolation, limits, languages=[setup.language], shared_fallback=False)
        limits = replace(limits, wall_s=min(limits.wall_s, COMPLETION_S))
        run, call = partial(self.sandbox.run, stop_at_first_failure=True, limits=limits), self.sandbox.call
        self.lines = LineJudge(run, partial(call, limits=limits))

    def started(self) -> Started:
        """Host of the worker; answers when it is ready."""
        return Started(socket.gethostname(), ray.get_runtime_context().get_node_id())

    def run(self, programs: Sequence[tuple[str, TestSuite]], stop_at_first_failure: bool = False) -> list[Verdict]:
        """One verdict per program."""
        language = self.setup.language
        return [
            self.sandbox.run(p, suite, stop_at_first_failure=stop_at_first_failure, language=language)
            for p, suite in programs
        ]

    def locate(self, programs: Sequence[tuple[Problem, str, bool]]) -> list[LineVerdict]:
        """A line verdict for each (problem, program, whether it passes its tests)."""
        return [self.lines.verdict(*program) for program in programs]

    def call(self, program: str, entry_point: str, arguments: Sequence[tuple[object, ...]]) -> list[CallResult]:
        """The program's result for each argument tuple; see ``Sandbox.call``."""
        return self.sandbox.call(program, entry_point, arguments)


def as_columns(batch: TrajectoryBatch, verdicts: Sequence[Verdict]) -> Verdicts:
    """Verdicts as columns; line numbers of the program become indices of the sample's own scored lines."""
    return Verdicts(
        status=np.array([STATUSES.index(v.status) for v in verdicts], dtype=np.uint8),
        passed=np.array([v.passed for v in verdicts], dtype=np.int32),
        total=np.array([v.total for v in verdicts], dtype=np.int32),
        error_line=np.array([_error_line(batch, i, v.line) for i, v in enumerate(verdicts)], dtype=np.int32),
        finished=np.array(batch.finished),  # copies: views would keep the whole batch
        tokens=np.diff(batch.token_offsets).astype(np.int32),
        reports=_reports(verdicts),
    )


def _reports(verdicts: Sequence[Verdict]) -> np.ndarray:
    reports = np.empty(len(verdicts), dtype=object)  # np.array would turn the tuples into columns
    for i, verdict in enumerate(verdicts):
        message = ": ".join(part for part in (verdict.error, verdict.message) if part)
        reports[i] = Report(verdict.tests, verdict.answers, message)
    return reports


def _error_line(batch: TrajectoryBatch, sample: int, line: int | None) -> int:
    """Index, on the sample's line axis, of the line that physical line ``line`` (from 1) belongs to; -1 if none."""
    if line is None:
        return -1
    program = batch.programs[sample]
    lines = units(program, batch.unit)
    scored = int(np.diff(batch.line_offsets)[sample]) - int(batch.finished[sample])
    in_prefix = len(lines) - scored
    for index, span in enumerate(lines):
        first = len(_NEWLINE.findall(program, 0, span.start)) + 1
        last = len(_NEWLINE.findall(program, 0, span.end)) + 1
        if first <= line <= last:
            return index - in_prefix if index >= in_prefix else -1
    return -1
