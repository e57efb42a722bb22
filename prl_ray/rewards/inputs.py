"""The inputs of shapings, and the ragged operations that all shapings use."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from prl_ray.errors import ConfigError
from prl_ray.rewards.config import RewardConfig
from prl_ray.trajectory import STATUSES, TrajectoryBatch, Verdicts
from sandbox_workers import UNDECIDED

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Which samples count as passed and failed. Axis: samples."""

    valid: Bools
    """bool: the verdict is about the program, and the program is not masked for truncation."""
    ok: Bools
    """bool: all tests passed, and the program does not count as failed for truncation."""

    @classmethod
    def of(cls, verdicts: Verdicts, finished: Bools, truncated: str) -> Outcomes:
        """The outcomes of samples that are ``finished`` (bool) or truncated by the length limit, under
        ``reward.truncated``."""
        return cls(
            np.asarray(verdicts.valid & (finished | (truncated != "mask"))),
            np.asarray(verdicts.ok & (finished | (truncated != "fail"))),
        )

    @property
    def failed(self) -> Bools:
        """bool: there is an outcome, and it is no pass."""
        return self.valid & ~self.ok

    @property
    def passed(self) -> Bools:
        """bool: there is an outcome, and it is a pass."""
        return self.valid & self.ok


@dataclass(frozen=True, slots=True)
class ScoredLines:
    """The scored lines of a batch: all but the neutral ones, ends included. Axis: scored lines.

    A truncated program has no end to score. It gets one at its last token with ``p = 0``: the policy did not choose to
    stop there, so running into the limit must not be worth more than a real end.
    """

    sample: Ints
    """int64: the sample of each line; ascending."""
    token: Ints
    """``T_i``, int64: index of the line's last token on the flat token axis."""
    p: Floats
    """float64: the reward model's probability that the line is right."""
    counts: Ints
    """int64 ``[samples]``: ``k``, the scored lines of each sample."""

    @property
    def s(self) -> Floats:
        """``2p - 1``, in [-1, 1]."""
        return 2 * self.p - 1

    @property
    def offsets(self) -> Ints:
        """int64 ``[samples + 1]``: offset of each sample's first scored line."""
        return np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)

    def total(self, values: Floats) -> Floats:
        """Sum over each sample's lines ``[samples]``."""
        return np.bincount(self.sample, values, len(self.counts)).astype(np.float64)

    def minimum(self, values: Floats, empty: Floats | float) -> Floats:
        """Minimum over each sample's lines ``[samples]``; ``empty`` for a sample without lines."""
        least = np.full(len(self.counts), np.inf)
        np.minimum.at(least, self.sample, values)
        return np.where(self.counts > 0, least, empty)

    def running_total(self, values: Floats) -> Floats:
        """Cumulative sum over the lines of each sample, float64 ``[lines]``."""
        summed = np.concatenate([[0.0], np.cumsum(values)])
        return np.asarray(summed[1:] - summed[self.offsets[:-1]][self.sample])

    def previous(self, values: Floats, first: float) -> Floats:
        """The value of the previous line; ``first`` at each sample's first line."""
        shifted = np.concatenate([[first], values[:-1]])[: len(values)]
        return np.where(self.is_first, first, shifted)

    def following(self, values: Floats, last: float) -> Floats:
        """The value of the next line; ``last`` at each sample's last line."""
        shifted = np.concatenate([values[1:], [last]])[: len(values)]
        return np.where(np.append(self.is_first[1:], True)[: len(values)], last, shifted)

    @property
    def is_first(self) -> Bools:
        """bool ``[lines]``: the first line of each sample."""
        return np.asarray(np.diff(self.sample, prepend=-1) != 0)

    @property
    def rank(self) -> Ints:
        """Rank of the line among its sample's lines by ascending ``p``, from 0; ties in order of appearance."""
        order = np.lexsort((np.arange(len(self.p)), self.p, self.sample))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order)) - self.offsets[:-1][self.sample]
        return rank

    def first_where(self, condition: Bools) -> Ints:
        """Index of each sample's first line with ``condition``, -1 if there is none; int64 ``[samples]``."""
        found = np.full(len(self.counts), -1, dtype=np.int64)
        hits = np.flatnonzero(condition)[::-1]
        found[self.sample[hits]] = hits  # the last write to an index wins: the earliest line
        return found


@dataclass(frozen=True, slots=True)
class RewardInputs:
    """One batch with its verdicts, its scores and the settings: the inputs of shapings and controls.

    Raises ``ValueError`` if the columns' lengths do not match, or the score of a scored line is not in [0, 1].
    """

    batch: TrajectoryBatch
    verdicts: Verdicts
    line_scores: NDArray[np.floating] | None = None
    """float32 ``[lines]``: ``p_i`` in [0, 1]; values at neutral lines are ignored. None without a PRM."""
    orm_scores: NDArray[np.floating] | None = None
    """float32 ``[samples]``: the ORM's probability that the tests pass. None without an ORM."""
    config: RewardConfig = field(default_factory=RewardConfig)
    gamma: float = 1.0
    """The discount per token, the same as the advantage estimator's; in (0, 1]. ``potential`` reads it."""

    def __post_init__(self) -> None:
        samples = len(self.batch)
        if len(self.verdicts.status) != samples:
            raise ValueError(f"{len(self.verdicts.status)} verdicts for {samples} samples")
        if self.line_scores is not None:
            if len(self.line_scores) != len(self.batch.line_ends):
                raise ValueError(f"{len(self.line_scores)} line scores for {len(self.batch.line_ends)} lines")
            _check_probabilities("line scores", self.line_scores[~self.batch.line_neutral])
        if self.orm_scores is not None:
            if len(self.orm_scores) != samples:
                raise ValueError(f"{len(self.orm_scores)} ORM scores for {samples} samples")
            _check_probabilities("ORM scores", self.orm_scores)
        if not 0 < self.gamma <= 1:
            raise ConfigError(f"algorithm.gamma={self.gamma} must be within (0, 1]: rewards are discounted by it")

    @property
    def valid(self) -> Bools:
        """bool ``[samples]``, see ``Outcomes.valid``. Other samples get reward 0 from every shaping and are excluded
        from baselines and losses."""
        return self._outcomes.valid

    @property
    def cut_off(self) -> Bools:
        """bool ``[samples]``: the length limit truncated the program."""
        return np.asarray(~self.batch.finished)

    @property
    def ok(self) -> Bools:
        """bool ``[samples]``, see ``Outcomes.ok``."""
        return self._outcomes.ok

    @property
    def _outcomes(self) -> Outcomes:
        return Outcomes.of(self.verdicts, self.batch.finished, self.config.truncated)

    @property
    def outcome(self) -> Floats:
        """``o``, float64 ``[samples]``, on the configured scale; 0 after a sandbox error. A program that passes its
        tests but counts as failed for truncation has the outcome of a wrong answer."""
        c = self.config
        scale = dict.fromkeys(STATUSES, c.runtime_error)
        scale |= {"passed": c.passed, "wrong_answer": c.failed, "compile_error": c.compile_error}
        scale |= dict.fromkeys(UNDECIDED, 0.0)
        o = np.array([scale[status] for status in STATUSES])[self.verdicts.status]
        return np.where(self.verdicts.ok & ~self.ok, c.failed, o)

    @property
    def last_token(self) -> Ints:
        """int64 ``[samples]``: flat index of each response's last token; meaningless for an empty response."""
        return np.asarray(self.batch.token_offsets[1:] - 1, dtype=np.int64)

    def scored(self) -> ScoredLines:
        """The scored lines. Raises ``ConfigError`` without line scores."""
        if self.line_scores is None:
            raise ConfigError("this reward shaping needs line scores: add a process reward model to the run")
        batch = self.batch
        counted = np.flatnonzero(~batch.line_neutral)
        sample = np.repeat(np.arange(len(batch)), np.diff(batch.line_offsets))[counted]
        missing = np.flatnonzero(self.cut_off & (batch.response_lengths > 0))
        sample = np.concatenate([sample, missing])
        order = np.argsort(sample, kind="stable")  # the missing ends come last in their samples
        token = np.concatenate([batch.global_line_ends[counted], self.last_token[missing]])
        p = np.concatenate([self.line_scores[counted].astype(np.float64), np.zeros(len(missing))])
        return ScoredLines(
            sample=sample[order],
            token=np.asarray(token[order], dtype=np.int64),
            p=p[order],
            counts=np.bincount(sample, minlength=len(batch)).astype(np.int64),
        )

    def metrics(self) -> dict[str, float]:
        """Shares of truncated programs, and of samples without a reward.

        - ``reward/truncated``: share of the samples that the length limit truncated;
        - ``reward/truncated_passed``: share that is truncated and still passes its tests;
        - ``reward/masked``: share without a reward: the verdict is lost, or the program is truncated and
          ``truncated=mask``.
        """
        if len(self.batch) == 0:
            return {}
        return {
            "reward/truncated": float(self.cut_off.mean()),
            "reward/truncated_passed": float((self.cut_off & self.verdicts.ok).mean()),
            "reward/masked": float((~self.valid).mean()),
        }

    def at_end(self, amounts: Floats) -> Floats:
        """Rewards float64 ``[tokens]`` that pay ``amounts`` ``[samples]`` at each sample's last token."""
        some = np.flatnonzero(self.batch.response_lengths)
        return self.at_tokens(self.last_token[some], amounts[some])

    def at_tokens(self, tokens: Ints, amounts: Floats) -> Floats:
        """Rewards float64 ``[tokens]`` that pay ``amounts`` at ``tokens`` (flat indices; repeated ones add up)."""
        return np.bincount(tokens, amounts, len(self.batch.tokens)).astype(np.float64)


def _check_probabilities(what: str, scores: NDArray[np.floating]) -> None:
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"{what} must be probabilities in [0, 1]")
