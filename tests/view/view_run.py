"""A small run folder, written with the run's own writers; its programs, prompts and messages are hostile text."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from stored_samples import learnt_columns, sample, table_of
from trajectories import batch_of, verdicts_of

from prl_ray.problems.problem import Problem
from prl_ray.tracking import Tracker
from prl_ray.tracking.problem_file import write_problems
from prl_ray.tracking.sample_table import LineFindings, SamplePart, step_table
from sandbox_workers import TestSuite

HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>'
PROGRAM = f"def f(x):\n    y = '''{HOSTILE}'''\n    return y"
RIGHT = "def f(x):\n    # right\n    return x"
STEPS = 8


def write_step(tracker: Tracker, step: int) -> None:
    """Two prompts of three samples: a mixed one, and one that fails throughout and was filtered."""
    batch = batch_of([sample(PROGRAM), sample(RIGHT), sample(PROGRAM)])
    reports = table_of([sample(PROGRAM)] * 3, ["timeout"] * 3, reports=[
        ("pf", ((1, HOSTILE),), f"ValueError: {HOSTILE}"), ("pp", (), ""), ("pf", ((1, "7"),), "")])  # fmt: skip
    verdicts = verdicts_of(["wrong_answer", "passed", "wrong_answer"], [1, -1, -1])
    verdicts = replace(verdicts, reports=_reports(reports))
    lines = int(batch.line_offsets[-1])
    scores = np.tile([0.9, 0.2, 0.7, 0.5], lines)[:lines].astype(np.float32)
    found = LineFindings(np.array([0, int(np.diff(batch.line_offsets)[1]), 0]), ("state", "passed", "state"),
                         np.arange(lines) % 5)  # fmt: skip
    learnt = learnt_columns(batch, np.linspace(-1, 1, len(batch.tokens)))
    learnt["advantage"] = np.linspace(1, -1, len(batch.tokens)).astype(np.float32)
    learnt["loss_weight"] = np.full(len(batch.tokens), 0.125, np.float32)
    other = batch_of([sample(PROGRAM, group=1)] * 3)
    parts = [SamplePart(batch, verdicts, scores, found, learnt), SamplePart(other, verdicts_of(["timeout"] * 3))]
    tracker.store.write(step, step_table(parts, lambda _, t: np.arange(1, len(t) + 1), lambda t: f"Prompt {HOSTILE}"))
    metrics = {
        "critic/score/mean": 0.2 + 0.01 * step,
        "critic/rewards/mean": 0.1 * step,
        "actor/kl": 0.001 * step,
        "timing_s/step": 4.0,
        "timing_s/gen": 3.0,
        "timing_s/update_actor": 1.0,
        "prm/score_gap": 0.05,
    }
    tracker.log(step, metrics)


def _reports(table: object) -> np.ndarray:
    from prl_ray.trajectory import Report

    rows = table.to_pylist()  # type: ignore[attr-defined]
    column = np.empty(len(rows), dtype=object)
    for i, row in enumerate(rows):
        answers = tuple((answer["test"], answer["got"]) for answer in row["answers"])
        column[i] = Report(row["tests"].rstrip("-") + "--", answers, row["message"])
    return column


def write_run(folder: Path, steps: int = STEPS) -> Tracker:
    """A run with PPO steps, problems, a config and an evaluation."""
    tracker = Tracker(folder, folder.name, "off", "p", {})
    tests = TestSuite(tests=("assert f(1) == 1", f"assert f({HOSTILE!r}) == 2"))
    problems = [Problem(f"task/{i}", f"Give x back. {HOSTILE}", "f", tests, (RIGHT,), "train") for i in range(2)]
    write_problems(folder, problems)
    settings = "seed: 1\nalgorithm: {estimator: gae, gamma: 1.0, lam: 0.95, kl_coef: 0.02, whiten: true, is_cap: 2.0}\n"
    (folder / "config.yaml").write_text(f"name: {folder.name}\nreward: {{name: '{HOSTILE}'}}\n{settings}")
    for step in range(steps):
        write_step(tracker, step)
    return tracker


def finish(folder: Path) -> None:
    figures = {"sampled": {"pass@1": 0.5, "se": 0.1}}
    content = {"problems": "composed", "split": "test", "policies": {"sft": figures, "ppo": figures}}
    (folder / "evaluation.json").write_text(json.dumps(content))
