"""The policy's completions of the first lines of its samples, and the values that they give to lines (VinePPO)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prl_ray.trajectory import BoolArray, IntArray, TrajectoryBatch


@dataclass(frozen=True, slots=True)
class FirstLines:
    """The first lines of a prompt's samples that are to be completed, each text once."""

    tokens: tuple[tuple[int, ...], ...]
    """Response tokens up to the end of a line."""
    of_line: IntArray
    """int64 ``[lines]``: index into ``tokens``; -1 for neutral lines and for the last line of each sample, whose values
    are known."""

    @classmethod
    def of(cls, batch: TrajectoryBatch) -> FirstLines:
        """The first lines of ``batch``, whose samples are of one prompt."""
        known: dict[tuple[int, ...], int] = {}
        of_line = np.full(len(batch.line_ends), -1, dtype=np.int64)
        for sample in range(len(batch)):
            response = batch.tokens[batch.token_offsets[sample] : batch.token_offsets[sample + 1]].tolist()
            for line in range(int(batch.line_offsets[sample]), int(batch.line_offsets[sample + 1]) - 1):
                if not batch.line_neutral[line]:
                    first = tuple(response[: int(batch.line_ends[line]) + 1])
                    of_line[line] = known.setdefault(first, len(known))
        return cls(tuple(known), of_line)


@dataclass(frozen=True, slots=True)
class Completions:
    """Programs that begin with ``FirstLines``, equally many for each."""

    task_id: str
    programs: tuple[str, ...]
    """Whole programs, those of one beginning after those of another."""
    of_line: IntArray
    """Of ``FirstLines``."""
    tokens: int
    """Tokens that were sampled."""


@dataclass(frozen=True, slots=True)
class LineValues:
    """Values of the lines of a chunk."""

    values: NDArray[np.float64]
    """float64 ``[lines]``: as ``LineCredit.values``."""
    programs: int
    """Number of programs that were sampled and verified for them."""
    tokens: int
    """Tokens of these programs' completions."""


def line_values(completions: Completions, ok: BoolArray, valid: BoolArray) -> LineValues:
    """The share of completions that pass, by line. ``ok`` and ``valid`` are bool ``[programs]``: passed, and has a
    verdict. A line without any verdict has no value."""
    count = int(completions.of_line.max(initial=-1)) + 1
    each = len(completions.programs) // max(count, 1)
    passed, judged = (column.reshape(count, each).sum(axis=1) for column in (ok & valid, valid))
    share: NDArray[np.float64] = np.where(judged > 0, passed / np.maximum(judged, 1), np.nan)
    values = np.append(share, np.nan)[completions.of_line]  # -1 is the last one
    return LineValues(values, len(completions.programs), completions.tokens)
