"""Controls: a shaping's reward without the location. If a control does as well, the line scores did not help.

Each wraps a shaping, so that it differs from the real reward in one respect only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.plugins import Registry
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.shaping import Shaping

Rewards = NDArray[np.float32]
Control = Callable[[Shaping, RewardInputs, np.random.Generator], Rewards]


def none(shaping: Shaping, x: RewardInputs, rng: np.random.Generator) -> Rewards:
    """No control: the shaping's own reward."""
    return shaping(x)


def shuffled(shaping: Shaping, x: RewardInputs, rng: np.random.Generator) -> Rewards:
    """The scores of each sample's lines, ends included, are permuted at random; neutral lines keep theirs."""
    scores, counted = _scores(x), np.flatnonzero(~x.batch.line_neutral)
    sample = np.repeat(np.arange(len(x.batch)), np.diff(x.batch.line_offsets))[counted]
    permuted = counted[np.lexsort((rng.random(len(counted)), sample))]
    return _with_scores(shaping, x, counted, scores[permuted])


def mean_at_end(shaping: Shaping, x: RewardInputs, rng: np.random.Generator) -> Rewards:
    """The shaping's total for a sample (for ``process_mean`` the mean score and the outcome), paid at its last
    token."""
    paid = shaping(x).astype(np.float64)
    sample = np.repeat(np.arange(len(x.batch)), x.batch.response_lengths)
    return x.at_end(np.bincount(sample, paid, len(x.batch)).astype(np.float64)).astype(np.float32)


def constant(shaping: Shaping, x: RewardInputs, rng: np.random.Generator) -> Rewards:
    """Every line gets the mean score of the samples that have a reward: as dense as the real reward, without
    information about lines."""
    counted = np.flatnonzero(~x.batch.line_neutral)
    rewarded = counted[np.repeat(x.valid, np.diff(x.batch.line_offsets))[counted]]
    mean = _scores(x)[rewarded].astype(np.float64).mean() if len(rewarded) else 0.0
    return _with_scores(shaping, x, counted, np.full(len(counted), mean))


CONTROLS: Registry[Control] = Registry(
    "control",
    "prl_ray.controls",
    {"none": none, "shuffled": shuffled, "mean_at_end": mean_at_end, "constant": constant},
    how="it must be a function (shaping, inputs, rng) -> rewards",
)
"""Name -> control: ``CONTROLS.find(name)(shaping, inputs, rng)`` gives float32 ``[tokens]``."""


def _scores(x: RewardInputs) -> NDArray[np.floating]:
    if x.line_scores is None:
        raise ConfigError("this control changes line scores: add a process reward model to the run")
    return x.line_scores


def _with_scores(shaping: Shaping, x: RewardInputs, lines: NDArray[np.int64], scores: NDArray[np.floating]) -> Rewards:
    replaced = _scores(x).copy()
    replaced[lines] = scores
    return shaping(replace(x, line_scores=replaced))
