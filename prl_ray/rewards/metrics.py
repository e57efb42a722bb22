"""Figures that show a reward being farmed, and tables of what each line scored and earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prl_ray.trajectory import TrajectoryBatch


@dataclass(frozen=True, slots=True)
class LineRow:
    """One line of one sample, for a tracker's table."""

    line: int
    """Index on the sample's line axis; the last one of a finished sample is its end."""
    token: int
    """Index, within the response, of its last token."""
    is_end: bool
    neutral: bool
    score: float
    """``p_i``; nan without a PRM."""
    reward: float
    """Sum over the line's tokens."""


def hack_metrics(batch: TrajectoryBatch) -> dict[str, float]:
    """How the batch's programs look to someone who suspects them of chasing the reward.

    - ``hack/neutral_share``: share of the lines (ends not counted) that are comments, docstrings or ``pass``;
    - ``hack/lines_per_program``: scored lines a program, ends not counted;
    - ``hack/repeated_share``: share of the non-blank text lines that the same program already had, indentation aside;
    - ``hack/one_line_share``: share of the programs with at most one scored line before the end.
    """
    if len(batch) == 0:
        return {}
    sample = np.repeat(np.arange(len(batch)), np.diff(batch.line_offsets))
    scored = np.bincount(sample[~batch.line_neutral], minlength=len(batch)) - batch.finished
    neutral = int(batch.line_neutral.sum())
    texts = [[line.strip() for line in program.splitlines() if line.strip()] for program in batch.programs]
    written = sum(len(lines) for lines in texts)
    return {
        "hack/neutral_share": neutral / max(neutral + int(scored.sum()), 1),
        "hack/lines_per_program": float(scored.mean()),
        "hack/repeated_share": sum(len(lines) - len(set(lines)) for lines in texts) / max(written, 1),
        "hack/one_line_share": float((scored <= 1).mean()),
    }


def rewards_by_line(batch: TrajectoryBatch, rewards: NDArray[np.floating]) -> NDArray[np.float32]:
    """float32 ``[lines]``: the rewards of each line's tokens summed. Tokens after a sample's last line count with it,
    those of a sample without lines are lost; where several lines end in one token, the first of them gets it."""
    cumulative = np.concatenate([[0.0], np.cumsum(rewards, dtype=np.float64)])
    counts = np.diff(batch.line_offsets)
    stops = np.asarray(batch.global_line_ends, dtype=np.int64) + 1
    some = np.flatnonzero(counts)
    stops[batch.line_offsets[1:][some] - 1] = batch.token_offsets[1:][some]
    starts = np.concatenate([[0], stops[:-1]])[: len(stops)]
    starts[batch.line_offsets[:-1][some]] = batch.token_offsets[:-1][some]
    return np.asarray(cumulative[stops] - cumulative[starts], dtype=np.float32)


def line_table(
    batch: TrajectoryBatch,
    sample: int,
    rewards: NDArray[np.floating],
    line_scores: NDArray[np.floating] | None = None,
) -> list[LineRow]:
    """Score and reward of each line of one sample. ``rewards`` is ``[tokens]`` and ``line_scores`` ``[lines]`` of the
    whole batch."""
    by_line = rewards_by_line(batch, rewards)
    start, stop = int(batch.line_offsets[sample]), int(batch.line_offsets[sample + 1])
    return [
        LineRow(
            line=at - start,
            token=int(batch.line_ends[at]),
            is_end=bool(batch.finished[sample]) and at == stop - 1,
            neutral=bool(batch.line_neutral[at]),
            score=float("nan") if line_scores is None else float(line_scores[at]),
            reward=float(by_line[at]),
        )
        for at in range(start, stop)
    ]
