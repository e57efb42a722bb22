"""Advantages of lines from the values before and after them: pure functions on flat ragged columns.

They need no located line. The value V of a program's first lines comes from

- ``state_anchor`` the samples of the prompt that compute the same state (GiGPO, Feng et al. 2025, §4)
- ``vine`` the policy's own completions of these lines (VinePPO, Kazemnejad et al. 2024)
"""

from __future__ import annotations

import numpy as np

from prl_ray.ppo.line_credit import UNKNOWN, Bools, Floats, Ints, LineCredit, numbered


def state_anchor(returns: Floats, lines: LineCredit, prompt_ids: Ints, valid: Bools) -> Floats:
    """``V(after) - V(before)`` of every counted line, float64 ``[lines]``; 0 for all other lines.

    A sample's advantages sum to its return minus its prompt's mean. See ``state_values``.
    """
    before, after = state_values(returns, lines, prompt_ids, valid)
    return after - before


def state_values(returns: Floats, lines: LineCredit, prompt_ids: Ints, valid: Bools) -> tuple[Floats, Floats]:
    """V before and V after each counted line, float64 ``[lines]`` each; 0 for all other lines.

    ``returns`` is each sample's return, float64 ``[samples]``. V of a state is the mean return of the prompt's samples
    that pass through it; before the first line it is the mean of all of the prompt's samples, after the last line the
    sample's own return. A line with an unknown state does not change V. Raises ``ValueError`` without states.
    """
    if lines.states is None:
        raise ValueError("state_anchor compares states: this batch has none")
    sample = lines.sample
    at = np.flatnonzero(lines.counted & valid[sample])
    mean = _group_mean(returns, prompt_ids, valid)
    known = lines.states[at] != UNKNOWN
    pooled = np.full(len(at), np.nan)
    pooled[known] = _pooled(returns, prompt_ids[sample[at[known]]], lines.states[at[known]], sample[at[known]])
    return _around(at, pooled, sample, mean, returns)


def vine(lines: LineCredit, prompt_ids: Ints, valid: Bools) -> Floats:
    """``V(after) - V(before)`` of every counted line, float64 ``[lines]``; 0 for all other lines. See ``vine_values``.

    A sample's advantages sum to its outcome (1 or 0) minus its prompt's pass rate.
    """
    before, after = vine_values(lines, prompt_ids, valid)
    return after - before


def vine_values(lines: LineCredit, prompt_ids: Ints, valid: Bools) -> tuple[Floats, Floats]:
    """V before and V after each counted line, float64 ``[lines]`` each; 0 for all other lines (VinePPO, Kazemnejad et
    al. 2024, eq. 6).

    V after a line is ``LineCredit.values``, after the last line 1 for a pass and 0 for a failure; before the first line
    it is the pass rate of the prompt's samples. A line with an unknown value does not change V. Raises ``ValueError``
    without values.
    """
    if lines.values is None:
        raise ValueError("vine reads the values of completions: this batch has none")
    sample = lines.sample
    at = np.flatnonzero(lines.counted & valid[sample])
    returns = lines.ok.astype(np.float64)
    return _around(at, lines.values[at].copy(), sample, _group_mean(returns, prompt_ids, valid), returns)


def _around(at: Ints, values: Floats, sample: Ints, first: Floats, returns: Floats) -> tuple[Floats, Floats]:
    """V before and after the lines ``at``, float64 ``[lines]`` each, 0 for other lines.

    ``values`` is V after each of ``at``, NaN where it is as before; ``first`` V before a sample's first line, and
    ``returns`` V after its last one, both ``[samples]``.
    """
    last = np.append(np.diff(sample[at]) != 0, True)[: len(at)]
    values[last] = returns[sample[at[last]]]
    before, after = np.zeros(len(sample)), np.zeros(len(sample))
    value = 0.0
    for position, line in enumerate(at):
        owner = sample[line]
        if position == 0 or owner != sample[at[position - 1]]:
            value = first[owner]
        before[line] = value
        value = value if np.isnan(values[position]) else values[position]
        after[line] = value
    return before, after


def _group_mean(returns: Floats, prompt_ids: Ints, valid: Bools) -> Floats:
    _, group = np.unique(prompt_ids, return_inverse=True)
    count = np.bincount(group, valid.astype(np.float64))
    total = np.bincount(group, np.where(valid, returns, 0.0))
    mean: Floats = (total / np.maximum(count, 1))[group]
    return mean


def _pooled(returns: Floats, prompts: Ints, states: Ints, samples: Ints) -> Floats:
    """For each line, the mean return of the prompt's samples that have its state at any line; each sample counts
    once."""
    if not len(states):
        return np.zeros(0)
    group = numbered(prompts, states)
    pairs = np.unique(np.stack([group, samples]), axis=1)
    mean = np.bincount(pairs[0], returns[pairs[1]]) / np.bincount(pairs[0])
    found: Floats = mean[group]
    return found
