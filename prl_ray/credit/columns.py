"""What the execution of lines found, as columns beside a ``TrajectoryBatch``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.trajectory import take_ragged

Ints = NDArray[np.integer]

FOUND_BY = ("", "passed", "state", "prefix", "repair")
"""How a line was located, by code: not at all; nothing is wrong; see ``prl_ray.credit.verdicts``."""


@dataclass(frozen=True, slots=True)
class LineVerdicts:
    """Axes: samples; lines (flat, the line axis of the batch)."""

    wrong: Ints
    """int32 ``[samples]``: as ``LineCredit.wrong``."""
    found_by: Ints
    """uint8 ``[samples]``: index into ``FOUND_BY``."""
    states: Ints
    """int64 ``[lines]``: as ``LineCredit.states``."""

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Joins the verdicts of several batches."""
        return cls(*(np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def take(self, samples: Ints, line_offsets: Ints) -> Self:
        """The given samples in the given order; ``line_offsets`` are the batch's before."""
        rows, _ = take_ragged(line_offsets, samples)
        return type(self)(self.wrong[samples], self.found_by[samples], self.states[rows])

    def metrics(self) -> dict[str, float]:
        """Share of the failures that were located, and how."""
        failed = self.found_by != FOUND_BY.index("passed")
        total = max(int(failed.sum()), 1)
        return {
            "locator/located": float((self.wrong[failed] != UNKNOWN).sum() / total),
            **{
                f"locator/by_{name}": float((self.found_by[failed] == code).sum() / total)
                for code, name in enumerate(FOUND_BY)
                if name not in ("", "passed")
            },
        }
