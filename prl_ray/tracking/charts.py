"""The charts of a run, drawn by the report and by the viewer's overview."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. Drawn if the run has data for it."""

    name: str
    """Name of the file."""
    title: str
    says: str
    """Subtitle: how to read the chart."""
    metrics: tuple[tuple[str, str], ...]
    """Pairs (metric, label); a metric that ends in ``/`` selects all metrics with this prefix, labelled by their
    names."""

    def lines(self, logged: Iterable[str]) -> dict[str, str]:
        """Metric -> label for the logged metrics. Standard errors are left out."""
        found = {}
        for metric, label in self.metrics:
            for name in logged:
                if name == metric or (metric.endswith("/") and name.startswith(metric) and not name.endswith("/se")):
                    found[name] = label or name
        return found


CHARTS = (
    Chart(
        "pass_rate",
        "Pass rate of the samples",
        "Share of the samples that pass all tests",
        (("critic/score/mean", "pass"),),
    ),
    Chart("reward", "Reward per program", "Sum of the shaped rewards", (("critic/rewards/mean", "reward"),)),
    Chart("validation", "pass@1, held-out problems", "Validation during the run", (("val-core/", ""),)),
    Chart("kl", "KL to the start", "Mean per token; the distance of the policy from its start", (("actor/kl", "KL"),)),
    Chart("entropy", "Entropy", "Mean per token; 0 for a deterministic policy", (("actor/entropy", "entropy"),)),
    Chart(
        "length",
        "Tokens per program",
        "Mean, and the longest",
        (("response_length/mean", "mean"), ("response_length/max", "max")),
    ),
    Chart(
        "lines",
        "Lines per program",
        "A steady fall or rise is the first sign of reward hacking",
        (("line/per_sample", "lines"),),
    ),
    Chart(
        "critic",
        "Explained variance",
        "1: the critic predicts the returns; 0: no better than their mean",
        (("critic/vf_explained_var", "critic"),),
    ),
    Chart(
        "prm_gap",
        "PRM: passes minus failures",
        "Mean line score of passes minus that of failures; near 0 it carries no information",
        (("prm/score_gap", "gap"),),
    ),
    Chart(
        "filler",
        "Filler",
        "Shares of comment lines, of repeated lines, and of programs of one line",
        (("hack/neutral_share", "comments"), ("hack/repeated_share", "repeated"), ("hack/one_line_share", "one line")),
    ),
    Chart("sft", "Loss of supervised fine-tuning", "By step of the stage", (("sft/loss", "loss"),)),
    Chart(
        "prm",
        "Loss of the reward models",
        "By step of the stage",
        (("prm/loss", "PRM"), ("orm/loss", "ORM")),
    ),
)
