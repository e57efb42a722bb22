"""Numbers that are none: a step that meets one learns nothing, says where it was, and a run of such steps ends the run.

One NaN that reaches the optimizer makes all weights NaN. So every column is looked at where it enters a step, and the
gradient norm before every optimizer step; ``Engine.step`` leaves the weights alone where that norm is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from prl_ray.errors import NotFiniteError

LIMIT = 3
"""Steps in a row that are skipped when the run ends."""
_CAUSE = "training/skipped_for/"


def first_not_finite(columns: Mapping[str, np.ndarray | None]) -> str:
    """Name of the first column with a NaN or an infinity; empty where there is none. Columns may be None."""
    return next((name for name, c in columns.items() if c is not None and not np.isfinite(c).all()), "")


def finite_only(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are finite numbers: what else there is would hide the curves of a whole run."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def skip_causes(metrics: Mapping[str, float]) -> str:
    """What made a step be skipped, by the names of its metrics; empty where it was not."""
    return ", ".join(name.removeprefix(_CAUSE).replace("_", " ") for name in metrics if name.startswith(_CAUSE))


@dataclass
class SkippedSteps:
    """Counts skipped steps. All ranks see the same columns and norms, and so count alike."""

    causes: list[str] = field(default_factory=list)
    """Of the steps in a row, oldest first."""

    def learnt(self) -> dict[str, float]:
        """Notes a step that was not skipped; its metrics."""
        self.causes.clear()
        return {"training/skipped_step": 0.0}

    def skipped(self, number: int, cause: str) -> dict[str, float]:
        """Notes that step ``number`` was skipped because of ``cause``; its metrics, which name the cause.

        Raises ``NotFiniteError`` with the first cause after ``LIMIT`` steps in a row.
        """
        self.causes.append(f"step {number}: {cause}")
        if len(self.causes) >= LIMIT:
            raise NotFiniteError(
                f"{LIMIT} PPO steps in a row met numbers that are not finite and learnt nothing. First, "
                f"{self.causes[0]}; last, {self.causes[-1]}. Resume from an earlier checkpoint with a smaller "
                "learning rate, or look at what produces that column"
            )
        return {"training/skipped_step": 1.0, f"{_CAUSE}{cause.replace(' ', '_')}": 1.0}
