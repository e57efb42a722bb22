"""The charts of a run, drawn by the report and by the viewer's overview."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chart:
    """One chart. A run draws those that it has data for."""

    name: str
    """Name of its file."""
    title: str
    says: str
    """How to read it, in one phrase."""
    metrics: tuple[tuple[str, str], ...]
    """Metric and label; a metric that ends in ``/`` stands for all that start so, which are their own labels."""

    def lines(self, logged: Iterable[str]) -> dict[str, str]:
        """Metric -> label, of those that a run has logged. Standard errors are left out."""
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
    Chart("reward", "Reward a program", "Sum of the shaped rewards", (("critic/rewards/mean", "reward"),)),
    Chart("validation", "pass@1, held-out problems", "Validation during the run", (("val-core/", ""),)),
    Chart("kl", "KL to the start", "Mean per token; how far the policy has moved", (("actor/kl", "KL"),)),
    Chart("entropy", "Entropy", "Falls to 0 where the policy is sure of everything", (("actor/entropy", "entropy"),)),
    Chart(
        "length",
        "Tokens per program",
        "Mean, and the longest",
        (("response_length/mean", "mean"), ("response_length/max", "max")),
    ),
    Chart(
        "lines",
        "Lines per program",
        "Fewer or more and more lines: the first sign of a hack",
        (("line/per_sample", "lines"),),
    ),
    Chart(
        "critic",
        "Explained variance",
        "1: the critic predicts the returns; 0: it knows no more than their mean",
        (("critic/vf_explained_var", "critic"),),
    ),
    Chart(
        "prm_gap",
        "PRM: passes less failures",
        "Mean line score of passes less that of failures; near 0 it carries no information",
        (("prm/score_gap", "gap"),),
    ),
    Chart(
        "filler",
        "Filler",
        "Shares of comment lines, of repeated lines, and of programs of one line",
        (("hack/neutral_share", "comments"), ("hack/repeated_share", "repeated"), ("hack/one_line_share", "one line")),
    ),
    Chart("sft", "Loss of supervised fine-tuning", "Over its own steps", (("sft/loss", "loss"),)),
    Chart(
        "prm",
        "Loss of the reward models",
        "Over their own steps",
        (("prm/loss", "PRM"), ("orm/loss", "ORM")),
    ),
)
