"""Shapings that pay one line of a failure: the tests decide that a program is wrong, and another source names the
line."""

from __future__ import annotations

import numpy as np

from prl_ray.rewards.inputs import Bools, Floats, Ints, RewardInputs


def first_error(x: RewardInputs) -> Floats:
    """``o`` at the last token, and for a failure ``-alpha`` at its first line with ``p < theta``, if there is one."""
    lines = x.scored()
    found = lines.first_where(lines.p < x.config.theta)
    at = lines.token[found[~x.ok & (found >= 0)]]
    return x.at_end(x.outcome) + x.at_tokens(at, np.full(len(at), -x.config.alpha))


def located(x: RewardInputs) -> Floats:
    """The outcome sets sign and size, the reward model the place: a failure's ``o`` is paid at its first line with ``p
    < theta``, or at the end if there is none. A pass is paid at the end. Tokens after a failure's located line earn
    nothing and are not trained on (``Shaping.counted``)."""
    some = np.flatnonzero(x.batch.response_lengths)
    return x.at_tokens(_settled(x)[some], x.outcome[some])


def counted_tokens(x: RewardInputs) -> Bools:
    """bool ``[tokens]``: the tokens up to and including the one at which ``located`` pays. The rest of a failure is not
    evidence."""
    return np.arange(len(x.batch.tokens)) <= np.repeat(_settled(x), x.batch.response_lengths)


def error_line(x: RewardInputs) -> Floats:
    """``o`` at the last token, and ``-1`` at the line in the failing test's traceback. Needs no model."""
    batch = x.batch
    named = np.flatnonzero(~x.ok & (x.verdicts.error_line >= 0))
    if (x.verdicts.error_line[named] >= np.diff(batch.line_offsets)[named]).any():
        raise ValueError("a verdict names a line that its sample does not have")
    at = batch.global_line_ends[batch.line_offsets[named] + x.verdicts.error_line[named]]
    return x.at_end(x.outcome) + x.at_tokens(np.asarray(at, dtype=np.int64), np.full(len(named), -1.0))


def _settled(x: RewardInputs) -> Ints:
    """int64 ``[samples]``: the token at which ``located`` pays."""
    lines = x.scored()
    found = lines.first_where(lines.p < x.config.theta)
    early = ~x.ok & (found >= 0)
    settled = x.last_token.copy()
    settled[early] = lines.token[found[early]]
    return settled
