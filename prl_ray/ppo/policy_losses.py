"""Policy losses as pure functions of ``PolicyInputs``, and the objective that the learner minimises.

A new loss is a function and a line in ``prl_ray.ppo.config.POLICY_LOSSES``, or its import path in ``algorithm.loss``.
It returns a weighted sum; ``prl_ray.ppo.normalisers`` gives its divisor.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from prl_ray.plugins import checked_params
from prl_ray.ppo.config import POLICY_LOSSES, LossConfig
from prl_ray.ppo.losses import LossOutput, clipped_surrogate, entropy_loss, importance_weights, kl_loss


@dataclass(frozen=True, slots=True)
class PolicyInputs:
    """The inputs of a policy loss for one micro-batch. Axes: tokens (flat, of all responses) and samples; all
    float32."""

    logprobs: Tensor
    """``[tokens]``: log-probabilities by the current policy, differentiable."""
    entropy: Tensor
    """``[tokens]``: entropy of the policy's distribution at each token, in nats, differentiable; zeros if
    ``reads_entropy`` is false."""
    old: Tensor
    """``[tokens]``: log-probabilities by the policy before the step."""
    sampler: Tensor
    """``[tokens]``: log-probabilities by the sampler."""
    reference: Tensor
    """``[tokens]``: log-probabilities by the reference policy; ``old`` without one."""
    advantages: Tensor
    """``[tokens]``."""
    weights: Tensor
    """``[tokens]``: the normaliser's weights; 0 where a token does not count."""
    lengths: Tensor
    """int64 ``[samples]``: tokens of each sample."""

    @property
    def log_ratio(self) -> Tensor:
        """``[tokens]``: log-ratio of the current policy to the policy before the step."""
        return self.logprobs - self.old

    @property
    def sample(self) -> Tensor:
        """int64 ``[tokens]``: the sample that each token belongs to."""
        return torch.repeat_interleave(torch.arange(len(self.lengths), device=self.lengths.device), self.lengths)


PolicyLoss = Callable[..., LossOutput]
"""``loss(PolicyInputs, LossConfig)``; keyword-only arguments are its parameters (``algorithm.loss_params``)."""


def token_ratio(x: PolicyInputs, config: LossConfig) -> LossOutput:
    """PPO: each token's ratio is clipped (Schulman et al. 2017, eq. 7)."""
    return _surrogate(x, config, x.log_ratio)


def sequence_ratio(x: PolicyInputs, config: LossConfig) -> LossOutput:
    """GSPO: a sample's tokens share one ratio, the geometric mean over its counted tokens (Zheng et al. 2025, eq. 7).

    Ratios of samples are much closer to 1 than those of tokens, so clip ranges are about 1e-3.
    """
    counted = x.weights > 0
    sums = torch.zeros(len(x.lengths), device=x.weights.device)
    total = sums.index_add(0, x.sample, torch.where(counted, x.log_ratio, 0.0))
    count = sums.index_add(0, x.sample, counted.float())
    return _surrogate(x, config, (total / count.clamp(min=1))[x.sample])


def reads_entropy(config: LossConfig) -> bool:
    """Whether the objective may depend on the entropy: the bonus does, and a loss of your own may."""
    return config.entropy_coef > 0 or POLICY_LOSSES.find(config.loss) not in (token_ratio, sequence_ratio)


def reads_zeros(config: LossConfig) -> bool:
    """Whether a token behind a sample's last one with an advantage may have a gradient: by the KL or the entropy, or
    because a sample's tokens share a ratio. Not if the loss gives it no weight."""
    if config.credited_only:
        return False
    kl = config.kl_in == "loss" and config.kl_coef > 0
    return kl or config.entropy_coef > 0 or POLICY_LOSSES.find(config.loss) is not token_ratio


def policy_objective(x: PolicyInputs, config: LossConfig, kl_coef: float) -> LossOutput:
    """The configured policy loss with the entropy bonus and, for ``kl_in=loss``, ``kl_coef`` times the KL.

    ``kl_coef`` is the KL controller's coefficient. The metric ``actor/log_ratio_max`` is the largest change of a
    token's log-probability since the step began.
    """
    loss = POLICY_LOSSES.find(config.loss)
    output = loss(x, config, **checked_params(loss, config.loss_params, "algorithm.loss_params"))
    if config.entropy_coef > 0:
        output = output + entropy_loss(x.entropy, x.weights, config.entropy_coef)
    if config.kl_in == "loss" and config.kl_coef > 0:
        output = output + kl_loss(x.logprobs, x.reference, x.weights, kl_coef, config.kl_estimator)
    widest = float(x.log_ratio.detach().abs().max()) if len(x.old) else 0.0
    return replace(output, peaks={"actor/log_ratio_max": widest})


def _surrogate(x: PolicyInputs, config: LossConfig, log_ratio: Tensor) -> LossOutput:
    return clipped_surrogate(
        log_ratio,
        x.advantages,
        x.weights,
        clip_low=config.clip_low,
        clip_high=config.clip_high,
        behaviour=importance_weights(x.old, x.sampler, config.is_cap) if config.is_cap > 0 else None,
    )
