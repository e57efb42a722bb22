"""Normalisers of a mini-batch's summed loss: weights of tokens, and each sample's contribution to the divisor.

Both are computed on the whole batch before it is split, and the divisor sums over all samples of a mini-batch on all
ranks, so neither micro-batches nor ranks change a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prl_ray.plugins import Registry


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of a batch: the loss of a set of samples is ``sum(tokens * losses) / sum(samples)``."""

    tokens: NDArray[np.float32]
    """float32 ``[tokens]``; 0 where a token does not count."""
    samples: NDArray[np.float64]
    """float64 ``[samples]``: each sample's contribution to the divisor."""

    def divisor(self, rows: NDArray[np.integer]) -> float:
        """The divisor of the samples ``rows``; 1 if none of their tokens counts."""
        return max(float(self.samples[rows].sum()), 1.0)


Normaliser = Callable[[NDArray[np.float32], NDArray[np.integer], int], LossWeights]
"""From ``mask`` (float32 ``[tokens]``, 1 where a token counts), ``offsets`` (int64 ``[samples + 1]``) and
``algorithm.normaliser_tokens``."""


def token_mean(mask: NDArray[np.float32], offsets: NDArray[np.integer], length: int) -> LossWeights:
    """Mean over the counted tokens: long samples weigh more (DAPO, Yu et al. 2025, eq. 12)."""
    return LossWeights(mask, _counts(mask, offsets))


def sample_mean(mask: NDArray[np.float32], offsets: NDArray[np.integer], length: int) -> LossWeights:
    """Mean over samples of the mean over each sample's counted tokens (GRPO, Shao et al. 2024, eq. 3)."""
    counts = _counts(mask, offsets)
    share = np.repeat(1 / np.maximum(counts, 1), np.diff(offsets))
    return LossWeights((mask * share).astype(np.float32), (counts > 0).astype(np.float64))


def constant(mask: NDArray[np.float32], offsets: NDArray[np.integer], length: int) -> LossWeights:
    """Sum over the counted tokens, divided by a constant length for each sample: tokens of long samples do not weigh
    less, and a batch of short samples does not weigh more (Dr. GRPO, Liu et al. 2025, §3.2)."""
    return LossWeights(mask, (_counts(mask, offsets) > 0).astype(np.float64) * length)


NORMALISERS: Registry[Normaliser] = Registry(
    "normaliser",
    "prl_ray.normalisers",
    {"token_mean": token_mean, "sample_mean": sample_mean, "constant": constant},
    how="it must be a function (mask, offsets, length) -> LossWeights",
)
"""Name -> normaliser of the policy's loss."""


def _counts(mask: NDArray[np.float32], offsets: NDArray[np.integer]) -> NDArray[np.float64]:
    sample = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    return np.bincount(sample, mask, len(offsets) - 1).astype(np.float64)
