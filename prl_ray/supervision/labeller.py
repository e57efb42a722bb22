"""Labels by execution: variants of the references are run, and verdicts become labels.

Problems are labelled in chunks, whose reports can be stored on disk; ``prl_ray.supervision.rounds`` labels one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.problems import Problem
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.executor import Call, Executor, Verify
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rounds import LabelRounds
from prl_ray.supervision.rules import RuleTeachers
from prl_ray.supervision.store import ChunkStore
from prl_ray.supervision.teacher import Teachers

Progress = Callable[[int, int], None]
"""Called with (problems done, all problems)."""


def label_problems(
    problems: Sequence[Problem],
    config: LabelConfig,
    verify: Verify,
    call: Call | None = None,
    progress: Progress | None = None,
    store: str | Path | None = None,
    teachers: Teachers | None = None,
) -> LabelReport:
    """Labelled programs of all problems, in order.

    A problem's rows depend on the problem, the config and its own verdicts only, not on its neighbours.

    Args:
        problems: references that fail their tests are left out and counted.
        config: budgets and rules.
        verify: runs tests; a verifier pool, or ``LocalExecution(...).verify``.
        call: runs functions for differential inputs; without it the tests alone decide about refactorings.
        progress: called after each chunk.
        store: folder that keeps finished chunks, so that an interrupted run continues.
        teachers: propose variants; the rule teacher with ``config.weights`` by default.

    Raises:
        DataError: the verifier passes a program that must fail, loses verdicts, or no reference passes its tests.
    """
    report = LabelReport()
    for chunk in stream_labels(problems, config, verify, call, store, teachers):
        report.merge(chunk)
        if progress is not None:
            progress(report.notes["problems"], len(problems))
    if problems and not report.rows:
        reasons = ", ".join(f"{count} × {reason}" for reason, count in report.notes.items())
        raise DataError(f"no problem gave a labelled program ({reasons})")
    return report


def stream_labels(
    problems: Sequence[Problem],
    config: LabelConfig,
    verify: Verify,
    call: Call | None = None,
    store: str | Path | None = None,
    teachers: Teachers | None = None,
) -> Iterator[LabelReport]:
    """The same, one report per chunk of ``config.chunk`` problems."""
    config.load_operators()  # a spawned process has not imported them yet
    executor = Executor(verify, call if config.differential_inputs else None, config.retries)
    teachers = teachers or RuleTeachers(config.weights)
    rule = "tests" if executor.call is None else "differential"
    chunks = ChunkStore(store) if store else None
    for start in range(0, len(problems), config.chunk):
        chunk = problems[start : start + config.chunk]
        path = chunks.path(chunk, config, rule, teachers.identity) if chunks else None
        report = chunks.read(path) if chunks and path else None
        if report is None:
            report = LabelRounds(config, executor, teachers).label(chunk)
            if chunks and path:
                chunks.write(path, report)
        yield report
