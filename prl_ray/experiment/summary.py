"""All records of an experiment as one result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Required, TypedDict

import numpy as np

from prl_ray.errors import DataError
from prl_ray.experiment.plan import Experiment
from prl_ray.experiment.records import RunRecord, mean_costs, share_passed
from prl_ray.experiment.statistics import band, holm, paired_difference

MODES = ("sampled", "greedy")
POLICY, START = "ppo", "sft"
UNKNOWN_DIFFICULTY = "0"
"""See ``Problem.difficulty``."""


DifferenceFigures = dict[str, float]
"""The fields of a :class:`Difference`, and ``holm_p``: ``p`` corrected over all comparisons of the experiment."""


class DifficultyFigures(TypedDict, total=False):
    """Sampled pass@1 on the problems of one difficulty."""

    pass1: Required[float]
    """Mean over the seeds."""
    over_baseline: float
    """Mean over the seeds of the difference from the baseline; absent for the baseline."""
    over_baseline_se: float
    """Its standard error over the seeds; absent with one seed."""


class AgainstFigures(TypedDict):
    """An arm compared with another one than the baseline, at equal seeds and problems."""

    arm: str
    over: dict[str, DifferenceFigures]
    """By mode."""
    costs: dict[str, float]
    """Ratios to the other arm's."""


class ArmFigures(TypedDict, total=False):
    """Figures of an arm's runs; without records only an empty ``seeds``."""

    seeds: Required[list[int]]
    costs: dict[str, float]
    pass1_sampled: float
    pass1_greedy: float
    over_start: dict[str, DifferenceFigures]
    """By mode."""
    over_baseline: dict[str, DifferenceFigures]
    """By mode; absent for the baseline."""
    by_difficulty: dict[str, DifficultyFigures]
    """By difficulty of the problems; empty if it is not known."""
    costs_over_baseline: dict[str, float]
    against: AgainstFigures
    """Absent without ``Arm.against``, or without a common seed."""
    curves: dict[str, list[list[float]]]
    """Metric -> rows of step, mean, least, greatest."""


class ArmResult(ArmFigures):
    """An arm and its figures."""

    says: str
    overrides: list[str]


class Result(TypedDict):
    """``result.json`` of an experiment."""

    experiment: str
    hypotheses: list[str]
    baseline: str
    common: list[str]
    arms: dict[str, ArmResult]
    missing: list[str]
    """Names of the runs without a record."""
    machines: dict[str, int]
    """Cores, processor and GPUs -> number of runs that finished there; ``""`` for old records, which do not say."""


def summarise(experiment: Experiment, records: Sequence[RunRecord]) -> Result:
    """The result: each arm's figures, its difference from the baseline at equal seeds and problems, and its costs.

    ``missing`` lists the runs without a record. ``holm_p`` corrects the p-values of the sampled pass@1 over all
    comparisons. Raises ``DataError`` if two records of a seed have different problems.
    """
    by_arm = {arm.name: {r.seed: r for r in records if r.arm == arm.name} for arm in experiment.arms}
    base = by_arm[experiment.baseline]
    arms = {name: _figures(found, base, name == experiment.baseline) for name, found in by_arm.items() if found}
    for arm in experiment.arms:
        if arm.against and (pair := _over(by_arm[arm.name], by_arm[arm.against])):
            arms[arm.name]["against"] = {"arm": arm.against, "over": pair[0], "costs": pair[1]}
    compared = [figures["over_baseline"]["sampled"] for figures in arms.values() if "over_baseline" in figures]
    compared += [figures["against"]["over"]["sampled"] for figures in arms.values() if "against" in figures]
    for found, p in zip(compared, holm([found["p"] for found in compared]), strict=True):
        found["holm_p"] = p
    return {
        "experiment": experiment.name,
        "hypotheses": list(experiment.hypotheses),
        "baseline": experiment.baseline,
        "common": list(experiment.common),
        "arms": {
            arm.name: {**arms.get(arm.name, {"seeds": []}), "says": arm.says, "overrides": list(arm.overrides)}
            for arm in experiment.arms
        },
        "missing": [plan.name for plan in experiment.runs() if plan.seed not in by_arm[plan.arm]],
        "machines": dict(Counter(_machine(record.environment) for record in records)),
    }


def _machine(facts: Mapping[str, object]) -> str:
    gpus = facts.get("gpus")
    more = f", {', '.join(map(str, gpus))}" if isinstance(gpus, list) and gpus else ""
    return f"{facts['cores']} cores, {facts['processor']}{more}" if facts else ""


def _figures(found: dict[int, RunRecord], base: dict[int, RunRecord], is_baseline: bool) -> ArmFigures:
    records = list(found.values())
    figures: ArmFigures = {"seeds": sorted(found), "costs": dict(mean_costs(records))}
    for mode in MODES:
        share = float(np.mean([np.nanmean(share_passed(r, POLICY, mode)) for r in records]))
        figures["pass1_sampled" if mode == "sampled" else "pass1_greedy"] = share
        started = [r for r in records if START in r.passed]
        if started:
            gains = {r.seed: _difference(r, POLICY, r, START, mode) for r in started}
            figures.setdefault("over_start", {})[mode] = asdict(paired_difference(gains))
    if not is_baseline and (pair := _over(found, base)):
        figures["over_baseline"], figures["costs_over_baseline"] = pair
    figures["by_difficulty"] = _by_difficulty(found, {} if is_baseline else base)
    figures["curves"] = {
        name: band([r.curves[name] for r in records if name in r.curves])
        for name in sorted({name for r in records for name in r.curves})
    }
    return figures


def _over(
    found: Mapping[int, RunRecord], base: Mapping[int, RunRecord]
) -> tuple[dict[str, DifferenceFigures], dict[str, float]] | None:
    """The differences of one arm from another by mode, and the ratios of their costs; None without a common seed.
    Seconds are compared at the seeds that both ran on one kind of machine."""
    shared = sorted(set(found) & set(base))
    if not shared:
        return None
    differences = {
        mode: asdict(paired_difference({s: _difference(found[s], POLICY, base[s], POLICY, mode) for s in shared}))
        for mode in MODES
    }
    alike = [s for s in shared if _machine(found[s].environment) == _machine(base[s].environment)]
    ratios = {}
    for name in mean_costs([*found.values()]):
        seeds = alike if name.endswith("_s") else shared
        if seeds and all(base[s].costs.get(name) and name in found[s].costs for s in seeds):
            ratios[name] = float(np.mean([found[s].costs[name] / base[s].costs[name] for s in seeds]))
    return differences, ratios


def _by_difficulty(found: dict[int, RunRecord], base: dict[int, RunRecord]) -> dict[str, DifficultyFigures]:
    of_seed = {seed: record.by_difficulty.get(POLICY, {}) for seed, record in found.items()}
    shared = sorted(set(found) & set(base))
    figures: dict[str, DifficultyFigures] = {}
    for difficulty in sorted({d for own in of_seed.values() for d in own} - {UNKNOWN_DIFFICULTY}, key=int):
        figures[difficulty] = {
            "pass1": float(np.mean([own[difficulty]["pass@1"] for own in of_seed.values() if difficulty in own]))
        }
        over = [of_seed[s][difficulty]["pass@1"] - base[s].by_difficulty[POLICY][difficulty]["pass@1"] for s in shared]
        if over:
            figures[difficulty]["over_baseline"] = float(np.mean(over))
        if len(over) > 1:
            figures[difficulty]["over_baseline_se"] = float(np.std(over, ddof=1) / np.sqrt(len(over)))
    return figures


def _difference(a: RunRecord, policy_a: str, b: RunRecord, policy_b: str, mode: str) -> np.ndarray:
    if a.problems != b.problems:
        raise DataError(
            f"{a.arm} and {b.arm} at seed {a.seed} were evaluated on different problems and cannot be paired"
        )
    difference: np.ndarray = share_passed(a, policy_a, mode) - share_passed(b, policy_b, mode)
    known: np.ndarray = difference[~np.isnan(difference)]
    return known
