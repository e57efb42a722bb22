"""Hit rates of a locator against the first wrong lines found by execution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prl_ray.credit.locators import least_logprob
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.trajectory import TrajectoryBatch

Ints = NDArray[np.integer]
CONFIDENT = 0.5
"""A token with more than this probability was the sampler's first choice."""


def hit_metrics(batch: TrajectoryBatch, found: Ints, executed: Ints, failed: NDArray[np.bool_]) -> dict[str, float]:
    """Hit rates over the failures located by execution; empty if there are none.

    ``found`` and ``executed`` are int ``[samples]``, as ``LineCredit.wrong``. ``locator/hit_confident`` covers the
    failures whose first wrong line is the policy's first choice: each of its tokens has a probability of more than one
    half. A failure without a location is a miss.
    """
    known = np.flatnonzero(failed & (executed != UNKNOWN) & (executed < np.diff(batch.line_offsets)))
    if not len(known):
        return {}
    hit = (found[known] == executed[known]).astype(np.float64)
    sure = least_logprob(batch)[batch.line_offsets[known] + executed[known]] > np.log(CONFIDENT)
    metrics = {"locator/hit": float(hit.mean()), "locator/confident_errors": float(sure.mean())}
    return metrics | ({"locator/hit_confident": float(hit[sure].mean())} if sure.any() else {})
