"""The settings of the policy's loss. The learner reads no others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prl_ray.options import Params, option
from prl_ray.plugins import Registry

if TYPE_CHECKING:
    from prl_ray.ppo.policy_losses import PolicyLoss

POLICY_LOSSES: Registry[PolicyLoss] = Registry(
    "policy loss",
    "prl_ray.policy_losses",
    {"ppo": "prl_ray.ppo.policy_losses:token_ratio", "gspo": "prl_ray.ppo.policy_losses:sequence_ratio"},
    how="it must be a function (PolicyInputs, LossConfig) -> LossOutput",
)
"""Name -> policy loss. They are imported on first use, so that reading a configuration does not import torch."""


@dataclass
class LossConfig:
    """The policy's loss: its ratio, its clipping, its normaliser, and the terms that are added."""

    loss: str = option(
        "ppo",
        "Policy loss: ppo clips the ratio of each token, gspo the ratio of each program.",
        registry="prl_ray.ppo.config:POLICY_LOSSES",
    )
    loss_params: Params = option({}, "Parameters of your own policy loss: algorithm.loss_params.NAME.")
    normaliser: str = option(
        "token_mean",
        "Divisor of a mini-batch's summed loss: its tokens, its samples (of token means), or a constant.",
        registry="prl_ray.ppo.normalisers:NORMALISERS",
    )
    normaliser_tokens: int = option(112, "normaliser=constant: tokens that each sample is divided by.", low=1)
    clip_low: float = option(0.2, "Lower clip range of the ratio.", low=0)
    clip_high: float = option(0.2, "Upper clip range of the ratio.", low=0)
    is_cap: float = option(
        2.0, "Cap of the importance weight between sampler and learner; 0 turns the correction off.", low=0
    )
    entropy_coef: float = option(0.0, "Weight of the entropy bonus.", low=0)
    kl_coef: float = option(0.02, "Coefficient of the KL to the SFT policy; 0 also skips the reference model.", low=0)
    kl_in: str = option(
        "reward",
        "Where the KL is applied: as a penalty in each token's reward, or as a term of the loss.",
        choices=("reward", "loss"),
    )
    kl_estimator: str = option(
        "k1",
        "Estimator of the KL (Schulman 2020); k1 is for rewards, k2 or k3 for the loss.",
        choices=("k1", "k2", "k3"),
    )
    loss_tokens: str = option(
        "all",
        "Tokens that the loss and its KL count: all, or those up to each sample's last one with an advantage "
        "(credited); the learner then reads no others. Needs kl_in=loss and an estimator without a critic.",
        choices=("all", "credited"),
    )

    @property
    def credited_only(self) -> bool:
        """Whether tokens behind a sample's last one with an advantage count in no term of the loss."""
        return self.loss_tokens == "credited"
