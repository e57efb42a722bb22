"""Early stopping: keeps the epoch with the lowest held-out loss and ends training when no lower one follows."""

from __future__ import annotations

import math


class EarlyStopping:
    """Tracks the held-out loss after each epoch (from 1): the best epoch, and whether to stop."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        """Epochs without a lower loss after which training ends; 0 for never."""
        self.epoch = 0
        """The best epoch; 0 before the first."""
        self.loss = math.inf
        self._seen = 0

    def improves(self, loss: float) -> bool:
        """Records the next epoch's loss; returns whether it is the lowest, as the first always is."""
        self._seen += 1
        if self._seen > 1 and not loss < self.loss:
            return False
        self.epoch, self.loss = self._seen, loss
        return True

    @property
    def exhausted(self) -> bool:
        """Whether ``patience`` epochs have passed since the best one."""
        return self.patience > 0 and self._seen - self.epoch >= self.patience

    @property
    def last_is_best(self) -> bool:
        """Whether the current model is the best one."""
        return self.epoch == self._seen
