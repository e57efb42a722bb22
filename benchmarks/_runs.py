"""Figures of finished run folders, and a run that is made on the spot."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from prl_ray import compose
from prl_ray.child_commands import ChildCommands
from prl_ray.config import validate
from prl_ray.evaluation import read_samples
from prl_ray.inputs import RunInputs
from prl_ray.problems import Problem
from prl_ray.stages import label, prm, rollouts, sft
from prl_ray.tracking.metrics_file import Record, read_records
from sandbox_workers import UNDECIDED


def execute(overrides: Sequence[str], cluster: str = "local") -> float:
    """Runs ``python -m prl_ray.train`` with ``overrides`` and returns its wall minutes. Exits with its code where it
    fails."""
    start = time.monotonic()
    with ChildCommands() as commands:
        code = commands.run("prl_ray.train", [f"+cluster={cluster}", *overrides])
    if code:
        sys.exit(code)
    return (time.monotonic() - start) / 60


ARTIFACTS = {
    "label": label.artifact,
    "sft": sft.artifact,
    "rollouts": rollouts.artifact,
    "prm": lambda inputs: prm.artifact(inputs, "prm"),
    "orm": lambda inputs: prm.artifact(inputs, "orm"),
}
"""What the stages before PPO make, by name."""


def finished(overrides: Sequence[str], artifacts: Sequence[str]) -> RunInputs:
    """The inputs of a run whose ``artifacts`` (names of ``ARTIFACTS``) exist; the recipe makes what is missing."""
    inputs = RunInputs(compose(overrides))
    if not all(ARTIFACTS[name](inputs).exists for name in artifacts):
        execute(overrides)
    return inputs


def artifact_folder(inputs: RunInputs, name: str) -> Path:
    """The folder of an artifact by its name in ``ARTIFACTS``."""
    return ARTIFACTS[name](inputs).need()


def stated(overrides: Sequence[str]) -> list[str]:
    """The overrides that a result file repeats: all but the places where this machine keeps things."""
    return [o for o in overrides if o.lstrip("+").partition("=")[0] not in ("runs_dir", "problems.path", "model.path")]


def need_empty(folder: Path) -> None:
    """Ends the command where ``folder`` holds something: artifacts that are found there would shorten the run."""
    if folder.is_dir() and any(folder.iterdir()):
        sys.exit(f"error: {folder} is not empty; a run is timed from an empty folder")


def read_evaluation(run: Path) -> dict[str, Any]:
    """A run's ``evaluation.json``. Ends the command where the run has not come so far."""
    file = run / "evaluation.json"
    if not file.is_file():
        sys.exit(f"error: {file} is missing: {run.name} has not been evaluated (or give another --run-folder)")
    evaluation: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return evaluation


def evaluated_samples(folder: Path, policy: str = "") -> Iterator[tuple[Problem, str, str]]:
    """The sampled programs (code prefix included) of an evaluated run that have a reference and a verdict: problem,
    program, status. ``policy`` is by default the last that was evaluated."""
    name = policy or list(read_evaluation(folder)["policies"])[-1]
    config = validate(OmegaConf.load(folder / "config.yaml"))  # type: ignore[arg-type]
    found = RunInputs(config).problems(config.evaluate.split, config.evaluate.problems)  # type: ignore[arg-type]
    problems = {problem.task_id: problem for problem in found if problem.references}
    samples = read_samples(folder / f"samples_{name}_sampled.jsonl")
    for task, programs, statuses in zip(samples.task_ids, samples.programs, samples.statuses, strict=True):
        for completion, status in zip(programs, statuses, strict=True):
            if task in problems and status not in UNDECIDED:
                yield problems[task], problems[task].code_prefix + completion, status


def stage_minutes(run: Path) -> dict[str, float]:
    """Wall minutes of each stage, as the run itself measured them; a stage that was skipped takes next to nothing."""
    minutes: dict[str, float] = {}
    for record in read_records(run / "metrics.jsonl"):
        for key, value in record.metrics.items():
            if key.endswith("timing_s/stage"):
                minutes[record.stage] = minutes.get(record.stage, 0.0) + value / 60
    return minutes


def curves(run: Path, prefixes: Sequence[str]) -> dict[str, list[list[float]]]:
    """``[[step, value], …]`` of the PPO metrics that start with one of ``prefixes``."""
    found: dict[str, list[list[float]]] = {}
    records: list[Record] = [r for r in read_records(run / "metrics.jsonl") if r.stage == "ppo"]
    for record in records:
        for key, value in record.metrics.items():
            if key.startswith(tuple(prefixes)) and math.isfinite(value):
                found.setdefault(key, []).append([record.step, value])
    return found


CURVES = (
    "critic/score/mean",
    "critic/rewards/mean",
    "val-core/",
    "actor/kl",
    "response_length/mean",
    "line/per_sample",
    "prm/score",
    "critic/vf_explained_var",
)


def figures(run: Path) -> dict[str, Any]:
    """Everything of a run that a result file keeps."""
    evaluation = read_evaluation(run)
    return {
        "run": run.name,
        "problems": evaluation["problems"],
        "n_problems": evaluation["n_problems"],
        "policies": evaluation["policies"],
        "gain": evaluation["gain"],
        "stage_minutes": stage_minutes(run),
        "curves": curves(run, CURVES),
    }


def pass_headline(evaluation: Mapping[str, Any], ks: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """``passK_POLICY`` (sampled) for the policies and k of ``ks``, and PPO's gain over SFT with its standard error.

    Ends the command where a figure is missing, naming it.
    """
    headline = {}
    for policy, wanted in ks.items():
        for k in wanted:
            try:
                headline[f"pass{k}_{policy}"] = evaluation["policies"][policy]["sampled"][f"pass@{k}"]
            except KeyError:
                sys.exit(f"error: the evaluation has no sampled pass@{k} of '{policy}'; see evaluate.k and .policies")
    gain = evaluation["gain"]["ppo-sft"]["sampled"]
    return {**headline, "gain": gain["gain"], "gain_se": gain["se"]}
