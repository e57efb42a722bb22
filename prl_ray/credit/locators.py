"""Locators by name: from what is known of a batch to the first wrong line of each failure.

``LOCATORS`` is the registry. A locator answers for failures only; the tests decide what is one. New ones are a function
of ``LocatorInputs`` and a line in the registry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.supervision.quality import blamed_lines
from prl_ray.trajectory import TrajectoryBatch, Verdicts

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
Need = Literal["nothing", "execution", "prm"]


@dataclass(frozen=True, slots=True)
class LocatorParams:
    """The numbers of the locators. Raises ``ConfigError`` for values out of their range."""

    threshold: float = 0.5
    """``surprise``: a token to which the sampler gave less than this probability is surprising; in (0, 1]."""
    theta: float = 0.5
    """``prm``: the first line with a score below this is the error, the lowest one where none is; in [0, 1]."""
    place: int = 1
    """``place``: the line that is named, from the first (0, 1, …) or from the last (-1, -2, …), the end included."""
    rule: tuple[float, float, float] = (-1.0, -1.5, -1.0)
    """``surprise_prm``: bias and weights of a line's least log-probability and of the PRM's log-odds, of the log-odds
    that the line is wrong where all before it is right. ``benchmarks/prm_rollouts.py`` fits them."""

    def __post_init__(self) -> None:
        if not (0 < self.threshold <= 1 and 0 <= self.theta <= 1):
            raise ConfigError(
                f"locator threshold={self.threshold}, theta={self.theta}: want within (0, 1] and within [0, 1]"
            )
        if len(self.rule) != 3:
            raise ConfigError(f"locator rule={self.rule}: want three numbers (bias, log-probability, log-odds)")


@dataclass(frozen=True, slots=True)
class LocatorInputs:
    """One batch with what is known of it."""

    batch: TrajectoryBatch
    verdicts: Verdicts
    line_scores: NDArray[np.floating] | None = None
    """float32 ``[lines]``: the PRM's ``p``, in [0, 1]."""
    executed: NDArray[np.integer] | None = None
    """int32 ``[samples]``: what execution found, as ``LineCredit.wrong``."""
    params: LocatorParams = field(default_factory=LocatorParams)
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    """Draws what the controls draw."""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """bool ``[lines]``: all but the neutral ones."""
        return ~self.batch.line_neutral

    @property
    def scores(self) -> NDArray[np.floating]:
        """``line_scores``. Raises ``ConfigError`` where there are none."""
        if self.line_scores is None:
            raise ConfigError("this locator reads line scores: give the run a process reward model")
        return self.line_scores

    def first_where(self, condition: NDArray[np.bool_]) -> Ints:
        """The first counted line of each sample that meets ``condition``, ``UNKNOWN`` where none does."""
        offsets = self.batch.line_offsets
        sample = np.repeat(np.arange(len(self.batch)), np.diff(offsets))
        hits = np.flatnonzero(condition & self.counted)[::-1]
        found = np.full(len(self.batch), UNKNOWN, dtype=np.int64)
        found[sample[hits]] = hits - offsets[:-1][sample[hits]]  # the last write stays: the earliest line
        return found


def exact(x: LocatorInputs) -> Ints:
    """By execution: the first line from which no way leads back (``prl_ray.credit.verdicts``)."""
    if x.executed is None:
        raise ConfigError("locator=exact needs line verdicts, and this batch has none")
    return x.executed.astype(np.int64)


def prm(x: LocatorInputs) -> Ints:
    """The first line that the PRM scores below ``theta``, its lowest one where none is."""
    return blamed_lines(x.scores, x.counted, x.batch.line_offsets, x.params.theta)


def surprise(x: LocatorInputs) -> Ints:
    """The first line with a token to which the sampler gave less than ``threshold``. Needs no model and no verifier
    beyond the outcome, and cannot see what the policy is sure of: such failures stay without a location."""
    return x.first_where(least_logprob(x.batch) < np.log(x.params.threshold))


def surprise_prm(x: LocatorInputs) -> Ints:
    """The line that is most probably the first wrong one, by a rule of the sampler's surprise and the PRM's score.

    The rule gives each line the probability that it is wrong where all before it is right; the product with the
    chances that the lines before it are right is greatest at the answer.
    """
    p = np.clip(x.scores.astype(np.float64), 1e-6, 1 - 1e-6)
    bias, by_surprise, by_score = x.params.rule
    odds = bias + by_surprise * least_logprob(x.batch) + by_score * np.log(p / (1 - p))
    wrong = np.where(x.counted, 1 / (1 + np.exp(-np.clip(odds, -30, 30))), 0.0)
    found = np.full(len(x.batch), UNKNOWN, dtype=np.int64)
    for i, (start, stop) in enumerate(zip(x.batch.line_offsets[:-1], x.batch.line_offsets[1:], strict=True)):
        if x.counted[start:stop].any():
            mine = wrong[start:stop]
            reached = np.concatenate([[1.0], np.cumprod(1 - mine)[:-1]])
            found[i] = int(np.argmax(mine * reached))
    return found


def place(x: LocatorInputs) -> Ints:
    """Control: always the same line, the most frequent one."""
    counts = np.diff(x.batch.line_offsets)
    named = x.params.place if x.params.place >= 0 else counts + x.params.place
    return np.where(counts > 0, np.clip(named, 0, np.maximum(counts - 1, 0)), UNKNOWN).astype(np.int64)


def shuffled(x: LocatorInputs) -> Ints:
    """Control: ``prm`` with the scores of each sample's lines in another order."""
    sample = np.repeat(np.arange(len(x.batch)), np.diff(x.batch.line_offsets))[x.counted]
    at = np.flatnonzero(x.counted)
    scores = x.scores.copy()
    scores[at] = x.scores[at[np.lexsort((x.rng.random(len(at)), sample))]]
    return blamed_lines(scores, x.counted, x.batch.line_offsets, x.params.theta)


def anywhere(x: LocatorInputs) -> Ints:
    """Control: a line of the program at random; what ``exact`` is without the knowledge of where."""
    draws = x.rng.random(len(x.counted))
    return blamed_lines(draws, x.counted, x.batch.line_offsets, -np.inf)


def least_logprob(batch: TrajectoryBatch) -> Floats:
    """The sampler's lowest log-probability of a token of each line, float64 ``[lines]``.

    A line's tokens are those behind the line before it; one that ends in the token of the line before it has that one.
    """
    ends = np.asarray(batch.global_line_ends, dtype=np.int64)
    if not len(ends):
        return np.zeros(0)
    first = np.concatenate([[0], ends[:-1] + 1])
    some = np.diff(batch.line_offsets) > 0
    first[batch.line_offsets[:-1][some]] = batch.token_offsets[:-1][some]
    first = np.minimum(first, ends)
    logprobs = batch.logprobs.astype(np.float64)
    return np.array([logprobs[a : b + 1].min() for a, b in zip(first, ends, strict=True)])


@dataclass(frozen=True, slots=True)
class Locator:
    """A named locator. Call it to get int64 ``[samples]``, as ``LineCredit.wrong``."""

    name: str
    function: Callable[[LocatorInputs], Ints]
    needs: frozenset[Need] = frozenset()

    @property
    def summary(self) -> str:
        """The first paragraph of its documentation, on one line."""
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split())

    def __call__(self, x: LocatorInputs) -> Ints:
        """A failure's first wrong line or ``UNKNOWN``; the number of lines where the tests pass; ``UNKNOWN`` without a
        verdict. Raises ``ConfigError`` where what the locator reads is missing."""
        counts = np.diff(x.batch.line_offsets)
        found = np.where(x.verdicts.ok, counts, self.function(x))
        return np.where(x.verdicts.valid, found, UNKNOWN).astype(np.int64)


LOCATORS: dict[str, Locator] = {
    locator.name: locator
    for locator in (
        Locator("exact", exact, frozenset({"execution"})),
        Locator("surprise", surprise),
        Locator("prm", prm, frozenset({"prm"})),
        Locator("surprise_prm", surprise_prm, frozenset({"prm"})),
        Locator("place", place),
        Locator("shuffled", shuffled, frozenset({"prm"})),
        Locator("anywhere", anywhere),
    )
}


def locator_named(name: str) -> Locator:
    """The locator called ``name``. Raises ``ConfigError`` where there is none."""
    if name not in LOCATORS:
        raise ConfigError(f"unknown locator {name!r}; known: {', '.join(LOCATORS)}")
    return LOCATORS[name]
