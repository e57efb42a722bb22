"""Quality of line scores on labelled programs: finding wrong lines, first errors, and intervals over problems.

Ranking and calibration of single scores are in ``calibration``. Columns are flat, one program after the other;
``offsets`` (int64 ``[programs + 1]``) holds where each program's lines start.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the 95% interval of a bootstrap over problems."""

    value: float
    low: float
    high: float


def average_precision(scores: Floats, wanted: Bools) -> float:
    """Mean over the wanted items of the precision among all items with at least the same score; nan without wanted
    items.

    This is the area under the stepwise precision-recall curve, with ties grouped. A constant score gives the share of
    wanted items. For wrong lines, pass ``-p`` and ``labels == 0``.
    """
    hits = np.asarray(wanted, dtype=np.bool_)
    if not hits.any():
        return float("nan")
    values, place = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
    found = np.bincount(place, weights=hits, minlength=len(values))
    taken = np.bincount(place, minlength=len(values))
    precision = np.cumsum(found) / np.cumsum(taken)
    return float((precision * found).sum() / found.sum())


def blamed_lines(scores: Floats, candidates: Bools, offsets: Ints, theta: float = 0.5) -> Ints:
    """For each program, the line that the scores locate: the first candidate below ``theta``, else the lowest one.

    With ``theta=-inf`` it is always the lowest.

    Returns:
        int64 ``[programs]``, indices into the program's own lines; -1 for a program without candidates.
    """
    blamed = np.full(len(offsets) - 1, -1, dtype=np.int64)
    for program, (start, stop) in enumerate(pairwise(offsets)):
        places = np.flatnonzero(candidates[start:stop])
        if len(places):
            mine = scores[start:stop][places]
            below = np.flatnonzero(mine < theta)
            blamed[program] = places[below[0] if len(below) else int(np.argmin(mine))]
    return blamed


def share_by_value(known: Ints, labels: Floats, values: Ints) -> NDArray[np.float64]:
    """A baseline's score: for each of ``values`` the mean label of the known items with that value.

    Smoothed by one item with the mean label of all, which is also the score of an unknown value.
    """
    mean = float(np.mean(labels))
    kinds, place = np.unique(known, return_inverse=True)
    counts = np.bincount(place, minlength=len(kinds))
    shares = (np.bincount(place, weights=labels, minlength=len(kinds)) + mean) / (counts + 1)
    at = np.clip(np.searchsorted(kinds, values), 0, len(kinds) - 1)
    return np.where(kinds[at] == values, shares[at], mean)


def over_problems(
    problems: Ints, statistic: Callable[[NDArray[np.int64]], float], *, repeats: int = 1000, seed: int = 0
) -> Interval:
    """A statistic of items with the percentile interval of a bootstrap that draws whole problems.

    Items of one problem are not independent: variants of one reference share most of their lines.

    Args:
        problems: ``[items]``, the problem of each item.
        statistic: computed from the items with the given indices, which may repeat; draws that give nan are ignored.
        repeats: number of draws.
        seed: seed of the draws.
    """
    value = statistic(np.arange(len(problems)))
    _, place = np.unique(problems, return_inverse=True)
    members = np.split(np.argsort(place, kind="stable"), np.cumsum(np.bincount(place))[:-1])
    draws = np.random.default_rng(seed).integers(len(members), size=(repeats, len(members)))
    drawn = np.array([statistic(np.concatenate([members[i] for i in draw])) for draw in draws])
    drawn = drawn[~np.isnan(drawn)]
    low, high = np.quantile(drawn, [0.025, 0.975]) if len(drawn) else (float("nan"), float("nan"))
    return Interval(float(value), float(low), float(high))
