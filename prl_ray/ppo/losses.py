"""PPO's losses as pure functions of flat token tensors, each with its metrics.

A loss is returned as a weighted *sum*, never as a mean: a mean of means over micro-batches or ranks of unequal size is
a different loss. The learner divides by one divisor of the whole mini-batch over all ranks
(``prl_ray.ppo.normalisers``), so sharding does not change the loss.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from prl_ray.ppo.kl import kl_estimate


@dataclass(frozen=True, slots=True)
class LossOutput:
    """A summed loss over some tokens; outputs of several micro-batches can be added."""

    total: Tensor
    """Scalar: sum of weight times loss, differentiable."""
    weight: float
    """Sum of the weights: the number of tokens or of samples, by normaliser."""
    sums: dict[str, float] = field(default_factory=dict)
    """Metric name -> weighted sum; divided by the summed ``weight`` it is the metric's mean."""
    peaks: dict[str, float] = field(default_factory=dict)
    """Metric name -> maximum, combined by the maximum over outputs."""

    def __add__(self, other: LossOutput) -> LossOutput:
        """Two losses over the *same* tokens, such as policy and entropy: weights are not added."""
        if abs(self.weight - other.weight) > 1e-6 * max(1.0, self.weight):
            raise ValueError(f"losses over different tokens: weights {self.weight} and {other.weight}")
        sums, peaks = {**self.sums, **other.sums}, {**self.peaks, **other.peaks}
        return LossOutput(self.total + other.total, self.weight, sums, peaks)

    def detached(self) -> LossOutput:
        """A copy without the autograd graph, to keep until the step ends."""
        return replace(self, total=self.total.detach())


def mean_metrics(outputs: Iterable[LossOutput]) -> dict[str, float]:
    """Means of the metrics over micro-batches (or over ranks, when their sums and weights are gathered)."""
    outputs = list(outputs)
    weight = sum(o.weight for o in outputs)
    names = dict.fromkeys(name for o in outputs for name in o.sums)
    return {name: sum(o.sums.get(name, 0.0) for o in outputs) / max(weight, 1e-12) for name in names}


def importance_weights(old_logprobs: Tensor, sampler_logprobs: Tensor, cap: float) -> Tensor:
    """Truncated importance weights ``min(p_learner / p_sampler, cap)`` per token, detached.

    With equal weights, the kernels of sampler and learner give slightly different log-probabilities; this removes the
    resulting bias from the gradient (Ionides 2008; Yao et al. 2025). ``old_logprobs`` are the learner's.
    """
    return (old_logprobs - sampler_logprobs).detach().float().exp().clamp(max=cap)


def clipped_surrogate(
    log_ratio: Tensor,
    advantages: Tensor,
    weights: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    behaviour: Tensor | None = None,
) -> LossOutput:
    """Clipped surrogate loss (Schulman et al. 2017, eq. 7) with separate lower and upper clip widths.

    All tensors have one shape, ``[tokens]``; ``log_ratio`` is the log-ratio of the current policy to the policy before
    the step; ``weights`` as from ``prl_ray.ppo.normalisers``, 0 where a token does not count; ``behaviour`` as from
    ``importance_weights``. Metrics ``actor/pg_loss``, ``actor/pg_clipfrac``, ``actor/ppo_kl``.
    """
    # Clamped to ±20: an extreme token gives neither inf nor, times a zero advantage, nan.
    log_ratio = log_ratio.clamp(-20, 20)
    ratio = log_ratio.exp()
    unclipped = -advantages * ratio
    clipped = -advantages * ratio.clamp(1 - clip_low, 1 + clip_high)
    losses = torch.maximum(unclipped, clipped)
    if behaviour is not None:
        losses = losses * behaviour.detach()
    total = _weighted(losses, weights)
    sums = {
        "actor/pg_loss": total,
        "actor/pg_clipfrac": _weighted((clipped > unclipped).float(), weights),
        "actor/ppo_kl": _weighted(-log_ratio, weights),
    }
    if behaviour is not None:
        sums["actor/is_weight"] = _weighted(behaviour, weights)
    return _output(total, weights, sums)


def value_loss(
    values: Tensor, old_values: Tensor, returns: Tensor, weights: Tensor, *, clip: float | None = 0.2
) -> LossOutput:
    """``max((v - R)^2, (clip(v, v_old - c, v_old + c) - R)^2) / 2``; no clipping if ``clip`` is None.

    All tensors ``[tokens]``. Metrics ``critic/vf_loss``, ``critic/vf_clipfrac``, ``critic/vpred_mean``.
    """
    values = values.float()
    squared = (values - returns) ** 2
    held = squared
    if clip is not None:
        held = (old_values + (values - old_values).clamp(-clip, clip) - returns) ** 2
    total = _weighted(torch.maximum(squared, held) * 0.5, weights)
    sums = {
        "critic/vf_loss": total,
        "critic/vf_clipfrac": _weighted((held > squared).float(), weights),
        "critic/vpred_mean": _weighted(values, weights),
    }
    return _output(total, weights, sums)


def entropy_loss(entropy: Tensor, weights: Tensor, coefficient: float) -> LossOutput:
    """``-coefficient * entropy``: the entropy bonus. Metric ``actor/entropy_loss``, in nats."""
    total = -coefficient * _weighted(entropy, weights)
    return _output(total, weights, {"actor/entropy_loss": total})


def kl_loss(
    logprobs: Tensor, ref_logprobs: Tensor, weights: Tensor, coefficient: float, estimator: str = "k3"
) -> LossOutput:
    """``coefficient * KL(policy || reference)`` as a loss term, as in GRPO. Metric ``actor/kl_loss``, in nats."""
    summed = _weighted(kl_estimate(estimator, logprobs, ref_logprobs), weights)
    return _output(coefficient * summed, weights, {"actor/kl_loss": summed})


def rollout_diff(old_logprobs: Tensor, sampler_logprobs: Tensor) -> dict[str, float]:
    """Disagreement of sampler and learner on the sampled tokens (absolute probability difference, as in verl)."""
    if old_logprobs.numel() == 0:
        return {}
    gap = (old_logprobs.float().exp() - sampler_logprobs.float().exp()).abs()
    return {
        "training/rollout_probs_diff_mean": gap.mean().item(),
        "training/rollout_probs_diff_max": gap.max().item(),
    }


def _weighted(values: Tensor, weights: Tensor) -> Tensor:
    # torch.where, not only a product: a masked position may hold nan or inf, and 0 * inf is nan
    return torch.where(weights > 0, values, 0.0).mul(weights).sum()


def _output(total: Tensor, weights: Tensor, sums: dict[str, Tensor]) -> LossOutput:
    return LossOutput(total, weights.sum().item(), {name: value.item() for name, value in sums.items()})
