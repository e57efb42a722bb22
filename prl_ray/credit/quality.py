"""Hit rates of a locator against the first wrong lines found by execution."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from prl_ray.credit.locators import LocatorInputs, least_logprob, prm, surprise
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.trajectory import TrajectoryBatch

Ints = NDArray[np.integer]
CONFIDENT = 0.5
"""A token with more than this probability was the sampler's first choice."""


def known_errors(
    batch: TrajectoryBatch, executed: Ints, failed: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The failures that execution locates, int64 ``[n]``, and which of them are confident errors, bool ``[n]``.
    Arguments as in ``hit_metrics``."""
    known = np.flatnonzero(failed & (executed != UNKNOWN) & (executed < np.diff(batch.line_offsets)))
    return known, least_logprob(batch)[batch.line_offsets[known] + executed[known]] > np.log(CONFIDENT)


def hit_metrics(batch: TrajectoryBatch, found: Ints, executed: Ints, failed: NDArray[np.bool_]) -> dict[str, float]:
    """Hit rates over the failures located by execution; empty if there are none.

    ``found`` and ``executed`` are int ``[samples]``, as ``LineCredit.wrong``. ``locator/hit_confident`` covers the
    failures whose first wrong line is the policy's first choice: each of its tokens has a probability of more than one
    half. A failure without a location is a miss. ``locator/early`` is the share in which a right line is blamed, before
    the first wrong one.
    """
    known, sure = known_errors(batch, executed, failed)
    if not len(known):
        return {}
    hit = (found[known] == executed[known]).astype(np.float64)
    early = (found[known] != UNKNOWN) & (found[known] < executed[known])
    metrics = {"locator/hit": float(hit.mean()), "locator/early": float(early.mean())}
    metrics["locator/confident_errors"] = float(sure.mean())
    return metrics | ({"locator/hit_confident": float(hit[sure].mean())} if sure.any() else {})


def prm_metrics(x: LocatorInputs) -> dict[str, float]:
    """Hit rates of the PRM on the failures located by execution, and of what it must surpass; empty if there are none.

    ``prm/first_error_hit`` is that of the locator ``prm``, ``…_confident`` the same over confident errors,
    ``…_surprise`` that of the locator ``surprise``, and ``…_place`` that of the most frequent place of these failures.
    """
    assert x.executed is not None
    known, sure = known_errors(x.batch, x.executed, x.verdicts.valid & ~x.verdicts.ok)
    if not len(known):
        return {}
    wrong = x.executed[known]
    hit = prm(x)[known] == wrong
    metrics = {
        "prm/first_error_hit": float(hit.mean()),
        "prm/first_error_hit_surprise": float((surprise(x)[known] == wrong).mean()),
        "prm/first_error_hit_place": float(np.bincount(wrong).max() / len(wrong)),
    }
    return metrics | ({"prm/first_error_hit_confident": float(hit[sure].mean())} if sure.any() else {})
