"""Tables of samples, made by hand for the tests of what writes and reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.lines import line_end_tokens, units
from prl_ray.tracking.sample_schema import LEARNT_COLUMNS
from prl_ray.tracking.sample_table import SamplePart, step_table
from prl_ray.trajectory import Report, TrajectoryBatch

PROGRAM = "def f(x):\n    return x"


def each_character(prompt: Sequence[object], tokens: Sequence[object]) -> np.ndarray:
    """Ends of tokens that are one character each, whatever the prompt."""
    return np.arange(1, len(tokens) + 1)


def sample(program: str = PROGRAM, prefix: int = 9, group: int = 0, finished: bool = True) -> Sample:
    """A program with one token per character, ``prefix`` characters given, and the lines that segmentation finds."""
    body, lines = program[prefix:], units(program, "line")
    ends, keep = line_end_tokens(each_character([], body), lines, prefix)
    return Sample(
        tokens=[ord(c) for c in body] + [2] * finished,
        line_ends=[*ends.tolist(), *[len(body)] * finished],
        neutral=[*(line.neutral for line, kept in zip(lines, keep, strict=True) if kept), *[False] * finished],
        program=program,
        finished=finished,
        group=group,
        logprobs=[-0.25] * (len(body) + finished),
    )


def learnt_columns(batch: TrajectoryBatch, rewards: Sequence[float] | None = None) -> dict[str, np.ndarray]:
    """Zeros for everything but the rewards."""
    zeros = np.zeros(len(batch.tokens), np.float32)
    found = dict.fromkeys(LEARNT_COLUMNS, zeros)
    return found | ({} if rewards is None else {"reward": np.asarray(rewards, np.float32)})


def table_of(
    samples: Sequence[Sample], statuses: Sequence[str], *, scores: Any = None, rewards: Any = None, reports: Any = None
) -> pa.Table:
    """A step's table of samples that the learner got."""
    batch, verdicts = batch_of(samples), verdicts_of(statuses)
    if reports is not None:
        column = np.empty(len(reports), dtype=object)
        for i, report in enumerate(reports):
            column[i] = Report(*report)
        verdicts = replace(verdicts, reports=column)
    part = SamplePart(
        batch,
        verdicts,
        None if scores is None else np.asarray(scores, np.float32),
        learnt=learnt_columns(batch, rewards),
    )
    return step_table([part], each_character, lambda tokens: f"prompt {list(tokens)}")
