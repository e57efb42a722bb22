"""The numbers that shape a reward."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.trajectory import STATUSES, Verdicts


@dataclass(frozen=True, slots=True)
class ShapingParams:
    """Parameters of all shapings. Raises ``ConfigError`` for values under which a failure could out-earn a success."""

    alpha: float = 0.5
    """Weight of the line part beside the outcome. At most half the gap between passing and the best failure, so that no
    line scores whatever can make up for failing the tests."""
    lines: int = 8
    """Lines that a program is read as by the means over lines; constant, since a program could choose its own
    number."""
    eta: float = 0.0
    """``clip_delta``: scores ``s`` above this, in [-1, 1], are as good as 0."""
    tau: float = 0.1
    """``min_form``: temperature of the softmax that places the lowest score; above 0."""
    theta: float = 0.5
    """``first_error``, ``located``: the first line with ``p`` below this, in [0, 1], is the error."""
    gamma: float = 1.0
    """``potential``: the discount a token, the same as the advantage estimator's; in (0, 1]."""
    passed: float = 1.0
    """Outcome of a program that passes its tests."""
    failed: float = -0.3
    """Outcome of a wrong answer."""
    runtime_error: float = -0.6
    """Outcome of an exception, a time-out, too much memory or output, or a forbidden act."""
    compile_error: float = -1.0
    """Outcome of a program that does not compile."""

    def __post_init__(self) -> None:
        gap = self.passed - max(self.failed, self.runtime_error, self.compile_error)
        if not 0 <= 2 * self.alpha <= gap:
            raise ConfigError(
                f"reward alpha={self.alpha} must lie in [0, {gap / 2:g}], half the gap between passing and the best "
                "failure: above it, line scores could make a failing program worth more than a right one"
            )
        if self.lines < 1 or self.tau <= 0 or not 0 < self.gamma <= 1:
            raise ConfigError(
                f"reward lines={self.lines}, tau={self.tau}, gamma={self.gamma}: want >= 1, > 0 and within (0, 1]"
            )
        if not (0 <= self.theta <= 1 and -1 <= self.eta <= 1):
            raise ConfigError(f"reward theta={self.theta}, eta={self.eta}: want within [0, 1] and [-1, 1]")


def outcomes(verdicts: Verdicts, params: ShapingParams) -> NDArray[np.float64]:
    """The outcome ``o`` of each sample on the configured scale, float64 ``[samples]``; 0 where the sandbox failed."""
    scale = dict.fromkeys(STATUSES, params.runtime_error)
    scale |= {"passed": params.passed, "wrong_answer": params.failed, "compile_error": params.compile_error}
    scale["sandbox_error"] = 0.0
    return np.array([scale[status] for status in STATUSES])[verdicts.status]


def valid_samples(verdicts: Verdicts) -> NDArray[np.bool_]:
    """bool ``[samples]``: the verdict is about the program. Invalid samples get reward 0 from every shaping and must be
    masked out of baselines and losses: that 0 is no judgement."""
    return verdicts.valid
