"""NaN and infinities: a step that meets one learns nothing and names the column, and several such steps in a row end
the run.

One NaN that reaches the optimizer makes all weights NaN. So every column is checked where it enters a step, and the
gradient norm before every optimizer step; ``Engine.step`` skips the update if that norm is not finite.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from prl_ray.errors import NotFiniteError

LIMIT = 3
"""Number of skipped steps in a row that ends the run."""
_CAUSE = "training/skipped_for/"


def first_not_finite(columns: Mapping[str, np.ndarray | None]) -> str:
    """Name of the first column with a NaN or an infinity; empty where there is none. Columns may be None."""
    return next((name for name, c in columns.items() if c is not None and not np.isfinite(c).all()), "")


def finite_only(metrics: Mapping[str, float]) -> dict[str, float]:
    """The metrics that are finite: one infinite value would flatten the curve of a whole run."""
    return {name: value for name, value in metrics.items() if math.isfinite(value)}


def skip_causes(metrics: Mapping[str, float]) -> str:
    """Why a step was skipped, read from the names of its metrics; empty if it was not skipped."""
    return ", ".join(name.removeprefix(_CAUSE).replace("_", " ") for name in metrics if name.startswith(_CAUSE))


@dataclass
class SkippedSteps:
    """Counts skipped steps. All ranks see the same columns and norms, so their counts agree."""

    causes: list[str] = field(default_factory=list)
    """Causes of the skipped steps in a row, oldest first."""
    what: str = "PPO"
    """The training, for the message."""
    remedy: str = (
        "Resume from an earlier checkpoint with a smaller learning rate, or find the part that produces this column"
    )

    def state_dict(self) -> dict[str, list[str]]:
        """For checkpoints: a run that resumes between skipped steps continues the count."""
        return {"causes": list(self.causes)}

    def load_state_dict(self, state: Mapping[str, list[str]]) -> None:
        """Loads a value of ``state_dict``."""
        self.causes = list(state["causes"])

    def learnt(self) -> dict[str, float]:
        """Records a step that was not skipped; returns its metrics."""
        self.causes.clear()
        return {"training/skipped_step": 0.0}

    def skipped(self, number: int, cause: str) -> dict[str, float]:
        """Records that step ``number`` was skipped because of ``cause``; returns metrics that name the cause.

        Raises ``NotFiniteError`` with the first cause after ``LIMIT`` steps in a row.
        """
        self.causes.append(f"step {number}: {cause}")
        if len(self.causes) >= LIMIT:
            raise NotFiniteError(
                f"{LIMIT} {self.what} steps in a row met numbers that are not finite and learnt nothing. First, "
                f"{self.causes[0]}; last, {self.causes[-1]}. {self.remedy}"
            )
        return {"training/skipped_step": 1.0, f"{_CAUSE}{cause.replace(' ', '_')}": 1.0}
