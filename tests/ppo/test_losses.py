import math

import numpy as np
import pytest
import torch

from prl_ray.ppo.losses import (
    LossOutput,
    clipped_surrogate,
    entropy_loss,
    importance_weights,
    kl_loss,
    mean_metrics,
    rollout_diff,
    value_loss,
)

ONES = torch.ones(4)


def test_the_clipped_surrogate_and_its_gradient_by_hand() -> None:
    ratios = torch.tensor([1.5, 0.5, 1.5, 0.5])
    advantages = torch.tensor([1.0, 1.0, -1.0, -1.0])
    old = torch.tensor([-1.0, -2.0, -3.0, -1.5])
    new = (old + ratios.log()).requires_grad_()
    output = clipped_surrogate(new - old, advantages, ONES, clip_low=0.2, clip_high=0.3)
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
    clipped_surrogate(new - old, advantages, ONES).total.backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx((-advantages).tolist())


def test_the_samplers_bias_is_corrected_up_to_a_cap() -> None:
    old = torch.tensor([0.0, math.log(0.5), math.log(0.9), -1.0])
    sampler = torch.tensor([0.0, math.log(0.25), math.log(0.1), -1.0])
    behaviour = importance_weights(old, sampler, cap=3.0)
    assert behaviour.tolist() == pytest.approx([1, 2, 3, 1])
    new = old.clone().requires_grad_()
    output = clipped_surrogate(new - old, -ONES, ONES, behaviour=behaviour)
    assert output.total.item() == pytest.approx(7)
    assert mean_metrics([output])["actor/is_weight"] == pytest.approx(7 / 4)
    output.total.backward()
    assert new.grad is not None and new.grad.tolist() == pytest.approx([1, 2, 3, 1])


def test_masked_tokens_do_not_reach_loss_or_gradient_even_where_they_are_not_finite() -> None:
    new = torch.tensor([-1.0, float("-inf"), float("nan")], requires_grad=True)
    old = torch.tensor([-1.0, -1.0, float("nan")])
    output = clipped_surrogate(new - old, torch.tensor([1.0, 5.0, 5.0]), torch.tensor([1.0, 0.0, 0.0]))
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
    both = clipped_surrogate(logprobs - logprobs, torch.ones(2), weights) + entropy_loss(
        torch.tensor([0.5, 1.5]), weights, 0.1
    )
    assert both.total.item() == pytest.approx(-2 - 0.2)
    assert both.weight == 2
    assert mean_metrics([both])["actor/entropy_loss"] == pytest.approx(-0.1)
    kl = kl_loss(logprobs, torch.tensor([-1.0, -1.0]), weights, 0.5, "k2")
    assert kl.total.item() == pytest.approx(0.25)
    assert mean_metrics([kl])["actor/kl_loss"] == pytest.approx(0.25)
    with pytest.raises(ValueError, match="different tokens"):
        both + LossOutput(torch.zeros(()), 3.0)


def test_an_empty_micro_batch_weighs_nothing_and_still_has_a_graph() -> None:
    logprobs = torch.zeros(0, requires_grad=True)
    empty = torch.zeros(0)
    output = clipped_surrogate(logprobs - empty, empty, empty)
    assert output.weight == 0 and output.total.item() == 0
    output.total.backward()
    assert mean_metrics([output])["actor/pg_loss"] == 0


def test_rollout_diff_is_in_probabilities() -> None:
    diff = rollout_diff(torch.tensor(np.log([0.5, 0.9])), torch.tensor(np.log([0.4, 0.9])))
    assert diff["training/rollout_probs_diff_mean"] == pytest.approx(0.05)
    assert diff["training/rollout_probs_diff_max"] == pytest.approx(0.1)
    assert rollout_diff(torch.zeros(0), torch.zeros(0)) == {}
