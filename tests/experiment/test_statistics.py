import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.experiment.statistics import band, holm, paired_difference


def test_holm_by_hand() -> None:
    # sorted: 0.01 * 4, 0.03 * 3, 0.04 * 2 (not below the one before), 0.2 * 1
    assert holm([0.04, 0.01, 0.2, 0.03]) == pytest.approx([0.09, 0.04, 0.2, 0.09])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(a >= p for a, p in zip(adjusted, p_values, strict=True)) and all(a <= 1 for a in adjusted)
    by_raw = [a for _, a in sorted(zip(p_values, adjusted, strict=True))]
    assert by_raw == sorted(by_raw)


def test_every_seed_weighs_the_same_in_a_paired_difference() -> None:
    found = paired_difference({1: np.array([1.0, 0.0]), 2: np.array([0.0])})
    assert found.value == 0.25 and found.seeds == 2


def test_an_interval_against_the_normal_approximation() -> None:
    """One seed: the bootstrap of a mean has the mean's standard error (0.5 / sqrt(400) of a fair coin)."""
    values = np.tile([0.0, 1.0], 200)
    found = paired_difference({3: values})
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 - 1.96 * 0.025, abs=0.006)
    assert found.high == pytest.approx(0.5 + 1.96 * 0.025, abs=0.006)
    assert found.p < 0.001


def test_the_interval_knows_that_seeds_differ() -> None:
    """Two seeds without any spread within: the draws are (0,0), (0,1), (1,0), (1,1)."""
    found = paired_difference({1: np.zeros(50), 2: np.ones(50)})
    assert (found.value, found.low, found.high) == (0.5, 0.0, 1.0)
    assert found.p == pytest.approx(0.5, abs=0.03)


def test_no_difference_is_no_evidence() -> None:
    found = paired_difference({1: np.zeros(10), 2: np.zeros(10)})
    assert (found.value, found.low, found.high, found.p) == (0.0, 0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="at least one seed"):
        paired_difference({})
    with pytest.raises(ValueError, match="at least one seed"):
        paired_difference({1: np.zeros(0)})


@given(
    st.dictionaries(st.integers(0, 5), st.lists(st.floats(-1, 1), min_size=1, max_size=9), min_size=1, max_size=4),
)
def test_an_interval_lies_within_the_values_and_turns_with_the_sign(given_values: dict[int, list[float]]) -> None:
    values = {seed: np.array(part) for seed, part in given_values.items()}
    found = paired_difference(values, draws=200)
    low, high = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    assert low - 1e-12 <= found.low <= found.high <= high + 1e-12
    turned = paired_difference({seed: -part for seed, part in values.items()}, draws=200)
    assert turned.value == pytest.approx(-found.value) and turned.low == pytest.approx(-found.high)
    assert turned.p == pytest.approx(found.p)


def test_bands_by_hand() -> None:
    curves = [[[0, 0.2], [1, 0.4], [2, 0.9]], [[0, 0.4], [1, 0.2]]]
    assert band(curves) == [[0.0, pytest.approx(0.3), 0.2, 0.4], [1.0, pytest.approx(0.3), 0.2, 0.4]]
    assert band([]) == []
