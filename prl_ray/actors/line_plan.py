"""The inputs that a configuration's line credit needs of a run (the only place that decides this), and the request for
a step's line verdicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prl_ray.actors.handles import Ref
from prl_ray.config import Config
from prl_ray.credit.locators import LOCATORS
from prl_ray.ppo.advantages import ESTIMATORS
from prl_ray.problems.problem import Problem
from prl_ray.rewards.groups import GroupFilter
from prl_ray.trajectory import TrajectoryBatch, Verdicts


@dataclass(frozen=True, slots=True)
class LinePlan:
    """The source of line verdicts, and the prompts on which the verifiers look for them."""

    credit: bool
    """Whether the advantage estimator reads lines at all."""
    prm: bool
    """Whether the locator reads the PRM's scores."""
    executed: float
    """Share of a step's prompts whose samples the verifiers trace: 1 where the estimator learns from that, less where
    it only checks the locator or labels lines for the PRM."""
    failing: bool
    """Whether groups without a pass contribute to the loss."""
    references: bool = False
    """Whether the estimator reads first wrong lines that the verifiers find by means of a reference."""
    completions: int = 0
    """Completions of the policy for each line of a sample."""

    @classmethod
    def of(cls, config: Config) -> LinePlan:
        """The plan of a validated configuration."""
        algorithm = config.algorithm
        estimator = ESTIMATORS.find(algorithm.estimator)
        if estimator.needs not in ("lines", "states"):
            vine = estimator.needs == "completions"
            executed = algorithm.locator_check if config.prm.online else 0.0
            completions = algorithm.completions if vine else 0
            return cls(vine, False, executed, estimator.failing, completions=completions)
        needs = LOCATORS.find(algorithm.locator).needs if estimator.needs == "lines" else "execution"
        by_state = algorithm.estimator_params.get("places") == "state"
        executed = 1.0 if needs == "execution" or by_state else algorithm.locator_check
        references = needs == "execution" and estimator.needs == "lines"
        return cls(True, needs == "prm", executed, estimator.failing, references)


@dataclass(frozen=True, slots=True)
class LineRequest:
    """The samples of a step that get line verdicts."""

    problems: Sequence[Ref[Mapping[str, Problem]]]
    """The problems with their references, by task id; one ref."""
    prompts: frozenset[int]
    """Numbers of the prompts."""
    filter: GroupFilter
    """Samples of a group that it does not keep get none."""

    def asks_for(self, batch: TrajectoryBatch, verdicts: Verdicts) -> bool:
        """Whether the samples of this prompt get line verdicts."""
        return int(batch.prompt_ids[0]) in self.prompts and self.filter.keeps(self.filter.outcomes(verdicts))
