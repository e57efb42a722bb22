"""Quality of scores: ranking (AUROC), calibration error, and the temperature that calibrates them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Labels = NDArray[np.floating] | NDArray[np.integer]
"""1 for positive and 0 for negative."""


def sigmoid(x: Floats) -> NDArray[np.float64]:
    """``1 / (1 + exp(-x))``, without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * np.asarray(x, dtype=np.float64)))


def auroc(scores: Floats, labels: Labels) -> float:
    """Probability that a positive scores above a negative; ties count one half (Mann-Whitney). nan unless both
    exist."""
    positive = np.asarray(labels) > 0.5
    n, m = int(positive.sum()), int((~positive).sum())
    if not n or not m:
        return float("nan")
    values, place = np.unique(scores, return_inverse=True)
    counts = np.bincount(place, minlength=len(values))
    mean_rank = np.cumsum(counts) - (counts - 1) / 2  # of tied scores, from 1
    return float((mean_rank[place][positive].sum() - n * (n + 1) / 2) / (n * m))


def calibration_error(p: Floats, labels: Labels, bins: int = 10, weights: Floats | None = None) -> float:
    """Expected calibration error over equally wide bins (Guo et al. 2017, eq. 3); 0 without labels."""
    if not len(p):
        return 0.0
    w = np.ones(len(p)) if weights is None else np.asarray(weights, dtype=np.float64)
    place = np.clip((np.asarray(p) * bins).astype(int), 0, bins - 1)
    gap = np.abs(np.bincount(place, w * p, bins) - np.bincount(place, w * labels, bins))
    return float(gap.sum() / w.sum())


def cross_entropy(logits: Floats, labels: Labels, weights: Floats | None = None) -> float:
    """Mean binary cross-entropy of logits against 0/1 labels; 0 without labels."""
    if not len(labels):
        return 0.0
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    return float(np.average(np.logaddexp(0.0, z) - y * z, weights=weights))


def fit_temperature(
    logits: Floats, labels: Labels, low: float = 0.25, high: float = 8.0, weights: Floats | None = None
) -> float:
    """The temperature that minimises the cross-entropy of ``sigmoid(logits / T)`` (Guo et al. 2017); 1 unless both
    labels exist.

    Golden-section search on ``log T``: the loss is convex in ``1/T``, so it has a single minimum.
    """
    y = np.asarray(labels, dtype=np.float64)
    z = np.asarray(logits, dtype=np.float64)
    if not len(y) or y.min() == y.max():
        return 1.0

    def loss(log_t: float) -> float:
        return cross_entropy(z / np.exp(log_t), y, weights)

    a, b = np.log(low), np.log(high)
    ratio = (np.sqrt(5) - 1) / 2
    for _ in range(60):
        c, d = b - ratio * (b - a), a + ratio * (b - a)
        a, b = (a, d) if loss(c) < loss(d) else (c, b)
    return float(np.exp((a + b) / 2))
