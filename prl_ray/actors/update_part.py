"""The tokens that the policy's update has to read.

Most advantages of line credit are 0: those of the lines after a first error, of samples that agree with their group, of
failures that nothing has located. Such a token adds nothing to the gradient, and no token before it depends on it. So
the update cuts each response behind its last token with a gradient, and leaves out samples without one. A KL in the
loss gives every token a gradient, unless ``algorithm.loss_tokens=credited`` limits the loss to the same tokens; the
passes before the update then read no others either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray

from prl_ray.actors.columns import Columns
from prl_ray.ppo.config import LossConfig
from prl_ray.ppo.policy_losses import PolicyInputs, reads_zeros
from prl_ray.trajectory import TrajectoryBatch, first_of_rows, take_ragged

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class UpdatePart:
    """Samples of a step, cut behind their last token with a gradient."""

    batch: TrajectoryBatch
    """All samples, each with at least one token if it has any."""
    tokens: Ints
    """int64 ``[tokens of batch]``: their indices in the uncut batch."""
    some: NDArray[np.bool_]
    """bool ``[samples]``: samples that have a gradient."""
    size: int
    """Tokens of the uncut batch."""

    @classmethod
    def whole(cls, batch: TrajectoryBatch) -> Self:
        """All tokens of all samples."""
        size = len(batch.tokens)
        return cls(batch, np.arange(size, dtype=np.int64), np.ones(len(batch), np.bool_), size)

    @classmethod
    def of(cls, batch: TrajectoryBatch, columns: Columns, loss: LossConfig) -> Self:
        """The part for this loss: everything, if tokens without an advantage may have a gradient too."""
        if reads_zeros(loss):
            return cls.whole(batch)
        lengths = lengths_with_gradient(columns.advantages * columns.weights.tokens, batch.token_offsets)
        cut, tokens = batch.cut(np.maximum(lengths, 1))
        return cls(cut, tokens, lengths > 0, len(batch.tokens))

    @property
    def all_rows(self) -> Ints:
        """All samples with a gradient, as ``rows`` gives them."""
        return self.rows(np.arange(len(self.batch), dtype=np.int64))

    @property
    def read(self) -> NDArray[np.bool_]:
        """bool ``[tokens of the uncut batch]``: those of ``all_rows``."""
        found = np.zeros(self.size, dtype=np.bool_)
        found[self.tokens[take_ragged(self.batch.token_offsets, self.all_rows)[0]]] = True
        return found

    def uncut(self, column: NDArray[np.float32]) -> NDArray[np.float32]:
        """A column ``[tokens of batch]`` on the tokens of the uncut batch; 0 elsewhere."""
        found = np.zeros(self.size, dtype=np.float32)
        found[self.tokens] = column
        return found

    def rows(self, rows: Ints) -> Ints:
        """Those of the samples ``rows`` with a gradient; the first one if none has, so that every mini-batch has a
        backward pass."""
        chosen: Ints = rows[self.some[rows]]
        return chosen if len(chosen) else rows[:1]

    def inputs(self, columns: Columns, rows: Ints, logprobs: torch.Tensor, entropy: torch.Tensor) -> PolicyInputs:
        """The loss's inputs for the samples ``rows``, whose tokens have these log-probabilities and entropies."""
        flat = take_ragged(self.batch.token_offsets, rows)[0]

        def of(column: NDArray[np.generic]) -> torch.Tensor:
            return torch.from_numpy(column).to(logprobs.device)

        at = self.tokens[flat]
        return PolicyInputs(
            logprobs=logprobs,
            entropy=entropy,
            old=of(columns.old[at]),
            sampler=of(self.batch.logprobs[flat]),
            reference=of(columns.reference[at]),
            advantages=of(columns.advantages[at]),
            weights=of(columns.weights.tokens[at]),
            lengths=of(self.batch.response_lengths[rows]),
        )


def up_to_last(advantages: NDArray[np.floating], offsets: NDArray[np.integer]) -> NDArray[np.bool_]:
    """bool ``[tokens]``: the tokens of each sample up to its last one whose advantage is not 0."""
    return first_of_rows(offsets, lengths_with_gradient(advantages, offsets))


def lengths_with_gradient(gradients: NDArray[np.floating], offsets: NDArray[np.integer]) -> Ints:
    """For each ragged row, the number of tokens up to its last one that is not 0; int64 ``[rows]``."""
    last = np.zeros(len(offsets) - 1, dtype=np.int64)
    row = np.repeat(np.arange(len(last)), np.diff(offsets))
    at = np.flatnonzero(gradients)
    np.maximum.at(last, row[at], at + 1 - offsets[row[at]])
    return last
