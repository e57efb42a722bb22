"""The actor's learning rate over a run, by hand."""

from __future__ import annotations

import pytest

from prl_ray.ppo.schedule import learning_rate


def test_it_grows_and_then_falls_to_its_share() -> None:
    rates = [learning_rate(1.0, step, 11, first=1, warmup=2, decay_to=0.1) for step in range(1, 11)]
    assert rates == pytest.approx([0.5 * 0.91, 0.82, 0.73, 0.64, 0.55, 0.46, 0.37, 0.28, 0.19, 0.1])


def test_without_warm_up_and_decay_it_stands() -> None:
    assert [learning_rate(3e-5, step, 4) for step in range(4)] == [3e-5] * 4


def test_a_run_of_one_step_has_its_full_rate() -> None:
    assert learning_rate(1.0, 0, 1, decay_to=0.1) == 1.0
