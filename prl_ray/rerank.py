"""Best of n: the pass rate of the samples that a reward model scores highest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prl_ray.evaluation import FloatArray, Sampled, mean_se
from prl_ray.evaluation_record import BestOfN, Choice
from prl_ray.rewards.program_scores import AGGREGATES
from sandbox_workers import UNDECIDED

CHOICES = ("random", "orm", "prm", "oracle")
"""Choices in the order of tables: random, by a reward model, by the verdicts themselves."""


def best_of_n(rows: Sampled, aggregate: str) -> BestOfN:
    """pass@1 of the chosen programs over the problems that have a verdict, as ``evaluation.json`` holds it.

    ``random`` is the expectation of a random choice, ``oracle`` passes if any sample does, ``prm`` and ``orm`` exist if
    ``rows`` has their scores. ``gain`` is the difference to ``random``, paired over problems; every ``se`` is over
    problems. A truncated program scores 0, since it has no end to score.
    """
    blind = rows.pass_at(1)
    kept = ~np.isnan(blind)
    rates: dict[Choice, FloatArray | None] = {
        "random": blind,
        "orm": chosen(rows, rows.orm_scores) if rows.orm_scores else None,
        "prm": chosen(rows, program_scores(rows, aggregate)) if rows.line_scores else None,
        "oracle": np.where(kept, rows.correct() > 0, np.nan),
    }
    figures: BestOfN = {"n": max(map(len, rows.statuses), default=0), "n_problems": int(kept.sum())}
    for name, values in rates.items():
        if values is not None:
            rate, se = mean_se(values[kept])
            gain, gain_se = mean_se((values - blind)[kept])
            figures[name] = {"pass@1": rate, "se": se, "gain": gain, "gain_se": gain_se}
    if "prm" in figures:
        figures["prm"]["aggregate"] = aggregate
    return figures


def program_scores(rows: Sampled, aggregate: str) -> list[list[float]]:
    """``[problems][samples]``: each program's line scores as one number, by a name of ``AGGREGATES``; 0 for a truncated
    program, whose last score is the 0 of its missing end, whatever the aggregate."""
    reduce = AGGREGATES[aggregate]
    return [
        [reduce(np.asarray(lines, dtype=np.float64)) if lines[-1] > 0 else 0.0 for lines in samples]
        for samples in rows.line_scores
    ]


def chosen(rows: Sampled, scores: Sequence[Sequence[float]]) -> FloatArray:
    """float64 ``[problems]``: whether the program with the highest score passes; nan if none has a verdict.

    Only programs with a verdict are candidates. Ties count with the share of the tied programs that pass.
    """
    return np.array([_chosen(s, p) for s, p in zip(rows.statuses, scores, strict=True)], dtype=np.float64)


def _chosen(statuses: Sequence[str], scores: Sequence[float]) -> float:
    judged = [(score, s == "passed") for s, score in zip(statuses, scores, strict=True) if s not in UNDECIDED]
    best = max((score for score, _ in judged), default=0.0)
    return float(np.mean([passed for score, passed in judged if score == best])) if judged else float("nan")
