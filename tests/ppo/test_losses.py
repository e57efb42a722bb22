import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.errors import ConfigError
from prl_ray.ppo.losses import (
    AGGREGATIONS,
    LossOutput,
    entropy_loss,
    importance_weights,
    kl_loss,
    mean_metrics,
    policy_loss,
    rollout_diff,
    token_weights,
    value_loss,
)

ONES = torch.ones(4)


def test_policy_loss_and_its_gradient_by_hand() -> None:
    ratios = torch.tensor([1.5, 0.5, 1.5, 0.5])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    old = torch.tensor([-1.0, -2.0, -3.0, -1.5])
    new = (old + ratios.log()).requires_grad_()
    output = policy_loss(new, old, advantages, ONES, clip_low=0.2, clip_high=0.3)
    # -A r, and clipped: -1.3 | -0.5 (not clipped: the clip would be better) | 1.5 (the same) | 0.8
    assert output.total.item() == pytest.approx(-1.3 - 0.5 + 1.5 + 0.8)
    assert output.weight == 4
    metrics = mean_metrics([output])
    assert metrics["actor/pg_loss"] == pytest.approx(0.5 / 4)
    assert metrics["actor/pg_clipfrac"] == 0.5
    assert metrics["actor/ppo_kl"] == pytest.approx(-ratios.log().mean().item())
    output.total.backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([0, -0.5, 1.5, 0], abs=1e-6)


def test_on_policy_the_gradient_is_that_of_reinforce() -> None:
    old = torch.tensor([-1.0, -2.0, -0.3, -4.0])
    new = old.clone().requires_grad_()
    advantages = torch.tensor([2.0, -1.0, 0.0, 3.0])
    policy_loss(new, old, advantages, ONES).total.backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx((-advantages).tolist())


def test_the_samplers_bias_is_corrected_up_to_a_cap() -> None:
    old = torch.tensor([0.0, math.log(0.5), math.log(0.9), -1.0])
    sampler = torch.tensor([0.0, math.log(0.25), math.log(0.1), -1.0])
    behaviour = importance_weights(old, sampler, cap=3.0)
    assert behaviour.tolist() == pytest.approx([1, 2, 3, 1])
    new = old.clone().requires_grad_()
    output = policy_loss(new, old, -ONES, ONES, behaviour=behaviour)
    assert output.total.item() == pytest.approx(7)
    assert mean_metrics([output])["actor/is_weight"] == pytest.approx(7 / 4)
    output.total.backward()
    assert new.grad is not None and new.grad.tolist() == pytest.approx([1, 2, 3, 1])


def test_masked_tokens_do_not_reach_loss_or_gradient_even_where_they_are_not_finite() -> None:
    new = torch.tensor([-1.0, float("-inf"), float("nan")], requires_grad=True)
    old = torch.tensor([-1.0, -1.0, float("nan")])
    output = policy_loss(new, old, torch.tensor([1.0, 5.0, 5.0]), torch.tensor([1.0, 0.0, 0.0]))
    assert output.total.item() == -1 and output.weight == 1
    assert all(math.isfinite(v) for v in output.sums.values())


def test_value_loss_takes_the_worse_of_clipped_and_unclipped() -> None:
    values = torch.tensor([2.0, 0.1, 1.0, -1.0], requires_grad=True)
    old = torch.tensor([0.0, 0.0, 1.0, 1.0])
    returns = torch.tensor([2.0, 1.0, 0.0, -2.0])
    output = value_loss(values, old, returns, ONES, clip=0.5)
    # clipped values 0.5, 0.1, 1.0, 0.5
    assert output.total.item() == pytest.approx((1.5**2 + 0.9**2 + 1 + 2.5**2) / 2)
    metrics = mean_metrics([output])
    assert metrics["critic/vf_clipfrac"] == 0.5
    assert metrics["critic/vf_loss"] == pytest.approx(output.total.item() / 4)
    assert metrics["critic/vpred_mean"] == pytest.approx(values.mean().item())
    unclipped = value_loss(values, old, returns, ONES, clip=None)
    assert unclipped.total.item() == pytest.approx((0 + 0.9**2 + 1 + 1) / 2)


def test_entropy_and_kl_terms_are_added_to_the_policys() -> None:
    logprobs = torch.tensor([-1.0, -2.0])
    weights = torch.ones(2)
    both = policy_loss(logprobs, logprobs, torch.ones(2), weights) + entropy_loss(
        torch.tensor([0.5, 1.5]), weights, 0.1
    )
    assert both.total.item() == pytest.approx(-2 - 0.2)
    assert both.weight == 2
    assert mean_metrics([both])["actor/entropy"] == 1.0
    kl = kl_loss(logprobs, torch.tensor([-1.0, -1.0]), weights, 0.5, "k2")
    assert kl.total.item() == pytest.approx(0.25)
    assert mean_metrics([kl])["actor/kl_loss"] == pytest.approx(0.25)
    with pytest.raises(ValueError, match="different tokens"):
        both + LossOutput(torch.zeros(()), 3.0)


def test_token_weights_by_hand() -> None:
    mask = torch.tensor([True, True, False, True, False])
    lengths = torch.tensor([3, 1, 0, 1])
    assert token_weights(mask, lengths, "token-mean").tolist() == [1, 1, 0, 1, 0]
    assert token_weights(mask, lengths, "seq-mean-token-mean").tolist() == [0.5, 0.5, 0, 1, 0]
    with pytest.raises(ConfigError, match="token-mean"):
        token_weights(mask, lengths, "mean")


@pytest.mark.parametrize("mode", AGGREGATIONS)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=8), st.integers(1, 7), st.integers(0, 1000))
def test_cutting_a_batch_into_micro_batches_changes_neither_loss_nor_metrics(
    mode: str, lengths: list[int], cut: int, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    tokens = sum(lengths)
    new, old, advantages = (torch.randn(tokens, generator=rng) for _ in range(3))
    mask = torch.rand(tokens, generator=rng) > 0.2
    cut = min(cut, len(lengths) - 1)
    edge = sum(lengths[:cut])

    def part(rows: slice, columns: slice) -> LossOutput:
        weights = token_weights(mask[columns], torch.tensor(lengths[rows]), mode)
        return policy_loss(new[columns], old[columns], advantages[columns], weights)

    whole = part(slice(None), slice(None))
    parts = [part(slice(cut), slice(edge)), part(slice(cut, None), slice(edge, None))]
    assert sum(p.weight for p in parts) == pytest.approx(whole.weight, abs=1e-4)
    assert sum(p.total.item() for p in parts) == pytest.approx(whole.total.item(), abs=1e-3)
    assert mean_metrics(parts) == pytest.approx(mean_metrics([whole]), abs=1e-3)


def test_sequence_mean_is_the_mean_of_means() -> None:
    losses = torch.tensor([1.0, 3.0, 10.0])
    weights = token_weights(torch.ones(3, dtype=torch.bool), torch.tensor([2, 1]), "seq-mean-token-mean")
    output = entropy_loss(losses, weights, -1.0)
    assert output.total.item() / output.weight == pytest.approx((2 + 10) / 2)


def test_an_empty_micro_batch_weighs_nothing_and_still_has_a_graph() -> None:
    logprobs = torch.zeros(0, requires_grad=True)
    empty = torch.zeros(0)
    output = policy_loss(logprobs, empty, empty, empty)
    assert output.weight == 0 and output.total.item() == 0
    output.total.backward()
    assert mean_metrics([output])["actor/pg_loss"] == 0


def test_rollout_diff_is_in_probabilities() -> None:
    diff = rollout_diff(torch.tensor(np.log([0.5, 0.9])), torch.tensor(np.log([0.4, 0.9])))
    assert diff["training/rollout_probs_diff_mean"] == pytest.approx(0.05)
    assert diff["training/rollout_probs_diff_max"] == pytest.approx(0.1)
    assert rollout_diff(torch.zeros(0), torch.zeros(0)) == {}
