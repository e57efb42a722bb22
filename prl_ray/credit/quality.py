"""How often a locator finds the first wrong line that execution finds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prl_ray.credit.locators import least_logprob
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.trajectory import TrajectoryBatch

Ints = NDArray[np.integer]
CONFIDENT = 0.5
"""A token to which the sampler gave more than this was its first choice, whatever the others were."""


def hit_metrics(batch: TrajectoryBatch, found: Ints, executed: Ints, failed: NDArray[np.bool_]) -> dict[str, float]:
    """Hit rates over the failures that execution located; nothing where there is none.

    ``found`` and ``executed`` are int ``[samples]``, as ``LineCredit.wrong``. ``locator/hit_confident`` is over those
    whose first wrong line the policy's first choice writes too: every token of it has more than half of the
    probability. A failure without a location is no hit.
    """
    known = np.flatnonzero(failed & (executed != UNKNOWN) & (executed < np.diff(batch.line_offsets)))
    if not len(known):
        return {}
    hit = (found[known] == executed[known]).astype(np.float64)
    sure = least_logprob(batch)[batch.line_offsets[known] + executed[known]] > np.log(CONFIDENT)
    metrics = {"locator/hit": float(hit.mean()), "locator/confident_errors": float(sure.mean())}
    return metrics | ({"locator/hit_confident": float(hit[sure].mean())} if sure.any() else {})
