"""Early stopping keeps the best epoch and ends in time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.supervision.stopping import EarlyStopping


def stopped(losses: list[float], patience: int) -> tuple[EarlyStopping, int]:
    """After how many epochs training ended."""
    stopping = EarlyStopping(patience)
    for epoch, loss in enumerate(losses, 1):
        stopping.improves(loss)
        if stopping.exhausted:
            return stopping, epoch
    return stopping, len(losses)


@pytest.mark.parametrize(
    ("patience", "best", "ended"),
    [(0, 4, 5), (1, 1, 2), (2, 1, 3), (3, 4, 5)],
)
def test_by_hand(patience: int, best: int, ended: int) -> None:
    stopping, epochs = stopped([0.5, 0.6, 0.5, 0.4, 0.45], patience)
    assert (stopping.epoch, epochs) == (best, ended)
    assert not stopping.last_is_best


@given(st.lists(st.floats(0, 10), min_size=1, max_size=12), st.integers(0, 4))
def test_the_kept_epoch_is_the_best_seen_and_none_after_it_was_waited_for_too_long(
    losses: list[float], patience: int
) -> None:
    stopping, ended = stopped(losses, patience)
    assert stopping.loss == min(losses[:ended]) == losses[stopping.epoch - 1]
    assert stopping.last_is_best == (stopping.epoch == ended)
    if patience:
        assert ended - stopping.epoch <= patience
        assert ended == len(losses) or ended - stopping.epoch == patience
    else:
        assert ended == len(losses)


def test_a_loss_that_is_no_number_does_not_lose_the_model() -> None:
    stopping, _ = stopped([math.nan, math.nan], 2)
    assert stopping.epoch == 1
