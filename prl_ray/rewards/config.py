"""The settings of the reward: which shaping, its weights and thresholds, and the scale of outcomes."""

from __future__ import annotations

from dataclasses import dataclass

from prl_ray.errors import ConfigError
from prl_ray.options import Params, check_options, option


@dataclass
class RewardConfig:
    """Verdicts and line scores -> rewards per token.

    Raises ``ConfigError`` for values with which a failing program could earn more than a passing one.
    """

    name: str = option(
        "outcome",
        "Shaping: a registered name, or package.module:attribute.",
        registry="prl_ray.rewards.shaping:SHAPINGS",
    )
    params: Params = option({}, "The shaping's own parameters: reward.params.NAME=VALUE.")
    alpha: float = option(
        0.5, "Weight of the line scores; at most half the gap between passing and the best failure.", low=0
    )
    lines: int = option(8, "Number of lines in means over lines: every program is treated as having this many.", low=1)
    theta: float = option(0.5, "A line below this probability counts as wrong (first_error, located).", low=0, high=1)
    passed: float = option(1.0, "Outcome of a program that passes.")
    failed: float = option(-0.3, "Outcome of a program with a wrong answer.")
    runtime_error: float = option(-0.6, "Outcome of a program that raises an error or exceeds a limit.")
    compile_error: float = option(-1.0, "Outcome of a program that does not compile.")
    truncated: str = option(
        "fail",
        "Reward of a program that the length limit truncated: fail (that of a wrong answer), mask (it is not "
        "learnt from), "
        "or keep (the tests decide; its missing end counts as a wrong line).",
        choices=("fail", "mask", "keep"),
    )
    control: str = option(
        "none",
        "Control experiment: the shaping's reward without the location.",
        registry="prl_ray.rewards.controls:CONTROLS",
    )

    def __post_init__(self) -> None:
        check_options(self, "reward.")
        gap = self.passed - max(self.failed, self.runtime_error, self.compile_error)
        if gap <= 0:
            raise ConfigError(
                f"config: reward.passed={self.passed} must be above the outcomes of failures: otherwise a failing "
                "program is worth as much as a passing one, and there is nothing to learn from the tests"
            )
        if not 0 <= 2 * self.alpha <= gap:
            raise ConfigError(
                f"config: reward.alpha={self.alpha} must lie in [0, {gap / 2:g}], half the gap between passing and the "
                "best failure: above it, line scores could make a failing program worth more than a passing one"
            )
