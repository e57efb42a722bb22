"""Sampled programs with one score and one reward per line, for display: read from a table of samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from prl_ray.tracking.sample_schema import SampleRow, sample_rows

END = "<end>"
"""Text of the line that represents the end."""
COLUMNS = (
    "task_id",
    "program",
    "finished",
    "status",
    "passed",
    "total",
    "total_reward",
    "reward",
    "line_starts",
    "line_ends",
    "line_tokens",
    "line_score",
)
"""The columns of ``SCHEMA`` that :func:`sampled_programs` reads."""


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """One line of a sampled program."""

    text: str
    """The source, indentation included; ``<end>`` for the end of the program."""
    score: float | None = None
    """The PRM's probability that the line is right; None if it was not scored (the given prefix, neutral lines)."""
    reward: float | None = None
    """Sum of the per-token rewards from the end of the previous line to the end of this one; None for a sample that the
    learner did not receive."""


@dataclass(frozen=True, slots=True)
class SampledProgram:
    """One sample, for display."""

    task_id: str
    status: str
    """The verdict's status."""
    passed: int
    total: int
    reward: float
    """Sum of all per-token rewards."""
    lines: tuple[ScoredLine, ...]

    @property
    def program(self) -> str:
        """The source text of all lines."""
        return "\n".join(line.text for line in self.lines if line.text != END)


def sampled_programs(table: pa.Table) -> list[SampledProgram]:
    """The rows of a table of samples (``prl_ray.tracking.sample_table``)."""
    return [_sampled_program(row) for row in sample_rows(table.select(list(COLUMNS)))]


def spread(count: int, wanted: int) -> list[int]:
    """At most ``wanted`` evenly spread row numbers below ``count``."""
    return np.linspace(0, count - 1, min(wanted, count)).astype(int).tolist() if count else []


def line_rewards(rewards: Sequence[float], line_tokens: Sequence[int]) -> list[float]:
    """Sum of the rewards ``[tokens]`` after the end of the previous line, up to the end of each line."""
    sums = np.concatenate([[0.0], np.cumsum(rewards, dtype=np.float64)])
    ends = np.asarray(line_tokens, dtype=np.int64) + 1
    of_lines: list[float] = np.diff(sums[np.concatenate([[0], ends])]).tolist()
    return of_lines


def _sampled_program(row: SampleRow) -> SampledProgram:
    program, count = row["program"], len(row["line_starts"])
    texts = [program[a:b] for a, b in zip(row["line_starts"], row["line_ends"], strict=True)]
    if row["finished"] and count:
        texts[-1] = END
    rewards = [None] * count if row["reward"] is None else line_rewards(row["reward"], row["line_tokens"])
    given = program[: row["line_starts"][0]] if count else program
    lines = (
        *(ScoredLine(text) for text in given.split("\n") if text.strip()),
        *(ScoredLine(*line) for line in zip(texts, row["line_score"], rewards, strict=True)),
    )
    total = float(row["total_reward"] or 0.0)
    return SampledProgram(row["task_id"], row["status"], row["passed"], row["total"], total, lines)
