"""What one PPO step's updates read: flat per-token columns, and the figures that describe them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from prl_ray.actors.rollout import Experience
from prl_ray.ppo.advantages import explained_variance, sample_totals
from prl_ray.ppo.losses import rollout_diff
from prl_ray.ppo.normalisers import LossWeights
from prl_ray.rewards.metrics import hack_metrics


@dataclass(frozen=True, slots=True)
class Columns:
    """What the updates read, all float32 ``[tokens]`` where nothing else is said."""

    rewards: np.ndarray
    kl: np.ndarray
    kl_coef: float
    """The KL controller's coefficient."""
    old: np.ndarray
    """Log-probabilities by the policy before the step."""
    reference: np.ndarray
    """Log-probabilities by the reference policy."""
    values: np.ndarray
    advantages: np.ndarray
    returns: np.ndarray
    mask: np.ndarray
    """1 where a token counts in losses: its sample has a verdict, and reward and estimator train on it; else 0."""
    weights: LossWeights
    """What the policy's loss is weighed with and divided by."""

    def metrics(self, experience: Experience) -> dict[str, float]:
        """The step's figures before any update, under verl's names."""
        counted = self.mask > 0
        totals = sample_totals(self.rewards, experience.batch.token_offsets)
        sample_kl = sample_totals(self.kl, experience.batch.token_offsets)
        valid = experience.verdicts.valid
        sampled = experience.batch.logprobs
        gap = rollout_diff(torch.from_numpy(self.old), torch.from_numpy(np.ascontiguousarray(sampled)))
        return {
            **experience.metrics(),
            "critic/rewards/mean": float(totals[valid].mean()) if valid.any() else 0.0,
            "critic/advantages/mean": float(self.advantages[counted].mean()) if counted.any() else 0.0,
            "critic/advantages/max": float(self.advantages.max(initial=0.0)),
            "critic/advantages/min": float(self.advantages.min(initial=0.0)),
            "critic/returns/mean": float(self.returns[counted].mean()) if counted.any() else 0.0,
            "critic/values/mean": float(self.values[counted].mean()) if counted.any() else 0.0,
            "critic/vf_explained_var": explained_variance(self.values[counted], self.returns[counted]),
            "actor/kl": float(self.kl[counted].mean()) if counted.any() else 0.0,
            "actor/kl_per_sample": float(sample_kl.mean()),
            "actor/kl_coef": self.kl_coef,
            **gap,
            "training/rollout_logprob_gap_mean": float(np.abs(self.old - sampled).mean()),
            "training/rollout_logprob_gap_max": float(np.abs(self.old - sampled).max(initial=0.0)),
            **hack_metrics(experience.batch),
        }
