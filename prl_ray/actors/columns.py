"""Inputs of one PPO step's updates: flat per-token columns, and the metrics that describe them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from prl_ray.actors.finite import first_not_finite
from prl_ray.actors.rollout import Experience
from prl_ray.credit.locators import LocatorInputs
from prl_ray.credit.quality import hit_metrics, prm_metrics
from prl_ray.ppo.advantages import explained_variance, sample_totals
from prl_ray.ppo.line_credit import LineCredit, credit_shares, group_kinds
from prl_ray.ppo.losses import rollout_diff
from prl_ray.ppo.normalisers import LossWeights
from prl_ray.rewards.metrics import hack_metrics


@dataclass(frozen=True, slots=True)
class Columns:
    """Inputs of the updates, all float32 ``[tokens]`` unless stated otherwise."""

    rewards: np.ndarray
    valid: np.ndarray
    """bool ``[samples]``: samples that have a reward."""
    kl: np.ndarray
    kl_coef: float
    """The KL controller's coefficient."""
    old: np.ndarray
    """Log-probabilities by the policy before the step."""
    reference: np.ndarray
    """Log-probabilities by the reference policy."""
    read: np.ndarray
    """bool ``[tokens]``: tokens that the passes read; ``old``, ``reference`` and ``kl`` of the others are 0."""
    values: np.ndarray
    advantages: np.ndarray
    returns: np.ndarray
    mask: np.ndarray
    """1 where a token counts in losses: its sample has a reward, and reward and estimator train on it; else 0."""
    weights: LossWeights
    """Weights and divisor of the policy's loss."""
    compared: LineCredit | None = None
    """The lines as the estimator compared them; None where it reads no lines."""
    critic: bool = True
    """Whether a critic predicted ``values``."""
    gated: bool = False
    """Whether the gate replaced line groups (``algorithm.locator_min_hit``)."""

    def not_finite(self) -> str:
        """Name of a column with NaN or infinity; empty if all are finite."""
        return first_not_finite(
            {
                "old log-probabilities": self.old,
                "reference log-probabilities": self.reference,
                "rewards": self.rewards,
                "values": self.values,
                "advantages": self.advantages,
                "returns": self.returns,
            }
        )

    def metrics(self, experience: Experience) -> dict[str, float]:
        """The step's metrics before any update, under verl's names."""
        counted = self.mask > 0
        totals = sample_totals(self.rewards, experience.batch.token_offsets)
        sample_kl = sample_totals(self.kl, experience.batch.token_offsets)
        batch, verdicts, valid = experience.batch, experience.verdicts, self.valid
        kinds = group_kinds(verdicts.ok, batch.prompt_ids, valid)
        old, sampled = self.old[self.read], experience.batch.logprobs[self.read]
        gap = np.abs(old - sampled)
        return {
            **experience.metrics(),
            "critic/rewards/mean": float(totals[valid].mean()) if valid.any() else 0.0,
            "critic/advantages/mean": float(self.advantages[counted].mean()) if counted.any() else 0.0,
            "critic/advantages/max": float(self.advantages.max(initial=0.0)),
            "critic/advantages/min": float(self.advantages.min(initial=0.0)),
            "critic/returns/mean": float(self.returns[counted].mean()) if counted.any() else 0.0,
            **(self._critic_metrics(counted) if self.critic else {}),
            "actor/kl": float(self.kl[counted].mean()) if counted.any() else 0.0,
            "actor/kl_per_sample": float(sample_kl.mean()),
            "actor/kl_coef": self.kl_coef,
            **rollout_diff(torch.from_numpy(old), torch.from_numpy(sampled)),
            "training/rollout_logprob_gap_mean": float(gap.mean()) if len(gap) else 0.0,
            "training/rollout_logprob_gap_max": float(gap.max(initial=0.0)),
            **hack_metrics(experience.batch),
            **credit_shares(np.where(counted, self.advantages, 0.0), kinds, batch.token_offsets),
            **self._line_metrics(experience),
        }

    def _critic_metrics(self, counted: np.ndarray) -> dict[str, float]:
        values, returns = self.values[counted], self.returns[counted]
        return {
            "critic/values/mean": float(values.mean()) if counted.any() else 0.0,
            "critic/vf_explained_var": explained_variance(values, returns),
        }

    def _line_metrics(self, experience: Experience) -> dict[str, float]:
        """Metrics of the located errors, and how often the locator and the PRM agree with execution."""
        batch, lines, verdicts = experience.batch, experience.lines, experience.verdicts
        if lines is None:
            return {}
        failed = verdicts.valid & ~verdicts.ok
        metrics = lines.metrics(failed)
        if self.compared is not None:
            metrics |= hit_metrics(batch, self.compared.wrong, lines.wrong, failed)
            metrics["locator/gated"] = float(self.gated)
        if (scores := experience.scores.line_scores) is not None:
            metrics |= prm_metrics(LocatorInputs(batch, verdicts, line_scores=scores, executed=lines.wrong))
        return metrics
