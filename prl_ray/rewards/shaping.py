"""The registry of reward shapings, ``SHAPINGS``: a new one is a function of ``RewardInputs`` and a line here.

Every entry that is not ``farmable`` keeps two guarantees, for any line scores: a right program with lines added to it,
and a program that fails (the right first line followed by the end, say), never earn more than the right program.
"Earn" is the undiscounted sum over the sample's tokens. The first one takes for granted that the added lines leave the
other lines' scores alone; ``tests/rewards`` proves both on generated programs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.rewards import at_end, located, process
from prl_ray.rewards.inputs import Bools, Floats, RewardInputs
from prl_ray.rewards.params import ShapingParams, valid_samples
from prl_ray.trajectory import TrajectoryBatch, Verdicts

Scores = NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Shaping:
    """A named reward. Call it to get float32 ``[tokens]``."""

    name: str
    function: Callable[[RewardInputs], Floats]
    needs: Literal["tests", "lines", "orm"]
    """The scores that it reads beside the tests' verdicts: none, the PRM's ``[lines]`` or the ORM's ``[samples]``."""
    farmable: bool = False
    """True for what is kept only to show how it fails."""
    trained_on: Callable[[RewardInputs], Bools] | None = None
    """Which tokens of valid samples the losses may count, where that is not all of them."""

    @property
    def summary(self) -> str:
        """The first paragraph of its documentation, on one line."""
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split())

    def __call__(
        self,
        batch: TrajectoryBatch,
        verdicts: Verdicts,
        line_scores: Scores | None = None,
        orm_scores: Scores | None = None,
        params: ShapingParams | None = None,
    ) -> NDArray[np.float32]:
        """Rewards, aligned with ``batch.tokens``; 0 throughout samples that ``valid_samples`` excludes.

        ``line_scores`` is float32 ``[lines]`` in [0, 1], ``orm_scores`` float32 ``[samples]``. Raises ``ConfigError``
        where scores that the shaping needs are missing, ``ValueError`` where columns do not fit together.
        """
        if len(verdicts.status) != len(batch):
            raise ValueError(f"{len(verdicts.status)} verdicts for {len(batch)} samples")
        rewards = self.function(RewardInputs(batch, verdicts, line_scores, orm_scores, params or ShapingParams()))
        valid = np.repeat(valid_samples(verdicts), batch.response_lengths)
        return np.where(valid, rewards, 0.0).astype(np.float32)

    def counted(
        self,
        batch: TrajectoryBatch,
        verdicts: Verdicts,
        line_scores: Scores | None = None,
        params: ShapingParams | None = None,
    ) -> NDArray[np.bool_]:
        """bool ``[tokens]``: the tokens that losses and whitening may count under this reward."""
        counted = np.repeat(valid_samples(verdicts), batch.response_lengths)
        if self.trained_on is not None:
            counted &= self.trained_on(RewardInputs(batch, verdicts, line_scores, None, params or ShapingParams()))
        return counted


SHAPINGS: dict[str, Shaping] = {
    shaping.name: shaping
    for shaping in (
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
}


def shaping_named(name: str) -> Shaping:
    """The shaping called ``name``; ``ConfigError`` where there is none."""
    if name not in SHAPINGS:
        raise ConfigError(f"unknown reward shaping {name!r}; known: {', '.join(SHAPINGS)}")
    return SHAPINGS[name]
