"""Advantage estimators that compare lines at equal prefix, for ``ESTIMATORS``.

They read ``AdvantageInputs.lines``: the first wrong line of each sample, or the values of its variables after each
line. Most of their advantages are 0, which means that there is nothing to learn, so they are scaled but never shifted
(``sparse``).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.plugins import Bounds
from prl_ray.ppo import line_credit, line_values
from prl_ray.ppo.advantages import (
    AdvantageInputs,
    Estimate,
    estimator,
    leave_one_out,
    reward_to_go,
    sample_totals,
    totals_differ,
)
from prl_ray.ppo.line_credit import PARTS, UNKNOWN, LineCredit

Places = Annotated[str, Bounds(choices=("line", "state"))]


@estimator(needs="lines", groups=True, sparse=True, failing=True)
def line_group(inputs: AdvantageInputs, *, places: Places = "line") -> Estimate:
    """Compares each line with the prompt's other samples that reach it with all lines before it right.

    Used alone it was harmful in experiments (docs/line-credit.md): a passing program is not reinforced unless another
    sample fails at one of its lines. ``places`` defines the lines to compare: those with equal numbers, or those with
    equal values before them.
    """
    lines, valid = _placed(inputs, places), _valid(inputs)
    found = line_credit.line_group(lines, inputs.prompt_ids, valid)
    return _estimate(inputs, line_credit.on_tokens(lines, found, inputs.offsets))


@estimator(needs="lines", groups=True, sparse=True, failing=True)
def gate(
    inputs: AdvantageInputs,
    *,
    weight: Annotated[float, Bounds(low=0)] = 0.5,
    part: Annotated[str, Bounds(choices=PARTS)] = "both",
    places: Places = "line",
) -> Estimate:
    """The outcome's advantage, for a failure on its first wrong line only; line groups where no sample passes.

    ``weight`` multiplies the line groups' credit, ``part`` selects the kinds of groups that get located credit,
    ``places`` is as in ``line_group``.
    """
    outcome = leave_one_out(inputs)
    found = line_credit.gate(
        outcome, _placed(inputs, places), inputs.prompt_ids, _valid(inputs), inputs.offsets, weight=weight, part=part
    )
    return _estimate(inputs, found)


@estimator(needs="lines", groups=True, sparse=True, failing=True)
def line_share(inputs: AdvantageInputs) -> Estimate:
    """Control: the information of the locations without the place. The share of a sample's lines before its first wrong
    one, minus the mean share of the prompt's other samples, on all of its tokens."""
    lines = _lines(inputs)
    known = lines.wrong != UNKNOWN
    before = lines.counted & (lines.index < np.where(known, lines.wrong, 0)[lines.sample])
    right = np.bincount(lines.sample, before, len(lines.wrong))
    share = right / np.maximum(np.bincount(lines.sample, lines.counted, len(lines.wrong)), 1)
    rewards = np.zeros(len(inputs.rewards))
    some = np.diff(inputs.offsets) > 0
    rewards[inputs.offsets[1:][some] - 1] = share[some]
    found = leave_one_out(replace(inputs, rewards=rewards, valid=_valid(inputs) & known))
    return _estimate(inputs, np.repeat(found, np.diff(inputs.offsets)))


@estimator(needs="states", groups=True, sparse=True)
def state_anchor(inputs: AdvantageInputs) -> Estimate:
    """``V(after) - V(before)`` of each line, where V of a state is the mean total of the samples that pass through
    it."""
    lines, valid = _lines(inputs), _valid(inputs)
    totals = sample_totals(inputs.rewards, inputs.offsets)
    found = line_values.state_anchor(totals, lines, inputs.prompt_ids, valid)
    found = np.where(totals_differ(inputs)[lines.sample], found, 0.0)
    return _estimate(inputs, line_credit.on_tokens(lines, found, inputs.offsets))


@estimator(needs="completions", groups=True, sparse=True, failing=True)
def vine(inputs: AdvantageInputs) -> Estimate:
    """``V(after) - V(before)`` of each line, where V is the share of the policy's completions of the program's first
    lines that pass (``algorithm.completions`` for each line)."""
    lines, valid = _lines(inputs), _valid(inputs)
    found = line_values.vine(lines, inputs.prompt_ids, valid)
    return _estimate(inputs, line_credit.on_tokens(lines, found, inputs.offsets))


def _placed(inputs: AdvantageInputs, places: str) -> LineCredit:
    lines = _lines(inputs)
    return lines.at_equal_state() if places == "state" else lines


def _lines(inputs: AdvantageInputs) -> LineCredit:
    if inputs.lines is None:
        raise ConfigError("this advantage estimator compares lines: the batch has no line verdicts or located lines")
    return inputs.lines


def _valid(inputs: AdvantageInputs) -> NDArray[np.bool_]:
    return np.ones(len(inputs.prompt_ids), dtype=np.bool_) if inputs.valid is None else inputs.valid


def _estimate(inputs: AdvantageInputs, advantages: NDArray[np.float64]) -> Estimate:
    return Estimate(advantages.astype(np.float32), reward_to_go(inputs.rewards, inputs.offsets, inputs.gamma))
