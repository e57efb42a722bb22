"""The estimate of what updates teach about prompts that they have not seen."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.update_transfer import MAX_LOG_WEIGHT, Work, importance_gain, weighed

OK = np.array([True, False, True, False])
PROMPTS = np.array([0, 0, 7, 7])


def test_a_policy_that_did_not_change_gains_nothing() -> None:
    assert importance_gain(np.zeros(4), OK, PROMPTS) == (0.0, 0.0)


def test_the_gain_by_hand() -> None:
    """Prompt 0: its right sample is now three times as likely, 3 / (3 + 1) - 1 / 2; prompt 7: as before."""
    gain, se = importance_gain(np.array([np.log(3), 0, 0, 0]), OK, PROMPTS)
    assert gain == pytest.approx((0.25 + 0) / 2)
    assert se == pytest.approx(np.std([0.25, 0], ddof=1) / np.sqrt(2))


def test_no_sample_speaks_for_all() -> None:
    gain, _ = importance_gain(np.array([0.0, 90, 0, 0]), OK, PROMPTS)
    assert gain == pytest.approx((1 / (1 + np.exp(MAX_LOG_WEIGHT)) - 0.5) / 2)


def test_advantages_of_the_update_by_hand() -> None:
    """Leave-one-out advantages of two prompts are +1 and -1, so their root mean square is 1; only the failures' are
    weighed, on all of their tokens."""
    offsets = np.array([0, 2, 5, 6, 9])
    batch = SimpleNamespace(tokens=np.zeros(9, np.int32), token_offsets=offsets, prompt_ids=PROMPTS)
    work = Work(policy=Path(), dtype=torch.float32, batch=batch, ok=OK, learning_rate=1e-4, steps=1, budget=256, seed=0)
    assert weighed(work, 0.25).tolist() == [1, 1, -0.25, -0.25, -0.25, 1, -0.25, -0.25, -0.25]
