"""Shapings that pay every line. Each is the outcome ``o`` at the last token plus a *line part*, ``[tokens]``.

A sum of line scores can be farmed: any line with a positive score is worth adding. A mean over the program's own lines
can be farmed too: a filler line with a high score raises it, and a program of one such line has the best mean of all.
So the line parts here have two properties, for all scores:

- *an added line never raises a right program's line part*: each line pays its shortfall, which is never
  positive;
- *the line part stays within ``alpha``* of a value that does not depend on the program, and ``2 alpha`` is at most the
  gap between passing and failing (``RewardConfig``): a failure never earns more than a right program.

``process_raw`` has neither property. It exists for experiments that show the effect.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from prl_ray.plugins import Bounds
from prl_ray.rewards.inputs import Bools, Floats, RewardInputs


def process_raw(x: RewardInputs) -> Floats:
    """The paper's plain sum: ``R_i = s_i`` at ``T_i``, no outcome. Farmable: each line with a positive score adds to
    it, and a short program with high scores beats a long one with low scores."""
    lines = x.scored()
    return x.at_tokens(lines.token, lines.s)


def process(x: RewardInputs) -> Floats:
    """The paper's ``sum_i R_i 1(t = T_i)`` with an ``R_i`` that cannot be farmed.

    ``R_i = -alpha (1 - p_i)``, the line's shortfall from a perfect score, until the sum reaches ``-alpha``. The end
    earns ``o``, and for a failure also the remainder of ``-alpha``. So all failures with equal outcomes earn the same
    total, whatever their length, and the reward model decides only *where* they earn it.
    """
    lines = x.scored()
    spent = np.minimum(lines.running_total(1 - lines.p), 1.0)
    charged = spent - lines.previous(spent, 0.0)
    unexplained = np.where(x.ok, 0.0, 1.0 - lines.total(charged))
    alpha = x.config.alpha
    return x.at_tokens(lines.token, -alpha * charged) + x.at_end(x.outcome - alpha * unexplained)


def process_mean(x: RewardInputs) -> Floats:
    """``o``, and ``alpha s_i / k`` at ``T_i``, with a ``k`` that does not depend on the program: see ``_mean_part``."""
    return x.at_end(x.outcome) + _mean_part(x, np.ones(len(x.batch), dtype=np.bool_))


def gated(x: RewardInputs) -> Floats:
    """``o``, and if the tests pass also the mean line score: the reward model only ranks right programs."""
    return x.at_end(x.outcome) + _mean_part(x, x.ok)


def group_gated(x: RewardInputs) -> Floats:
    """``process_mean`` for prompts whose samples all share one outcome, where the outcome alone gives no signal; plain
    ``o`` for the others. Samples without a reward (no verdict, or masked) are ignored."""
    _, group = np.unique(x.batch.prompt_ids, return_inverse=True)
    low, high = np.full(len(x.batch), np.inf), np.full(len(x.batch), -np.inf)
    valid, o = x.valid, x.outcome
    np.minimum.at(low, group[valid], o[valid])
    np.maximum.at(high, group[valid], o[valid])
    return x.at_end(o) + _mean_part(x, (low == high)[group])


def min_form(x: RewardInputs, *, tau: Annotated[float, Bounds(low=1e-6)] = 0.1) -> Floats:
    """``o``, and the lowest score ``min s`` distributed over the lines by ``softmax(-s / tau)``.

    After PURE (Cheng et al. 2025), which pays ``s_i softmax(-s / tau)_i``. That sum is the lowest score only in the
    limit ``tau -> 0``; otherwise filler lines with high scores raise it. Here the sum is the lowest score for every
    ``tau``.
    """
    lines = x.scored()
    lowest = lines.minimum(lines.s, np.where(x.ok, 1.0, -1.0))
    weight = np.exp((lowest[lines.sample] - lines.s) / tau)
    share = weight / lines.total(weight)[lines.sample]
    without_lines = np.where(lines.counts == 0, lowest, 0.0)
    alpha = x.config.alpha
    return x.at_tokens(lines.token, alpha * share * lowest[lines.sample]) + x.at_end(x.outcome + alpha * without_lines)


def clip_delta(x: RewardInputs, *, eta: Annotated[float, Bounds(low=-1, high=1)] = 0.0) -> Floats:
    """``o``, and the difference of clipped scores: ``c_i = min(s_i - eta, 0)``, ``c_i - c_{i+1}`` at ``T_i``.

    After Gao et al. (2024): the undiscounted return from a line on is that line's own ``c_i``, so sums of scores never
    build up. The whole program's return is then that of its *first* line, and a filler line with a high score placed
    first would raise it. Here the first ``c`` is the minimum of all; the others are as published.
    """
    lines = x.scored()
    c = np.minimum(lines.s - eta, 0.0)
    c = np.where(lines.is_first, lines.minimum(c, 0.0)[lines.sample], c)
    return x.at_end(x.outcome) + x.at_tokens(lines.token, x.config.alpha * (c - lines.following(c, 0.0)))


def potential(x: RewardInputs) -> Floats:
    """``o``, and ``gamma Phi_i - Phi_{i-1}`` with ``Phi = alpha p`` of the last complete line (Ng et al. 1999).

    ``Phi`` is 0 before the first line and after the last token, so the differences cancel over every program and the
    optimal policy does not change. They are paid at every token, so that they also cancel for ``gamma < 1``, where
    discounting is per token; for ``gamma = 1`` they are nonzero at line ends only.
    """
    lines = x.scored()
    starts = x.batch.token_offsets[:-1]
    last_line = np.full(len(x.batch.tokens), -1, dtype=np.int64)
    last_line[lines.token] = np.arange(len(lines.token))
    last_line = np.maximum.accumulate(last_line) if len(last_line) else last_line
    own = np.repeat(lines.offsets[:-1], x.batch.response_lengths)
    after = np.where(last_line >= own, np.append(lines.p, 0.0)[last_line], 0.0)
    some = x.batch.response_lengths > 0
    after[x.last_token[some]] = 0.0
    before = np.concatenate([[0.0], after[:-1]])[: len(after)]
    before[starts[some]] = 0.0
    differences: Floats = x.gamma * after - before
    return x.at_end(x.outcome) + x.config.alpha * differences


def _mean_part(x: RewardInputs, where: Bools) -> Floats:
    """``alpha`` times the mean score of a program treated as ``K = config.lines`` lines, paid in the samples ``where``.

    Of a program with more than ``K`` scored lines, the ``K`` lowest count. A shorter one is filled up to ``K`` with
    lines that are right if the tests pass (nothing is missing) and wrong if they fail. So padding cannot raise the mean
    of a right program, nor of a failure with ``K`` lines, and stopping early lowers it. A line pays its shortfall
    ``(s_i - 1) / K`` at ``T_i``; the last token pays the rest. With exactly ``K`` lines the total is the plain mean.
    """
    lines = x.scored()
    size = x.config.lines
    shortfall = np.where((lines.rank < size) & where[lines.sample], (lines.s - 1) / size, 0.0)
    missing = np.maximum(size - lines.counts, 0)
    rest = np.where(x.ok, 1.0, 1.0 - 2.0 * missing / size)
    mean: Floats = x.at_tokens(lines.token, shortfall) + x.at_end(np.where(where, rest, 0.0))
    return x.config.alpha * mean
