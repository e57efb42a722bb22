"""Differences between arms, paired over problems and seeds.

Problems are nested within seeds (each seed has its own), so the bootstrap draws seeds and, within each, problems.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
DRAWS = 4000


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean difference over seeds and problems."""

    value: float
    low: float
    """Lower end of the 95% percentile interval."""
    high: float
    p: float
    """Two-sided p-value: the share of bootstrap draws around 0 at least as far from 0. Not corrected for multiple
    arms."""
    seeds: int
    problems: int
    """Problems per seed, on average."""


def paired_difference(differences: Mapping[int, Floats], draws: int = DRAWS, seed: int = 0) -> Difference:
    """The mean of ``differences`` (seed -> float64 ``[problems]``), each seed weighing the same.

    With one seed, only problems are drawn, so the interval does not cover the variation between seeds. Raises
    ``ValueError`` without differences.
    """
    parts = [np.asarray(values, dtype=np.float64) for values in differences.values()]
    if not parts or not all(len(part) for part in parts):
        raise ValueError("a paired difference needs at least one seed, and a problem in each")
    value = float(np.mean([part.mean() for part in parts]))
    rng = np.random.default_rng(seed)
    # many bootstrap means per seed; a draw of seeds picks a different one of them each time
    count = len(parts)
    chosen = rng.integers(count, size=(draws, count)) if count > 1 else np.zeros((draws, 1), dtype=np.int64)
    means = np.empty((draws, count))
    for number, part in enumerate(parts):
        places = np.argwhere(chosen == number)
        picks = rng.integers(len(part), size=(len(places), len(part)))
        means[places[:, 0], places[:, 1]] = part[picks].mean(axis=1)
    drawn = means.mean(axis=1)
    low, high = np.quantile(drawn, [0.025, 0.975])
    extreme = int((np.abs(drawn - value) >= abs(value)).sum())
    p = (extreme + 1) / (draws + 1)
    return Difference(value, float(low), float(high), p, count, round(float(np.mean([len(part) for part in parts]))))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values, in the order given (Holm 1979): the k-th smallest times the number of those that are
    not smaller, made non-decreasing, at most 1."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(p_values)
    most = 0.0
    for rank, index in enumerate(order):
        most = max(most, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = most
    return adjusted


def band(curves: Sequence[Sequence[Sequence[float]]]) -> list[list[float]]:
    """``[[step, mean, least, greatest], …]`` over the seeds' curves ``[[step, value], …]``, at the steps that all
    curves have."""
    if not curves:
        return []
    maps = [{float(step): float(value) for step, value in curve} for curve in curves]
    steps = sorted(set(maps[0]).intersection(*maps[1:]))
    rows = []
    for step in steps:
        values = [m[step] for m in maps]
        rows.append([step, float(np.mean(values)), min(values), max(values)])
    return rows
