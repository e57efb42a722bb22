"""Deterministic assignment of samples to mini-batches, ranks and micro-batches, by sample index.

The nesting is: a step's samples -> mini-batches (one optimizer step each; independent of the number of ranks) -> ranks
(balanced by tokens) -> micro-batches (padded size within a token budget; the same number on every rank, since a rank
with fewer would leave the others waiting in a collective). ``collate`` lays the rows of a micro-batch out as tensors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.integer]
Rows = NDArray[np.int64]
"""int64 sample indices."""


def minibatches(samples: int, size: int, seed: int) -> list[Rows]:
    """Shuffled mini-batches of ``size`` samples; the last one may be smaller. Depends only on the arguments."""
    if size < 1:
        raise ValueError(f"a mini-batch needs at least one sample, got size {size}")
    order = np.random.default_rng(seed).permutation(samples).astype(np.int64)
    return [order[start : start + size] for start in range(0, samples, size)]


def plan(lengths: IntArray | Sequence[int], budget: int, *, packed: bool = False) -> list[Rows]:
    """Micro-batches whose padded size, ``samples * longest``, is within ``budget`` tokens; ``packed``, without padding,
    the sum of their lengths.

    Samples are sorted by length, longest first (so that the largest micro-batch, which decides the peak memory, runs
    first), and cut greedily. A sample longer than the budget gets a separate micro-batch. Returns indices into
    ``lengths``.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    order = np.argsort(-sizes, kind="stable")
    batches: list[Rows] = []
    start = 0
    while start < len(order):
        if packed:
            fitting = int(np.searchsorted(np.cumsum(sizes[order[start:]]), budget, side="right"))
        else:
            fitting = budget // max(int(sizes[order[start]]), 1)
        stop = start + max(fitting, 1)
        batches.append(order[start:stop].astype(np.int64))
        start = stop
    return batches


def shard(lengths: IntArray | Sequence[int], ranks: int) -> list[Rows]:
    """Samples of each rank, balanced by tokens: longest first, each to the rank with the fewest tokens so far (LPT).

    Within a rank the indices ascend. A rank is empty only if there are fewer samples than ranks.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    loads = [(0, 0, rank) for rank in range(ranks)]
    taken: list[list[int]] = [[] for _ in range(ranks)]
    for index in np.argsort(-sizes, kind="stable"):
        # The count breaks ties, so that empty samples are distributed too.
        tokens, count, rank = min(loads)
        taken[rank].append(int(index))
        loads[loads.index((tokens, count, rank))] = (tokens + int(sizes[index]), count + 1, rank)
    return [np.array(sorted(rows), dtype=np.int64) for rows in taken]


def schedule(lengths: IntArray | Sequence[int], ranks: int, budget: int, *, packed: bool = False) -> list[list[Rows]]:
    """Micro-batches of each rank, the same number on all: ``schedule(...)[rank][micro_step]`` indexes ``lengths``.

    A rank that needs fewer micro-batches than the others splits its largest ones; only a rank with too few samples gets
    empty ones at the end, for which the learner runs a forward pass of zero weight.
    """
    sizes = np.asarray(lengths, dtype=np.int64)
    plans = [[rows[batch] for batch in plan(sizes[rows], budget, packed=packed)] for rows in shard(sizes, ranks)]
    steps = max((len(p) for p in plans), default=0)
    return [_stretch(p, sizes, steps) for p in plans]


def _stretch(batches: list[Rows], sizes: IntArray, steps: int) -> list[Rows]:
    stretched = list(batches)
    while len(stretched) < steps:
        splittable = [i for i, b in enumerate(stretched) if len(b) > 1]
        if not splittable:
            return stretched + [np.zeros(0, dtype=np.int64)] * (steps - len(stretched))
        largest = max(splittable, key=lambda i: len(stretched[i]) * int(sizes[stretched[i]].max()))
        rows = stretched[largest]
        half = len(rows) // 2
        stretched[largest : largest + 1] = [rows[:half], rows[half:]]
    return stretched
