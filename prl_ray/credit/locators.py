"""Named locators: each finds the first wrong line of every failing program of a batch.

``LOCATORS`` is the registry. A locator is used for failures only; the tests decide which programs fail. A new one is a
function of ``LocatorInputs`` and a line in the registry, or its import path in ``algorithm.locator``; its keyword-only
arguments are its parameters (``algorithm.locator_params``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.plugins import Bounds, Registry, checked_params
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.supervision.quality import blamed_lines
from prl_ray.trajectory import TrajectoryBatch, Verdicts

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
Need = Literal["nothing", "execution", "prm"]


@dataclass(frozen=True, slots=True)
class LocatorInputs:
    """The inputs of a locator: one batch with verdicts and scores."""

    batch: TrajectoryBatch
    verdicts: Verdicts
    line_scores: NDArray[np.floating] | None = None
    """float32 ``[lines]``: the PRM's ``p``, in [0, 1]."""
    executed: NDArray[np.integer] | None = None
    """int32 ``[samples]``: first wrong lines by execution, as ``LineCredit.wrong``."""
    rng: np.random.Generator = field(default_factory=np.random.default_rng)
    """The random generator of the controls."""

    @property
    def counted(self) -> NDArray[np.bool_]:
        """bool ``[lines]``: all but the neutral ones."""
        return ~self.batch.line_neutral

    @property
    def scores(self) -> NDArray[np.floating]:
        """``line_scores``. Raises ``ConfigError`` if there are none."""
        if self.line_scores is None:
            raise ConfigError("this locator reads line scores: add a process reward model to the run")
        return self.line_scores

    def first_where(self, condition: NDArray[np.bool_]) -> Ints:
        """int64 ``[samples]``: the first counted line with ``condition``; ``UNKNOWN`` if there is none."""
        offsets = self.batch.line_offsets
        sample = np.repeat(np.arange(len(self.batch)), np.diff(offsets))
        hits = np.flatnonzero(condition & self.counted)[::-1]
        found = np.full(len(self.batch), UNKNOWN, dtype=np.int64)
        found[sample[hits]] = hits - offsets[:-1][sample[hits]]  # the last write wins: the earliest line
        return found


def exact(x: LocatorInputs) -> Ints:
    """By execution: the first line after which no completion passes (``prl_ray.credit.verdicts``)."""
    if x.executed is None:
        raise ConfigError("locator=exact needs line verdicts, and this batch has none")
    return x.executed.astype(np.int64)


def prm(x: LocatorInputs, *, theta: Annotated[float, Bounds(low=0, high=1)] = 0.5) -> Ints:
    """The first line that the PRM scores below ``theta``, or the lowest-scoring one if there is none."""
    return blamed_lines(x.scores, x.counted, x.batch.line_offsets, theta)


def surprise(x: LocatorInputs, *, threshold: Annotated[float, Bounds(low=1e-6, high=1)] = 0.5) -> Ints:
    """The first line with a token of probability below ``threshold`` under the sampler. Needs neither a model nor line
    verdicts, but misses confident errors: such failures have no location."""
    return x.first_where(least_logprob(x.batch) < np.log(threshold))


def surprise_prm(
    x: LocatorInputs,
    *,
    bias: float = 1.0,
    by_probability: float = -4.0,
    by_surprise: float = 0.0,
    by_score: float = -0.4,
) -> Ints:
    """The line that is most probably the first wrong one, by a logistic rule of surprise and PRM score.

    The rule gives the probability that a line of a failing program is wrong, given that all lines before it are right.
    Its log-odds are ``bias + by_probability * q + by_surprise * log(q) + by_score * (log-odds of the PRM)``, with ``q``
    the lowest probability of its tokens under the sampler. The located line maximises the product of this probability
    and the probabilities that the lines before it are right. ``prl_ray.credit.rule`` fits the parameters, but leaves
    ``by_surprise`` at 0: below one half, lines differ little in how often they are wrong. With a larger ``bias``,
    earlier lines are located, right ones among them.
    """
    least, offsets = least_logprob(x.batch), x.batch.line_offsets
    rule = {"bias": bias, "by_probability": by_probability, "by_surprise": by_surprise, "by_score": by_score}
    return likeliest_first_error(least, x.scores, x.counted, offsets, **rule)


def likeliest_first_error(
    least_logprobs: NDArray[np.floating],
    scores: NDArray[np.floating],
    counted: NDArray[np.bool_],
    offsets: Ints,
    *,
    bias: float,
    by_probability: float,
    by_score: float,
    by_surprise: float = 0.0,
) -> Ints:
    """The line that ``surprise_prm`` locates in each program, int64 ``[programs]``; ``UNKNOWN`` without counted lines.

    The columns are flat ``[lines]``, program by program; ``offsets`` holds the start of each program's lines.
    """
    p = np.clip(scores.astype(np.float64), 1e-6, 1 - 1e-6)
    surprise = by_probability * np.exp(least_logprobs) + by_surprise * least_logprobs
    odds = bias + surprise + by_score * np.log(p / (1 - p))
    wrong = np.where(counted, 1 / (1 + np.exp(-np.clip(odds, -30, 30))), 0.0)
    found = np.full(len(offsets) - 1, UNKNOWN, dtype=np.int64)
    for i, (start, stop) in enumerate(pairwise(offsets)):
        if counted[start:stop].any():
            mine = wrong[start:stop]
            reached = np.concatenate([[1.0], np.cumprod(1 - mine)[:-1]])
            found[i] = int(np.argmax(mine * reached))
    return found


def place(x: LocatorInputs, *, line: int = 1) -> Ints:
    """Control: always the same line, from the first (0, 1, …) or from the last (-1, -2, …), the end included."""
    counts = np.diff(x.batch.line_offsets)
    named = line if line >= 0 else counts + line
    return np.where(counts > 0, np.clip(named, 0, np.maximum(counts - 1, 0)), UNKNOWN).astype(np.int64)


def shuffled(x: LocatorInputs, *, theta: Annotated[float, Bounds(low=0, high=1)] = 0.5) -> Ints:
    """Control: ``prm`` with each sample's line scores permuted at random."""
    sample = np.repeat(np.arange(len(x.batch)), np.diff(x.batch.line_offsets))[x.counted]
    at = np.flatnonzero(x.counted)
    scores = x.scores.copy()
    scores[at] = x.scores[at[np.lexsort((x.rng.random(len(at)), sample))]]
    return blamed_lines(scores, x.counted, x.batch.line_offsets, theta)


def anywhere(x: LocatorInputs) -> Ints:
    """Control: a random line of the program: ``exact`` without the location."""
    draws = x.rng.random(len(x.counted))
    return blamed_lines(draws, x.counted, x.batch.line_offsets, -np.inf)


def least_logprob(batch: TrajectoryBatch) -> Floats:
    """The lowest log-probability that the sampler gave a token of each line, float64 ``[lines]``."""
    spans = zip(batch.global_line_starts, batch.global_line_ends, strict=True)
    logprobs = batch.logprobs.astype(np.float64)
    return np.array([logprobs[first : last + 1].min() for first, last in spans], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Locator:
    """A named locator, and the inputs that it needs."""

    name: str
    function: Callable[..., Ints]
    """From ``LocatorInputs``; its keyword-only arguments are its parameters (``algorithm.locator_params``)."""
    needs: Need = "nothing"
    """Inputs needed in addition to samples and verdicts: nothing, line verdicts, or the PRM's scores."""

    @property
    def summary(self) -> str:
        """The first paragraph of the docstring, on one line."""
        return " ".join((self.function.__doc__ or "").split("\n\n")[0].split())

    def check_params(self, given: Mapping[str, object]) -> dict[str, object]:
        """``algorithm.locator_params`` as keyword arguments. Raises ``ConfigError`` if they are invalid."""
        return checked_params(self.function, given, "algorithm.locator_params")

    def __call__(self, x: LocatorInputs, params: Mapping[str, object] | None = None) -> Ints:
        """int64 ``[samples]``, as ``LineCredit.wrong``: a failure's first wrong line or ``UNKNOWN``; the number of
        lines if the tests pass; ``UNKNOWN`` without a verdict. Raises ``ConfigError`` if an input is missing."""
        counts = np.diff(x.batch.line_offsets)
        found = np.where(x.verdicts.ok, counts, self.function(x, **self.check_params(params or {})))
        return np.where(x.verdicts.valid, found, UNKNOWN).astype(np.int64)


def locator(*, needs: Need = "nothing") -> Callable[[Callable[..., Ints]], Locator]:
    """Decorator that makes a function of ``LocatorInputs`` a :class:`Locator`, which a configuration selects by its
    import path or an entry point."""

    def decorate(function: Callable[..., Ints]) -> Locator:
        return Locator(function.__name__, function, needs)

    return decorate


LOCATORS: Registry[Locator] = Registry(
    "locator",
    "prl_ray.locators",
    {
        "exact": Locator("exact", exact, "execution"),
        "surprise": Locator("surprise", surprise),
        "prm": Locator("prm", prm, "prm"),
        "surprise_prm": Locator("surprise_prm", surprise_prm, "prm"),
        "place": Locator("place", place),
        "shuffled": Locator("shuffled", shuffled, "prm"),
        "anywhere": Locator("anywhere", anywhere),
    },
    accepts=lambda found: isinstance(found, Locator),
    how="decorate the function with @prl_ray.credit.locators.locator(needs=...)",
)
"""Name -> locator."""
