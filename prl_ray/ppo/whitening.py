"""From an estimator's advantages to the loss: one scale for the whole batch, and the weight of negative advantages.

The scale is computed over all counted tokens of the batch, and is equal on every rank, since every rank computes the
whole columns. If an advantage of 0 means "nothing to learn" (``sparse``), advantages are only scaled: subtracting the
batch's mean would give an advantage to the tokens that have none, which are most of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scale:
    """The shift and divisor of advantages."""

    mean: float | None
    """Subtracted first; None for no shift."""
    size: float
    """Divisor: the standard deviation, or the root mean square without a shift."""


def scale_of(advantages: Floats, counted: Bools, *, sparse: bool) -> Scale:
    """The scale of the counted tokens; of those that are not zero if ``sparse``. Both arguments are ``[tokens]``."""
    kept = advantages[counted & (advantages != 0) if sparse else counted].astype(np.float64)
    if sparse:
        return Scale(None, float(np.sqrt(np.mean(np.square(kept)))) if len(kept) else 1.0)
    if not len(kept):
        return Scale(0.0, 1e-4)
    mean = float(kept.sum() / len(kept))
    variance = max(float(np.square(kept).sum() / len(kept)) - mean * mean, 0.0)
    return Scale(mean, float(np.sqrt(variance + 1e-8)))


def scaled(advantages: Floats, counted: Bools, scale: Scale) -> NDArray[np.float32]:
    """Shifted and divided advantages, float32 ``[tokens]``; 0 where a token does not count."""
    if scale.mean is None:
        return np.where(counted, advantages / scale.size, 0.0).astype(np.float32)
    whitened = (advantages.astype(np.float64) - scale.mean) / scale.size
    return np.where(counted, whitened.astype(np.float32), 0).astype(np.float32)


def weigh_negative(advantages: Floats, scale: float) -> NDArray[np.float32]:
    """Negative advantages times ``scale``, float32 ``[tokens]``; 1 is plain PPO, 0 learns only from successes.

    A failing program is right up to its error and often after it, but its advantage is on all of its tokens, so most of
    the code that failures make less likely is right (asymmetric weights in REINFORCE: Arnal et al. 2025;
    benchmarks/update_transfer.py compares weights).
    """
    return np.where(advantages < 0, scale * advantages, advantages).astype(np.float32)
