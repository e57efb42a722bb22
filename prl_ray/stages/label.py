"""Labelling: variants of the references, executed on the verifier pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ray

from prl_ray.recipe import Run
from prl_ray.stages.teachers import teachers_of
from prl_ray.supervision import label_problems, save_labels
from sandbox_workers import CallResult, TestSuite, Verdict

CHUNK = 16


def label(run: Run) -> None:
    """Makes the ``label`` artifact."""
    made = run.artifact("label")
    if made.exists:
        run.console.skipped("label", str(made.folder))
        return run.link(made)
    problems = run.train_slices["label"]
    config = run.config.teacher.label_config(run.config.seed)
    stage = run.console.stage("label", f"{len(problems)} problems, teacher {run.config.teacher.name}")
    with stage, teachers_of(run) as teachers:
        pool = run.fleet.start_verifiers(problems)
        with run.console.progress("label", len(problems)) as advance, made.made() as folder:
            done = 0

            def progress(count: int, total: int) -> None:
                nonlocal done
                advance(count - done)
                done = count

            report = label_problems(problems, config, verify_on(pool), call_on(pool), progress, teachers=teachers)
            save_labels(folder / "labels", report, config, problems=run.config.problems.name)
        totals = report.totals
        run.tracker.rewind("label")
        run.tracker.log(0, {**totals, **{f"llm/{name}": count for name, count in report.cost.items()}}, stage="label")
        run.console.note(", ".join(f"{name} {count}" for name, count in totals.items()))
        if report.cost:
            run.console.note(report.llm_summary())
    return run.link(made)


def verify_on(pool: Any) -> Any:
    """The pool as the labeller's ``verify``: chunks in parallel, verdicts in order."""

    def verify(items: Sequence[tuple[str, TestSuite]]) -> Iterator[Verdict]:
        refs = [pool.run.remote(list(items[i : i + CHUNK])) for i in range(0, len(items), CHUNK)]
        for ref in refs:
            yield from ray.get(ref)

    return verify


def call_on(pool: Any) -> Any:
    """The pool as the labeller's ``call``."""

    def call(jobs: Sequence[tuple[str, str, Sequence[tuple[Any, ...]]]]) -> Iterator[list[CallResult]]:
        refs = [pool.call.remote(program, entry_point, list(arguments)) for program, entry_point, arguments in jobs]
        for ref, (_, _, arguments) in zip(refs, jobs, strict=True):
            yield ray.get(ref) or [CallResult(ok=False, error="VerifierLost")] * len(arguments)

    return call
