"""Small trajectory batches, written by hand or drawn by hypothesis, for the tests of every room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st

from prl_ray.trajectory import STATUSES, TrajectoryBatch, Verdicts


@dataclass(frozen=True)
class Sample:
    prompt: Sequence[int] = (1,)
    tokens: Sequence[int] = ()
    line_ends: Sequence[int] = ()
    neutral: Sequence[bool] = ()
    """Aligned with ``line_ends``; all False where left out."""
    group: int = 0
    finished: bool = True
    program: str = ""
    logprobs: Sequence[float] = field(default=())


def batch_of(samples: Sequence[Sample]) -> TrajectoryBatch:
    def flat(rows: Sequence[Sequence[float]], dtype: type) -> np.ndarray:
        return np.array([value for row in rows for value in row], dtype=dtype)

    def offsets(rows: Sequence[Sequence[object]]) -> np.ndarray:
        return np.cumsum([0, *(len(row) for row in rows)]).astype(np.int64)

    tokens = [s.tokens for s in samples]
    ends = [s.line_ends for s in samples]
    return TrajectoryBatch(
        task_ids=tuple(f"task/{s.group}" for s in samples),
        prompt_ids=np.array([s.group for s in samples], dtype=np.int64),
        programs=tuple(s.program for s in samples),
        finished=np.array([s.finished for s in samples], dtype=np.bool_),
        prompt_tokens=flat([s.prompt for s in samples], np.int32),
        prompt_offsets=offsets([s.prompt for s in samples]),
        tokens=flat(tokens, np.int32),
        token_offsets=offsets(tokens),
        logprobs=flat([s.logprobs or [-1.0] * len(s.tokens) for s in samples], np.float32),
        weight_versions=flat([[0] * len(t) for t in tokens], np.int32),
        line_ends=flat(ends, np.int32),
        line_offsets=offsets(ends),
        line_neutral=flat([s.neutral or [False] * len(s.line_ends) for s in samples], np.bool_),
    )


def verdicts_of(statuses: Sequence[str], error_lines: Sequence[int] | None = None) -> Verdicts:
    """Of finished samples with 3 tokens each."""
    return Verdicts(
        status=np.array([STATUSES.index(s) for s in statuses], dtype=np.uint8),
        passed=np.array([4 if s == "passed" else 1 for s in statuses], dtype=np.int32),
        total=np.full(len(statuses), 4, dtype=np.int32),
        error_line=np.array(error_lines or [-1] * len(statuses), dtype=np.int32),
        finished=np.ones(len(statuses), dtype=np.bool_),
        tokens=np.full(len(statuses), 3, dtype=np.int32),
    )


@st.composite
def any_samples(draw: st.DrawFn, min_prompt: int = 1) -> Sample:
    """A sample with 0 to 12 response tokens, lines at any of them, and distinct token numbers."""
    length = draw(st.integers(0, 12))
    ends = sorted(draw(st.sets(st.integers(0, length - 1)))) if length else []
    start = draw(st.integers(10, 10_000))
    return Sample(
        prompt=draw(st.lists(st.integers(1, 9), min_size=min_prompt, max_size=6)),
        tokens=list(range(start, start + length)),
        line_ends=ends,
        neutral=draw(st.lists(st.booleans(), min_size=len(ends), max_size=len(ends))),
        group=draw(st.integers(0, 3)),
        finished=draw(st.booleans()),
        program=f"x = {start}\n",
        logprobs=[-0.5 - i for i in range(length)],
    )


def any_batches(min_size: int = 1, max_size: int = 6) -> st.SearchStrategy[TrajectoryBatch]:
    return st.lists(any_samples(), min_size=min_size, max_size=max_size).map(batch_of)
