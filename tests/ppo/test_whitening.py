"""Scales of advantages, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.ppo.whitening import Scale, scale_of, scaled, weigh_negative

floats = st.floats(-10, 10, width=32)


def test_whitening_counts_no_token_that_does_not_count() -> None:
    x, counted = np.array([1.0, 3.0, 100.0], dtype=np.float32), np.array([True, True, False])
    scale = scale_of(x, counted, sparse=False)
    assert scale == Scale(2.0, pytest.approx(1.0))
    assert scaled(x, counted, scale).tolist() == pytest.approx([-1, 1, 0])


@given(st.lists(floats, min_size=1, max_size=40))
def test_whitened_advantages_have_mean_zero_and_unit_variance(values: list[float]) -> None:
    x, counted = np.array(values, dtype=np.float32), np.ones(len(values), dtype=bool)
    found = scaled(x, counted, scale_of(x, counted, sparse=False)).astype(np.float64)
    spread = x.astype(np.float64).std()
    assert abs(found.mean()) < 1e-3 or spread < 1e-3
    assert found.std() == pytest.approx(spread / np.sqrt(spread**2 + 1e-8), abs=1e-2) or spread < 1e-3


def test_sparse_advantages_are_scaled_and_not_shifted() -> None:
    advantages = np.array([0, 3, 0, -3, 9], dtype=np.float32)
    counted = np.array([True, True, True, True, False])
    scale = scale_of(advantages, counted, sparse=True)
    assert scale == Scale(None, 3.0) and scaled(advantages, counted, scale).tolist() == [0, 1, 0, -1, 0]


@pytest.mark.parametrize("sparse", [True, False])
def test_advantages_that_are_all_zero_stay_so(sparse: bool) -> None:
    zeros = np.zeros(3, dtype=np.float32)
    for counted in (np.ones(3, dtype=bool), np.zeros(3, dtype=bool)):
        assert scaled(zeros, counted, scale_of(zeros, counted, sparse=sparse)).tolist() == [0, 0, 0]


def test_negative_advantages_weigh_less() -> None:
    advantages = np.array([1.0, -1.0, 0.0, -0.5], dtype=np.float32)
    np.testing.assert_allclose(weigh_negative(advantages, 0.2), [1.0, -0.2, 0.0, -0.1], rtol=1e-6)
    assert weigh_negative(advantages, 1.0).tolist() == advantages.tolist()
    assert weigh_negative(advantages, 0.0).tolist() == [1.0, 0.0, 0.0, 0.0]
