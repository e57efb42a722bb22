"""Groups (all samples of one prompt): their passes and failures, and which of them a step learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prl_ray.rewards.inputs import Outcomes
from prl_ray.trajectory import Verdicts


@dataclass(frozen=True, slots=True)
class GroupFilter:
    """Keeps the groups with passes and failures (the filter of DAPO, Yu et al. 2025, §3.2).

    Samples with equal outcomes have no advantage over each other, unless the estimator compares their lines. The filter
    reads the tests' outcome and the end of the program, never a shaped reward. A sample without an outcome is neither a
    pass nor a failure.
    """

    on: bool = True
    """False keeps all groups."""
    failing: bool = False
    """Whether groups without a pass are kept too."""
    truncated: str = "fail"
    """``reward.truncated``."""

    def outcomes(self, verdicts: Verdicts) -> Outcomes:
        """The outcomes of a group's samples."""
        return Outcomes.of(verdicts, verdicts.finished, self.truncated)

    def keeps(self, group: Outcomes) -> bool:
        """Whether a group has something to learn from."""
        return not self.on or bool(group.failed.any() and (self.failing or group.passed.any()))

    def kept(self, groups: Sequence[Outcomes]) -> list[int]:
        """Indices of the kept groups; of all groups if none is kept."""
        return [i for i, group in enumerate(groups) if self.keeps(group)] or list(range(len(groups)))


def group_metrics(groups: Sequence[Outcomes]) -> dict[str, float]:
    """Shares of the sampled groups in which all samples with an outcome fail, some of them pass, and all pass."""
    failed = np.array([g.failed.any() for g in groups])
    passed = np.array([g.passed.any() for g in groups])
    return {
        "training/groups_failing": float((failed & ~passed).mean()),
        "training/groups_mixed": float((failed & passed).mean()),
        "training/groups_passing": float((passed & ~failed).mean()),
    }
