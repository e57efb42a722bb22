"""The critic that a configuration asks for, and the models that it needs: the only place that decides this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from prl_ray.actors.line_plan import LinePlan
from prl_ray.config import Config
from prl_ray.ppo.advantages import ESTIMATORS
from prl_ray.rewards.shaping import SHAPINGS

RewardModel = Literal["prm", "orm"]
Trunk = Literal["prm", "sft"]


@dataclass(frozen=True, slots=True)
class CriticPlan:
    """The critic of a run and the reward models that PPO loads. Stages name folders after it: ``prm``, ``orm``, ``sft``
    are the artifacts of those names."""

    form: Literal["none", "head", "full"]
    """No critic, a value head on features that the scorer computes, or a model with a trunk of its own."""
    trunk: Trunk | None
    """The artifact with the critic's trunk, for a head as well as for a full critic; None without a critic."""
    reward_models: tuple[RewardModel, ...]
    """The reward models that PPO needs: those that the shaping or the locator reads, and the PRM where it is the
    critic's trunk."""

    @classmethod
    def of(cls, config: Config) -> CriticPlan:
        """The plan of a validated configuration."""
        algorithm = config.algorithm
        needs = SHAPINGS.find(config.reward.name).needs
        with_critic = ESTIMATORS.find(algorithm.estimator).needs == "values"
        form: Literal["head", "full"] = "full" if algorithm.critic == "full" else "head"
        trunk: Trunk = "prm" if algorithm.critic_init == "prm" else "sft"
        models: list[RewardModel] = []
        if needs == "lines" or LinePlan.of(config).prm or (with_critic and trunk == "prm"):
            models.append("prm")
        if needs == "orm":
            models.append("orm")
        return cls(form if with_critic else "none", trunk if with_critic else None, tuple(models))

    @property
    def exists(self) -> bool:
        """Whether there is a critic."""
        return self.form != "none"

    @property
    def needs_prm(self) -> bool:
        """Whether PPO loads the PRM, for line scores or as the critic's trunk."""
        return "prm" in self.reward_models

    @property
    def features(self) -> bool:
        """Whether the scorer also returns the trunk's states, which a value head reads."""
        return self.form == "head"

    @property
    def scorer_trunk(self) -> Trunk | None:
        """The artifact that the scorer loads for the features alone (``ScorerSetup.trunk``); None where it loads it
        anyway, as its PRM, or if no features are needed."""
        return self.trunk if self.features and self.trunk != "prm" else None

    @property
    def full_trunk(self) -> Trunk | None:
        """The artifact from which the learner builds a critic with a trunk of its own (``LearnerSetup.critic``)."""
        return self.trunk if self.form == "full" else None

    @property
    def needs_scorer(self) -> bool:
        """Whether PPO starts scorers: for reward models that the shaping reads, or for the critic's features."""
        return bool(self.reward_models) or self.features
