import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.errors import ConfigError
from prl_ray.ppo.advantages import (
    ESTIMATORS,
    AdvantageInputs,
    explained_variance,
    gae,
    less_group_mean,
    reward_to_go,
    sample_totals,
)

floats = st.floats(-10, 10, width=32)


@st.composite
def ragged(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lengths = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    tokens = sum(lengths)
    columns = [np.array(draw(st.lists(floats, min_size=tokens, max_size=tokens)), dtype=np.float32) for _ in range(2)]
    return columns[0], columns[1], np.cumsum([0, *lengths]).astype(np.int64)


def brute_force(rewards: np.ndarray, values: np.ndarray, gamma: float, lam: float) -> np.ndarray:
    """Equation 16 of the paper as a double sum over one sample."""
    following = np.append(values[1:], 0.0)
    deltas = rewards + gamma * following - values
    return np.array(
        [sum((gamma * lam) ** k * deltas[t + k] for k in range(len(deltas) - t)) for t in range(len(deltas))]
    )


def test_gae_by_hand() -> None:
    # Two samples: rewards 0, 1 with values 0.5, 0.25; and reward -1 with value 0.5. gamma = 0.5, lambda = 0.5.
    # Second sample's tokens must not leak into the first's.
    rewards = np.array([0.0, 1.0, -1.0], dtype=np.float32)
    values = np.array([0.5, 0.25, 0.5], dtype=np.float32)
    found = gae(rewards, values, np.array([0, 2, 3]), gamma=0.5, lam=0.5)
    advantages, returns = found.advantages, found.returns
    last = 1.0 - 0.25
    first = 0.0 + 0.5 * 0.25 - 0.5 + 0.25 * last
    assert advantages.tolist() == pytest.approx([first, last, -1.5])
    assert returns.tolist() == pytest.approx([first + 0.5, 1.0, -1.0])
    assert advantages.dtype == returns.dtype == np.float32


@given(ragged(), st.floats(0, 1), st.floats(0, 1))
def test_gae_is_the_papers_double_sum(
    columns: tuple[np.ndarray, np.ndarray, np.ndarray], gamma: float, lam: float
) -> None:
    rewards, values, offsets = columns
    samples = len(offsets) - 1
    found = gae(rewards, values, offsets, gamma, lam)
    for i in range(samples):
        part = slice(offsets[i], offsets[i + 1])
        expected = brute_force(rewards[part].astype(float), values[part].astype(float), gamma, lam)
        np.testing.assert_allclose(found.advantages[part], expected, atol=1e-3)
        np.testing.assert_allclose(found.returns[part], expected + values[part], atol=1e-3)


@given(ragged())
def test_undiscounted_gae_is_reward_to_go_less_the_value(columns: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    rewards, values, offsets = columns
    found = gae(rewards, values, offsets, 1.0, 1.0)
    advantages, returns = found.advantages, found.returns
    to_go = np.concatenate([np.cumsum(rewards[a:b][::-1])[::-1] for a, b in itertools.pairwise(offsets)])
    np.testing.assert_allclose(advantages, to_go - values, atol=1e-3)
    np.testing.assert_allclose(returns, to_go, atol=1e-3)
    np.testing.assert_allclose(reward_to_go(rewards, offsets), to_go, atol=1e-3)


@given(ragged())
def test_sample_totals(columns: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    rewards, _, offsets = columns
    expected = [float(rewards[a:b].sum()) for a, b in itertools.pairwise(offsets)]
    np.testing.assert_allclose(sample_totals(rewards, offsets), expected, atol=1e-3)


# Prompt 5: totals 3, 1, 2 and an invalid sample; prompt 6: a single total 4. Two tokens each but the last.
GROUPS = AdvantageInputs(
    rewards=np.array([1, 2, 0, 1, 2, 0, 9, 9, 4], dtype=np.float32),
    offsets=np.array([0, 2, 4, 6, 8, 9]),
    prompt_ids=np.array([5, 5, 5, 5, 6]),
    valid=np.array([True, True, True, False, True]),
)


def test_rloo_leaves_the_sample_itself_out_of_its_baseline() -> None:
    found = ESTIMATORS["rloo"](GROUPS)
    advantages, returns = found.advantages, found.returns
    assert advantages.tolist() == [1.5, 1.5, -1.5, -1.5, 0, 0, 0, 0, 0]
    assert returns[:2].tolist() == [3, 2]


def test_grpo_scales_by_the_groups_deviation() -> None:
    advantages = ESTIMATORS["grpo"](GROUPS).advantages
    assert advantages.tolist() == pytest.approx([1, 1, -1, -1, 0, 0, 0, 0, 0], abs=1e-5)


@given(st.lists(floats, min_size=2, max_size=8), st.randoms())
def test_group_baselines_do_not_depend_on_the_order_of_samples(totals: list[float], random: object) -> None:
    rewards = np.array(totals, dtype=np.float32)
    order = np.array(sorted(range(len(totals)), key=lambda _: random.random()))  # type: ignore[attr-defined]
    groups = np.arange(len(totals)) % 2
    for name in ("rloo", "grpo"):
        offsets = np.arange(len(totals) + 1)
        plain = ESTIMATORS[name](AdvantageInputs(rewards, offsets, groups)).advantages
        mixed = ESTIMATORS[name](AdvantageInputs(rewards[order], offsets, groups[order])).advantages
        np.testing.assert_allclose(mixed, plain[order], atol=1e-4)
        if name == "rloo":
            for group in (0, 1):
                assert plain[groups == group].sum() == pytest.approx(0, abs=1e-2)


def test_the_registry_runs_gae_and_silences_invalid_samples() -> None:
    inputs = AdvantageInputs(
        rewards=np.ones(3, dtype=np.float32),
        offsets=np.array([0, 2, 3]),
        prompt_ids=np.array([0, 0]),
        values=np.zeros(3, dtype=np.float32),
        valid=np.array([True, False]),
    )
    assert ESTIMATORS["gae"](inputs).advantages.tolist() == [2, 1, 0]
    with pytest.raises(ConfigError, match="critic"):
        ESTIMATORS["gae"](GROUPS)
    with pytest.raises(ConfigError, match="known: gae, rloo, grpo"):
        ESTIMATORS.find("ppo")


def test_columns_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(ValueError, match="2 rewards, 3 values"):
        gae(np.zeros(2, dtype=np.float32), np.zeros(3, dtype=np.float32), np.array([0, 2]), 1.0, 1.0)


def test_explained_variance() -> None:
    returns = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    assert explained_variance(returns + 5, returns) == pytest.approx(1.0)
    assert explained_variance(np.zeros(3, dtype=np.float32), returns) == pytest.approx(0.0)
    assert explained_variance(returns, np.ones(3, dtype=np.float32)) == 0.0
    assert explained_variance(returns[:0], returns[:0]) == 0.0


def test_the_group_baseline_is_the_mean_of_the_others() -> None:
    # prompt 0: totals 1, 0, 5 (the last one invalid); prompt 1: a single sample of total 2
    inputs = AdvantageInputs(
        rewards=np.array([0.5, 0.5, 0.0, 5.0, 1.0, 1.0], dtype=np.float32),
        offsets=np.array([0, 2, 3, 4, 6]),
        prompt_ids=np.array([0, 0, 0, 1]),
        valid=np.array([True, True, False, True]),
    )
    # others of sample 0: sample 1 (0); of sample 1: sample 0 (1); of the invalid one: both (0.5); of the last: none
    assert less_group_mean(inputs).tolist() == [0.5, 0.5, -1.0, 4.5, 1.0, 1.0]
    assert inputs.rewards.tolist() == [0.5, 0.5, 0.0, 5.0, 1.0, 1.0]


def test_the_group_baseline_with_lambda_one_and_no_critic_is_rloo_at_the_first_token() -> None:
    rewards = np.array([0.0, 1.0, 0.0, 0.0, 0.5, 0.0], dtype=np.float32)
    inputs = AdvantageInputs(rewards, np.array([0, 2, 4, 6]), np.zeros(3, dtype=np.int64))
    advantages = gae(less_group_mean(inputs), np.zeros(6, dtype=np.float32), inputs.offsets, 1.0, 1.0).advantages
    expected = ESTIMATORS["rloo"](inputs).advantages
    assert advantages[inputs.offsets[:-1]] == pytest.approx(expected[inputs.offsets[:-1]])
