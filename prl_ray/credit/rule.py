"""Fits the rule of the locator ``surprise_prm`` to labelled lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
RIDGE = 1e-4
"""L2 penalty on the two slopes, so that separable lines have a finite rule too."""


def fit_rule(least_logprobs: Floats, scores: Floats, right: NDArray[np.bool_]) -> dict[str, float]:
    """The maximum-likelihood parameters of ``surprise_prm``, by Newton's method (logistic regression).

    Args:
        least_logprobs: ``[lines]``, the lowest log-probability that the sampler gave a token of each line. The rule
            reads the probability.
        scores: ``[lines]``, the PRM's probabilities, in [0, 1].
        right: bool ``[lines]``. The lines are those of failing programs, up to and including the first wrong ones.

    Raises:
        ValueError: there is no right line, or no wrong one.
    """
    if right.all() or not right.any():
        raise ValueError("a rule needs both right and wrong lines")
    p = np.clip(np.asarray(scores, dtype=np.float64), 1e-6, 1 - 1e-6)
    x = np.stack([np.ones(len(p)), np.exp(np.asarray(least_logprobs, dtype=np.float64)), np.log(p / (1 - p))], axis=1)
    wrong = (~right).astype(np.float64)
    penalty = np.diag([0.0, RIDGE, RIDGE]) * len(p)
    weights = np.zeros(3)
    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (wrong - chance) - penalty @ weights
        curvature = (x * (chance * (1 - chance))[:, None]).T @ x + penalty + 1e-9 * np.eye(3)
        step = np.linalg.solve(curvature, gradient)
        weights += step / max(1.0, float(np.abs(step).max()))  # a full step far from the solution may overshoot
        if np.abs(step).max() < 1e-8:
            break
    return {"bias": float(weights[0]), "by_probability": float(weights[1]), "by_score": float(weights[2])}
