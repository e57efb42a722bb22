"""Whether a disturbed run ended as the undisturbed one did: final weights, metrics of all steps, counts of verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from prl_ray.tracking.metrics_file import read_records
from prl_ray.tracking.sample_store import SUMMARY, read_summaries

MEASURED = ("timing_s/", "perf/")
"""Metrics of how long things took and how often they were lost."""
NOT_JUDGED = "sandbox_error"


@dataclass(frozen=True, slots=True)
class Compared:
    """What differs."""

    weights_gap: float
    """Largest difference of a weight."""
    metrics: list[str]
    """``step N: NAME CALM != CHAOS``, the first ones."""
    differing_metrics: int
    verdicts_differing: int
    """Steps whose prompts, samples or counts of verdicts differ."""
    lost: int
    """Samples of the disturbed run that are missing or were not judged."""
    twice: int
    """Samples of the disturbed run beyond those of a step."""

    @property
    def equal(self) -> bool:
        """Whether nothing does."""
        return self.weights_gap == 0 and not self.differing_metrics and not self.verdicts_differing

    @property
    def facts(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "weights_max_difference": self.weights_gap,
            "differing_metrics": self.differing_metrics,
            "first_differences": self.metrics,
            "steps_with_other_verdicts": self.verdicts_differing,
        }


def compared(calm: Path, chaos: Path, steps: int, samples: int) -> Compared:
    """Compares two run folders; each step has so many samples. Raises ``ValueError`` for a run that is not complete."""
    one, other = rows_of(calm, steps), rows_of(chaos, steps)
    differences = [
        f"step {step}: {name} {one[step].get(name)} != {other[step].get(name)}"
        for step in range(steps)
        for name in sorted(one[step].keys() | other[step].keys())
        if not same(one[step].get(name, math.nan), other[step].get(name, math.nan))
    ]
    one_sums, sums = (_summaries(folder) for folder in (calm, chaos))
    differing = sum(one_sums.get(step) != sums.get(step) for step in range(steps))
    counts = [sums[step][0] if step in sums else 0 for step in range(steps)]
    unjudged = sum(verdicts.get(NOT_JUDGED, 0) for _, verdicts, _ in sums.values())
    return Compared(
        weights_gap=gap(final_weights(calm), final_weights(chaos)),
        metrics=differences[:20],
        differing_metrics=len(differences),
        verdicts_differing=differing,
        lost=sum(max(0, samples - count) for count in counts) + unjudged,
        twice=sum(max(0, count - samples) for count in counts),
    )


Summary = tuple[int, dict[str, int], list[tuple[str, int, int]]]
"""Samples, verdicts, and what is kept of each prompt."""


def _summaries(run: Path) -> dict[int, Summary]:
    rows = read_summaries(run / "samples" / SUMMARY)
    return {row["step"]: (row["samples"], row["verdicts"], row["prompts"]) for row in rows}


def rows_of(run: Path, steps: int) -> list[dict[str, float]]:
    """The metrics of each PPO step, without times. Raises ``ValueError`` where a step has no row, or more than one."""
    found: dict[int, dict[str, float]] = {}
    for record in read_records(run / "metrics.jsonl"):
        kept = {name: value for name, value in record.metrics.items() if not name.startswith(MEASURED)}
        if record.stage == "ppo" and record.step >= 0 and kept:
            if record.step in found:
                raise ValueError(f"{run}: step {record.step} has two rows")
            found[record.step] = kept
    if lacking := [step for step in range(steps) if step not in found]:
        raise ValueError(f"{run}: no metrics of the steps {lacking[:10]}")
    return [found[step] for step in range(steps)]


def same(one: float, other: float) -> bool:
    """Equal, or both not a number."""
    return one == other or (math.isnan(one) and math.isnan(other))


def final_weights(run: Path) -> dict[str, np.ndarray]:
    """The policy that a run ended with. Raises ``ValueError`` where there is not exactly one."""
    files = sorted(run.parent.glob("artifacts/ppo-*/*.safetensors"))
    if len(files) != 1:
        raise ValueError(f"{run}: {len(files)} policies instead of one")
    weights: dict[str, np.ndarray] = load_file(files[0])
    return weights


def gap(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """The largest difference of two state dicts. Raises ``ValueError`` where their names differ."""
    if one.keys() != other.keys():
        raise ValueError(f"the weights have different names: {sorted(one.keys() ^ other.keys())[:5]}")
    return max(float(np.abs(one[name].astype(np.float64) - other[name]).max()) for name in one)
