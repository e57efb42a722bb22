"""Advantages that compare lines at equal prefix: pure functions on flat ragged columns.

A *locator* (``prl_ray.credit.locators``) or the execution of prefixes gives the first wrong line of each failing
program. The functions here turn it into credit:

- ``line_group`` compares each line with the prompt's other samples that reach it with all lines before it right
- ``gate`` the outcome's advantage, for a failure on its first wrong line only; line groups where nothing passed
The functions give one advantage per line or per token. Lines after the first wrong one get 0: they are no evidence.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
T = TypeVar("T", bound=np.generic)

UNKNOWN = -1
"""In ``LineCredit.wrong``: the sample fails at an unknown line. In ``LineCredit.states``: the state is unknown."""
START = -2
"""Place of a sample's first line if lines are compared at equal states."""
PARTS = ("both", "mixed", "failing")
"""Groups to which the gate gives located credit: all, those with passes and failures, or those without a pass."""


@dataclass(frozen=True, slots=True)
class LineCredit:
    """Inputs of line estimators. Axes: samples; lines (flat, of all samples)."""

    offsets: Ints
    """int64 ``[samples + 1]`` into the line axis."""
    ends: Ints
    """int64 ``[lines]``: index of each line's last token on the flat token axis; non-decreasing within a sample."""
    counted: Bools
    """bool ``[lines]``: False for neutral lines, which are neither compared nor credited."""
    wrong: Ints
    """int64 ``[samples]``: index, on the sample's own line axis, of its first wrong line; the number of lines if all
    are right; ``UNKNOWN`` if it is not known."""
    ok: Bools
    """bool ``[samples]``: all tests passed."""
    places: Ints | None = None
    """int64 ``[lines]``: lines of one prompt with equal numbers are compared. None for the number of counted lines
    before each, which suits programs of one prompt that do the same step at the same place."""
    proven: Bools | None = None
    """bool ``[samples]``: the lines before the first wrong one are known to be right; None if that holds for all. False
    where the first wrong line fails whatever stands before it."""
    states: Ints | None = None
    """int64 ``[lines]``: equal numbers mean equal values of all variables after the line, within one prompt;
    ``UNKNOWN`` if not known. Read by ``state_anchor`` only."""
    values: Floats | None = None
    """float64 ``[lines]``: share of the policy's completions of the lines up to this one that pass; NaN if not known.
    Read by ``vine`` only."""

    @property
    def sample(self) -> Ints:
        """int64 ``[lines]``: the sample that each line belongs to."""
        return np.repeat(np.arange(len(self.wrong)), np.diff(self.offsets))

    @property
    def index(self) -> Ints:
        """int64 ``[lines]``: index on the sample's own line axis."""
        return np.arange(int(self.offsets[-1])) - self.offsets[:-1][self.sample]

    @property
    def depth(self) -> Ints:
        """int64 ``[lines]``: counted lines of the sample before this one."""
        before = np.concatenate([[0], np.cumsum(self.counted)])
        depth: Ints = before[:-1] - before[self.offsets[:-1]][self.sample]
        return depth

    def at_equal_state(self) -> LineCredit:
        """A copy whose places are the states before the lines: programs that do the same thing at different lines are
        then compared at equal values. A line with an unknown state before it is compared with no other line of its
        prompt. Raises ``ValueError`` without states."""
        if self.states is None:
            raise ValueError("lines cannot be compared at equal states: this batch has no states")
        before = np.concatenate([[UNKNOWN], self.states[:-1]])[: len(self.states)]
        alone = -10 - np.arange(len(before))  # below every number of a state
        places = np.where(before == UNKNOWN, alone, before)
        places[self.index == 0] = START
        return replace(self, places=places)

    @property
    def reached(self) -> Bools:
        """bool ``[lines]``: counted, and not after the first wrong line, which is known."""
        wrong = self.wrong[self.sample]
        reached: Bools = self.counted & (wrong != UNKNOWN) & (self.index <= wrong)
        return reached

    @property
    def first_wrong(self) -> Bools:
        """bool ``[lines]``: the first wrong line of its sample."""
        first: Bools = self.counted & (self.index == self.wrong[self.sample])
        return first

    @property
    def evident(self) -> Bools:
        """bool ``[lines]``: known to be right or wrong, given that it is ``reached``."""
        if self.proven is None:
            return np.ones(len(self.ends), dtype=np.bool_)
        evident: Bools = self.proven[self.sample] | self.first_wrong
        return evident


@dataclass(frozen=True, slots=True)
class Comparison:
    """The numbers behind ``line_group``. Axis: lines; 0 and False for lines that are not ``reached``."""

    reached: Bools
    """bool ``[lines]``: compared, since no line before it is known to be wrong."""
    y: Floats
    """float64 ``[lines]``: 0 for the first wrong line, 1 for the lines before it."""
    baseline: Floats
    """float64 ``[lines]``: mean ``y`` of the others; the line's own ``y`` if there are none."""
    others: Ints
    """int64 ``[lines]``: number of others."""
    by_depth: Bools
    """bool ``[lines]``: the others are the lines of equal depth in the whole batch."""


def compare(lines: LineCredit, prompt_ids: Ints, valid: Bools) -> Comparison:
    """Compares each reached line with the other samples of its prompt that reach a line at the same place. A line that
    no other sample reaches is compared with the other lines of equal depth in the whole batch."""
    sample = lines.sample
    reached = lines.reached & valid[sample]
    at = np.flatnonzero(reached)
    y = (~lines.first_wrong[at]).astype(np.float64)
    depth = lines.depth[at]
    place = depth if lines.places is None else lines.places[at]
    others, count = _mean_of_others(y, numbered(prompt_ids[sample[at]], place))
    by_depth, deep = _mean_of_others(y, numbered(depth))
    alone = count == 0
    baseline = np.where(~alone, others, np.where(deep > 0, by_depth, y))
    counts = np.where(alone, deep, count)
    y, baseline, counts, alone = (_placed_at(at, len(sample), column) for column in (y, baseline, counts, alone))
    return Comparison(reached, y, baseline, counts, alone)


def line_group(lines: LineCredit, prompt_ids: Ints, valid: Bools) -> Floats:
    """``y - mean of the others' y`` of every reached line, float64 ``[lines]``; 0 for all other lines.

    A line that is not known to be right (``LineCredit.proven``) gets 0 as well. It stays one of the others: its sample
    has not failed there.
    """
    found = compare(lines, prompt_ids, valid)
    return np.where(lines.evident, found.y - found.baseline, 0.0)


def gate(
    outcome: Floats, lines: LineCredit, prompt_ids: Ints, valid: Bools, token_offsets: Ints, *, weight: float, part: str
) -> Floats:
    """Outcome credit narrowed to located lines, float64 ``[tokens]``.

    ``outcome`` is each sample's advantage by the outcome, float64 ``[samples]``. In a group with passes and failures, a
    pass gets it on all tokens, a failure on the tokens of its first wrong line only, or on all tokens if that line is
    unknown. A group without a pass gets ``weight`` times ``line_group``. ``part`` (one of ``PARTS``) omits one of the
    two kinds: ``mixed`` gives groups without a pass nothing, ``failing`` leaves mixed groups to the plain outcome.
    """
    mixed = group_kinds(lines.ok, prompt_ids, valid) == MIXED
    silent = group_kinds(lines.ok, prompt_ids, valid) == FAILING
    narrowed = ~lines.ok & (lines.wrong != UNKNOWN) & (part != "failing")
    whole = np.where(valid & mixed & ~narrowed, outcome, 0.0)
    sample = lines.sample
    at_line = np.where(lines.first_wrong & (valid & mixed & narrowed)[sample], outcome[sample], 0.0)
    if part != "mixed":
        at_line += np.where(silent[sample], weight * line_group(lines, prompt_ids, valid), 0.0)
    return np.repeat(whole, np.diff(token_offsets)) + on_tokens(lines, at_line, token_offsets)


def on_tokens(lines: LineCredit, advantages: Floats, token_offsets: Ints) -> Floats:
    """Each line's advantage on all of its tokens, float64 ``[tokens]``.

    A line's tokens are those after the previous line, up to its own last token. Lines that end in the same token share
    it, and their advantages add up there. Tokens after a sample's last line get 0.
    """
    first = np.empty(len(lines.ends), dtype=np.int64)
    if len(first):
        first[1:] = lines.ends[:-1] + 1
        some = np.diff(lines.offsets) > 0
        first[lines.offsets[:-1][some]] = token_offsets[:-1][some]
    first = np.minimum(first, lines.ends)
    lengths = lines.ends - first + 1
    starts = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.arange(starts[-1]) - np.repeat(starts[:-1] - first, lengths)
    return np.bincount(tokens, np.repeat(advantages, lengths), int(token_offsets[-1])).astype(np.float64)


PASSING, MIXED, FAILING, EMPTY = 0, 1, 2, 3


def group_kinds(ok: Bools, prompt_ids: Ints, valid: Bools) -> Ints:
    """For each sample, whether its prompt's valid samples all pass, are mixed, or all fail; int64 ``[samples]``.
    ``EMPTY`` if the prompt has no valid sample.
    """
    _, group = np.unique(prompt_ids, return_inverse=True)
    passed = np.bincount(group, ok & valid, len(ok)) > 0
    failed = np.bincount(group, ~ok & valid, len(ok)) > 0
    kinds = np.select([passed & failed, passed, failed], [MIXED, PASSING, FAILING], EMPTY)
    return kinds[group]


def credit_shares(advantages: NDArray[np.floating], kinds: Ints, token_offsets: Ints) -> dict[str, float]:
    """Share of each kind of group in the sum of absolute advantages.

    ``kinds`` are those of ``group_kinds``.
    """
    size = np.abs(advantages, dtype=np.float64)
    by_kind = np.bincount(np.repeat(kinds, np.diff(token_offsets)), size, EMPTY + 1)
    total = float(by_kind.sum())
    passing, mixed, failing, _ = by_kind / total if total else by_kind
    return {
        "line/credit_passing": float(passing),
        "line/credit_mixed": float(mixed),
        "line/credit_failing": float(failing),
    }


def _placed_at(at: Ints, size: int, column: NDArray[T]) -> NDArray[T]:
    """``[size]``: the column's values at the given places, 0 elsewhere."""
    found = np.zeros(size, column.dtype)
    found[at] = column
    return found


def numbered(*columns: Ints) -> Ints:
    """One number for each distinct row of the columns."""
    _, numbers = np.unique(np.stack(columns), axis=1, return_inverse=True)
    return np.asarray(numbers, dtype=np.int64).reshape(-1)


def _mean_of_others(y: Floats, group: Ints) -> tuple[Floats, Ints]:
    """Mean of the group's other items, and their number; 0 if there are none."""
    count = np.bincount(group)[group] - 1 if len(group) else np.zeros(0, dtype=np.int64)
    total = np.bincount(group, y)[group] - y if len(group) else np.zeros(0)
    return total / np.maximum(count, 1), count
