"""Shapings that pay only at the last token."""

from __future__ import annotations

import numpy as np

from prl_ray.errors import ConfigError
from prl_ray.rewards.inputs import Floats, RewardInputs


def outcome(x: RewardInputs) -> Floats:
    """The tests' verdict on the CodeRL scale (Le et al. 2022): passed, failed, runtime error, compile error."""
    return x.at_end(x.outcome)


def pass_rate(x: RewardInputs) -> Floats:
    """The fraction of tests passed; 0 without tests, or for a truncated program (``truncated=fail``)."""
    rate = x.verdicts.passed / np.maximum(x.verdicts.total, 1)
    return x.at_end(np.where(x.cut_off & (x.config.truncated == "fail"), 0.0, rate))


def orm(x: RewardInputs) -> Floats:
    """The outcome reward model's probability that the tests pass; 0 for a truncated program, which has no end to
    score."""
    if x.orm_scores is None:
        raise ConfigError("the reward shaping 'orm' needs ORM scores: add an outcome reward model to the run")
    return x.at_end(np.where(x.cut_off, 0.0, x.orm_scores.astype(np.float64)))
