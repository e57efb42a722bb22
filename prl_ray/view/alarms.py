"""Alarms: patterns in a run's curves that indicate problems. Each has the evidence and a remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from prl_ray.view.history import History

LEAST = 6
"""Minimum number of steps of a trend."""


class Alarm(NamedTuple):
    """One raised alarm."""

    title: str
    seen: str
    do: str


def alarms(history: History) -> list[dict[str, object]]:
    """The alarms that the history raises."""
    return [alarm._asdict() for check in CHECKS for alarm in [check(history)] if alarm]


def halves(history: History, name: str) -> tuple[float, float, float] | None:
    """Means of the first and the last third of a metric, and the standard error of their difference; None if there are
    too few steps."""
    curve = history.curves.get(name)
    if curve is None or len(curve.values) < LEAST:
        return None
    values = np.asarray(curve.values)
    third = max(2, len(values) // 3)
    first, last = values[:third], values[-third:]
    error = float(np.sqrt(first.var(ddof=1) / third + last.var(ddof=1) / third))
    return float(first.mean()), float(last.mean()), error


def reward_without_passes(history: History) -> Alarm | None:
    """The reward rises while the pass rate does not: the policy optimises the reward model, not the tests."""
    reward, passes = halves(history, "critic/rewards/mean"), halves(history, "critic/score/mean")
    if not reward or not passes:
        return None
    if reward[1] - reward[0] > 2 * reward[2] and passes[1] - passes[0] < passes[2]:
        return Alarm(
            "Reward rises, pass rate does not",
            f"reward {reward[0]:.3g} → {reward[1]:.3g}, pass rate {passes[0]:.1%} → {passes[1]:.1%}",
            "Read failing samples with a high reward. A shaping gated by the outcome helps (reward=located, gated).",
        )
    return None


def shrinking(history: History) -> Alarm | None:
    """Programs get shorter by a third without passing more."""
    lines, passes = halves(history, "line/per_sample"), halves(history, "critic/score/mean")
    if lines and passes and lines[1] < 0.67 * lines[0] and passes[1] - passes[0] < passes[2]:
        return Alarm(
            "Programs shrink",
            f"{lines[0]:.1f} → {lines[1]:.1f} lines per program, pass rate {passes[0]:.1%} → {passes[1]:.1%}",
            "Ending pays more than further lines: check the score of <end>, and the number of lines that a reward is "
            "divided by.",
        )
    return None


def filler(history: History) -> Alarm | None:
    """Comment lines or repeated lines become frequent."""
    seen = []
    for name, label in (("hack/neutral_share", "comment lines"), ("hack/repeated_share", "repeated lines")):
        found = halves(history, name)
        if found and found[1] > 0.15 and found[1] > 2 * found[0]:
            seen.append(f"{label} {found[0]:.1%} → {found[1]:.1%}")
    if not seen:
        return None
    return Alarm("Filler lines", ", ".join(seen), "A reward that is summed over lines pays for additional lines.")


def blind_prm(history: History) -> Alarm | None:
    """Line scores of passes and failures do not differ."""
    gap = halves(history, "prm/score_gap")
    if gap and abs(gap[1]) < 0.02:
        return Alarm(
            "The PRM does not distinguish passes from failures",
            f"mean score of passes minus that of failures: {gap[1]:+.3f}",
            "Train it on labelled rollouts (prm.rollouts), or use the outcome only (reward=outcome).",
        )
    return None


def blind_locator(history: History) -> Alarm | None:
    """The lowest line score finds fewer first wrong lines than the most frequent place."""
    counts: dict[str, int] = {}
    for step in history.samples:
        for key, value in step.locators.get("executed", {}).items():
            counts[key] = counts.get(key, 0) + value
    asked, known = counts.get("prm_asked", 0), counts.get("known", 0)
    place = max((value for key, value in counts.items() if key.startswith("at_")), default=0)
    if asked >= 50 and counts.get("prm", 0) / asked < place / known:
        return Alarm(
            "The locator is worse than a guess",
            f"lowest score: {counts.get('prm', 0) / asked:.1%} of first wrong lines, "
            f"most frequent place: {place / known:.1%}",
            "Locate by execution (algorithm.locator=exact) or by surprise.",
        )
    return None


CHECKS: tuple[Callable[[History], Alarm | None], ...] = (
    reward_without_passes,
    shrinking,
    filler,
    blind_prm,
    blind_locator,
)
