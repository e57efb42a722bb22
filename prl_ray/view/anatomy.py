"""The time of a step: seconds of each phase, and the settings that affect it."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TypedDict

from prl_ray.view.history import BINS, History, short


@dataclass(frozen=True, slots=True)
class Phase:
    """A phase of a step."""

    metric: str
    label: str
    setting: str
    """Settings that affect its duration."""


PHASES = (
    Phase("gen", "sampling", "cluster.generators, loop.samples_per_prompt, model.max_response_tokens"),
    Phase("reward", "waiting for verdicts and scores", "cluster.verifiers, cluster.scorers"),
    Phase("locate", "executing lines", "cluster.verifiers, algorithm.locator_check"),
    Phase("complete", "completing lines", "algorithm.completions, cluster.generators"),
    Phase("reward_shaping", "shaping", "reward"),
    Phase("old_log_prob", "old log-probabilities", "algorithm.micro_batch_tokens, cluster.learners"),
    Phase("ref", "reference log-probabilities", "algorithm.kl_coef=0 skips them"),
    Phase("values", "critic's values", "algorithm.critic"),
    Phase("adv", "advantages", "algorithm.estimator"),
    Phase("update_critic", "critic's update", "algorithm.critic_epochs"),
    Phase("update_prm", "PRM's update", "prm.online"),
    Phase("update_actor", "policy's update", "algorithm.epochs, cluster.learners, algorithm.micro_batch_tokens"),
    Phase("update_weights", "sending weights", "cluster (between GPUs over NCCL)"),
    Phase("write_samples", "writing samples", "tracking.keep_samples"),
    Phase("testing", "validation", "loop.validate_every, loop.validation_problems"),
    Phase("save_checkpoint", "checkpoint", "loop.checkpoint_every"),
)


class PhaseTime(TypedDict):
    """The time of one phase over the steps of a run."""

    label: str
    setting: str
    x: list[float | None]
    y: list[float | None]
    """Binned steps and seconds."""
    median: float
    """Seconds per step."""
    seconds: float
    """In all."""
    share: float
    """Share of the seconds of all phases."""


class Anatomy(TypedDict):
    """The phases of a run's steps."""

    phases: list[PhaseTime]
    slowest: PhaseTime | None
    """The bottleneck."""


def anatomy(history: History) -> Anatomy:
    """Seconds of each phase over the steps, and the longest phase."""
    curves = [(phase, curve) for phase in PHASES if (curve := history.curves.get(f"timing_s/{phase.metric}"))]
    total = float(sum(sum(curve.values) for _, curve in curves))
    rows: list[PhaseTime] = []
    for phase, curve in curves:
        steps, values = history.points(f"timing_s/{phase.metric}", BINS)
        seconds = float(sum(curve.values))
        rows.append(
            {
                "label": phase.label,
                "setting": phase.setting,
                "x": steps,
                "y": values,
                "median": short(statistics.median(curve.values)) or 0.0,
                "seconds": short(seconds) or 0.0,
                "share": (short(seconds / total) or 0.0) if total else 0.0,
            }
        )
    return {"phases": rows, "slowest": max(rows, key=lambda row: row["seconds"], default=None)}
