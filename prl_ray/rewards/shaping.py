"""Reward shapings and their registry ``SHAPINGS``: a new one is a function of ``RewardInputs`` and one line in the
registry.

Every built-in shaping that is not ``farmable`` gives two guarantees for all line scores: neither a right program with
added lines nor a failing program (such as the right first line followed by the end) earns more than the right program.
Earnings are the undiscounted sum over the sample's tokens. The first guarantee assumes that the added lines do not
change the scores of the others; ``tests/rewards`` checks both on generated programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prl_ray.plugins import Registry, checked_params
from prl_ray.rewards import at_end, located, process
from prl_ray.rewards.inputs import Bools, Floats, RewardInputs

Needs = Literal["tests", "lines", "orm"]


@dataclass(frozen=True, slots=True)
class Shaping:
    """A named reward. Call it to get float32 ``[tokens]``."""

    name: str
    function: Callable[..., Floats]
    """From ``RewardInputs`` to float64 ``[tokens]``; its keyword-only arguments are its parameters
    (``reward.params``)."""
    needs: Needs
    """Scores needed in addition to the tests' verdicts: none, the PRM's ``[lines]`` or the ORM's ``[samples]``.
    """
    farmable: bool = False
    """True for a shaping that exists only to demonstrate reward hacking."""
    trained_on: Callable[[RewardInputs], Bools] | None = None
    """Tokens of valid samples that the losses may count; None for all of them."""

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line."""
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split())

    def check_params(self, given: dict[str, object]) -> dict[str, object]:
        """``reward.params`` as the function's keyword arguments. Raises ``ConfigError`` if they are invalid."""
        return checked_params(self.function, given, "reward.params")

    def __call__(self, x: RewardInputs) -> NDArray[np.float32]:
        """Rewards, aligned with ``x.batch.tokens``; 0 in samples that are not valid. Raises ``ConfigError`` if scores
        that the shaping needs are missing.
        """
        rewards = self.function(x, **self.check_params(x.config.params))
        valid = np.repeat(x.valid, x.batch.response_lengths)
        return np.where(valid, rewards, 0.0).astype(np.float32)

    def counted(self, x: RewardInputs) -> NDArray[np.bool_]:
        """bool ``[tokens]``: the tokens that losses and whitening may count under this reward."""
        counted = np.repeat(x.valid, x.batch.response_lengths)
        return counted if self.trained_on is None else counted & self.trained_on(x)


def shaping(
    *,
    needs: Needs = "tests",
    farmable: bool = False,
    trained_on: Callable[[RewardInputs], Bools] | None = None,
) -> Callable[[Callable[..., Floats]], Shaping]:
    """Decorator that makes a function of ``RewardInputs`` a :class:`Shaping`, which a configuration selects by its
    import path or an entry point."""

    def decorate(function: Callable[..., Floats]) -> Shaping:
        return Shaping(function.__name__, function, needs, farmable, trained_on)

    return decorate


BUILT_IN = (
    Shaping("outcome", at_end.outcome, needs="tests"),
    Shaping("pass_rate", at_end.pass_rate, needs="tests"),
    Shaping("orm", at_end.orm, needs="orm"),
    Shaping("process", process.process, needs="lines"),
    Shaping("process_mean", process.process_mean, needs="lines"),
    Shaping("process_raw", process.process_raw, needs="lines", farmable=True),
    Shaping("min_form", process.min_form, needs="lines"),
    Shaping("clip_delta", process.clip_delta, needs="lines"),
    Shaping("potential", process.potential, needs="lines"),
    Shaping("gated", process.gated, needs="lines"),
    Shaping("group_gated", process.group_gated, needs="lines"),
    Shaping("first_error", located.first_error, needs="lines"),
    Shaping("located", located.located, needs="lines", trained_on=located.counted_tokens),
    Shaping("error_line", located.error_line, needs="tests"),
)

SHAPINGS: Registry[Shaping] = Registry(
    "reward shaping",
    "prl_ray.shapings",
    {shaping.name: shaping for shaping in BUILT_IN},
    accepts=lambda found: isinstance(found, Shaping),
    how="decorate the function with @prl_ray.rewards.shaping.shaping(needs=...)",
)
"""Name -> shaping: ``SHAPINGS.find(name)(inputs)`` gives float32 ``[tokens]``."""
