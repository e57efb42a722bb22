"""The record of a finished run: figures per problem, curves and costs, in one small JSON file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from prl_ray.errors import DataError
from prl_ray.evaluation import read_samples
from prl_ray.experiment.plan import RunPlan
from prl_ray.machine import environment
from prl_ray.tracking.metrics_file import Record, read_records, replace_text

CURVES = (
    "critic/score/mean",
    "val-core/",
    "actor/kl",
    "actor/entropy",
    "response_length/mean",
    "response_length/clip_ratio",
    "locator/",
    "prm/first_error_hit",
    "critic/vf_explained_var",
    "line/credit_failing",
    "training/groups_failing",
    "training/groups_mixed",
)
COSTS = {
    "sampled_tokens": ("perf/sampled_tokens", "perf/completed_tokens"),
    "verifier_runs": ("perf/sampled_programs", "perf/completed_programs", "locator/runs"),
    "learner_tokens": ("perf/total_num_tokens",),
    "update_tokens": ("perf/update_tokens",),
    "wall_s": ("timing_s/step",),
    "locate_s": ("timing_s/locate",),
}
"""Cost -> metrics that are summed over the PPO steps."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A finished run."""

    experiment: str
    arm: str
    seed: int
    key: str
    """Of ``RunPlan``."""
    overrides: list[str]
    problems: str
    """Digest of the evaluated problems' ids, in order: records are paired only if it is equal."""
    passed: dict[str, dict[str, list[float]]]
    """policy -> mode (``greedy``, ``sampled``) -> share of each problem's programs that pass; -1 without a verdict."""
    by_difficulty: dict[str, dict[str, dict[str, float]]]
    """policy -> difficulty -> sampled pass@1, standard error and number of problems."""
    costs: dict[str, float]
    """Sums over the PPO steps, see ``COSTS``; unmeasured costs are left out."""
    curves: dict[str, list[list[float]]]
    """metric -> ``[[step, value], …]``, three significant digits."""
    environment: dict[str, object] = field(default_factory=dict)
    """The machine, the versions and the commit, see ``prl_ray.machine.environment``; empty in old records."""

    def write(self, folder: Path) -> Path:
        """Writes ``folder/EXPERIMENT-ARM-sSEED.json``."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.experiment}-{self.arm}-s{self.seed}.json"
        replace_text(path, json.dumps(asdict(self), allow_nan=False) + "\n")
        return path


def read_record(folder: Path, plan: RunPlan) -> RunRecord | None:
    """The record of a run; None if there is none.

    Raises ``DataError`` if it cannot be read, or has other settings than the experiment file.
    """
    path = folder / f"{plan.name}.json"
    if not path.is_file():
        return None
    try:
        record = RunRecord(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise DataError(f"{path} is not a record of a run ({error})") from error
    if record.key != plan.key:
        raise DataError(
            f"{path} has other settings than the experiment file: move it away to run this arm again, "
            "or give the changed arm another name"
        )
    return record


def record_run(folder: Path, plan: RunPlan) -> RunRecord:
    """The record of the run in ``folder``, which has just finished on this machine.

    Raises ``DataError`` if the run was not evaluated.
    """
    file = folder / "evaluation.json"
    if not file.is_file():
        raise DataError(f"{folder} has no evaluation.json: the run is not finished")
    evaluation = json.loads(file.read_text(encoding="utf-8"))
    passed: dict[str, dict[str, list[float]]] = {}
    digests = set()
    for policy in evaluation["policies"]:
        passed[policy] = {}
        for mode in ("greedy", "sampled"):
            rows = read_samples(folder / f"samples_{policy}_{mode}.jsonl")
            share = [-1.0 if math.isnan(p) else round(float(p), 4) for p in rows.pass_at(1)]
            passed[policy][mode] = share
            digests.add(hashlib.sha256("\n".join(rows.task_ids).encode()).hexdigest()[:16])
    if len(digests) != 1:
        raise DataError(f"{folder}: its policies were evaluated on different problems")
    records = [r for r in read_records(folder / "metrics.jsonl") if r.stage == "ppo"]
    return RunRecord(
        experiment=plan.experiment,
        arm=plan.arm,
        seed=plan.seed,
        key=plan.key,
        overrides=list(plan.overrides),
        problems=digests.pop(),
        passed=passed,
        by_difficulty={name: figures["by_difficulty"] for name, figures in evaluation["policies"].items()},
        costs=_costs(records),
        curves=_curves(records),
        environment=environment(),
    )


def share_passed(record: RunRecord, policy: str, mode: str = "sampled") -> np.ndarray:
    """float64 ``[problems]``: share of each problem's programs that pass; nan for a problem without a verdict."""
    values = np.array(record.passed[policy][mode], dtype=np.float64)
    return np.where(values < 0, np.nan, values)


def _costs(records: list[Record]) -> dict[str, float]:
    costs: dict[str, float] = {"steps": float(sum(r.step >= 0 and "timing_s/step" in r.metrics for r in records))}
    for cost, metrics in COSTS.items():
        values = [r.metrics[m] for r in records for m in metrics if math.isfinite(r.metrics.get(m, math.nan))]
        if values:
            costs[cost] = float(sum(values))
    return costs


def _curves(records: list[Record]) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for record in records:
        for key, value in record.metrics.items():
            if key.startswith(CURVES) and not key.endswith("/se") and math.isfinite(value):
                found.setdefault(key, []).append([record.step, float(f"{value:.3g}")])
    return found


def mean_costs(records: list[RunRecord]) -> Mapping[str, float]:
    """Mean of each cost over the runs that measured it."""
    names = {name for record in records for name in record.costs}
    return {name: float(np.mean([r.costs[name] for r in records if name in r.costs])) for name in sorted(names)}
