"""Line verdicts by execution, as columns aligned with a ``TrajectoryBatch``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from prl_ray.credit.verdicts import LineVerdict
from prl_ray.lines import segment, units
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.supervision.rows import UNLABELLED
from prl_ray.trajectory import TrajectoryBatch, joined, take_ragged

Ints = NDArray[np.integer]

FOUND_BY = ("", "passed", "state", "prefix", "repair", "unexecuted", "error")
"""How a first wrong line was found, by code: not found; nothing is wrong; one of the methods of
``prl_ray.credit.verdicts``; not tried."""


@dataclass(frozen=True, slots=True)
class LineVerdicts:
    """Axes: samples; lines (flat, the line axis of the batch)."""

    wrong: Ints
    """int32 ``[samples]``: as ``LineCredit.wrong``."""
    found_by: Ints
    """uint8 ``[samples]``: index into ``FOUND_BY``."""
    runs: Ints
    """int32 ``[samples]``: number of programs that the sandbox ran for the verdict."""
    states: Ints
    """int64 ``[lines]``: as ``LineCredit.states``."""
    traces: NDArray[np.object_] | None = None
    """``[samples]``: ``LineVerdict.trace`` on the line axis, and the reference's, as a pair; None if not stored."""

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Concatenates the verdicts of several batches."""
        return cls(*(joined([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def take(self, samples: Ints, line_offsets: Ints) -> Self:
        """The given samples in the given order; ``line_offsets`` are those of the batch before the selection."""
        rows, _ = take_ragged(line_offsets, samples)
        traces = None if self.traces is None else self.traces[samples]
        return type(self)(self.wrong[samples], self.found_by[samples], self.runs[samples], self.states[rows], traces)

    @classmethod
    def unknown(cls, batch: TrajectoryBatch) -> Self:
        """The verdicts of a batch whose lines were not executed."""
        return cls(
            np.full(len(batch), UNKNOWN, dtype=np.int32),
            np.full(len(batch), FOUND_BY.index("unexecuted"), dtype=np.uint8),
            np.zeros(len(batch), dtype=np.int32),
            np.full(len(batch.line_ends), UNKNOWN, dtype=np.int64),
            _pairs(len(batch)),
        )

    @property
    def proven(self) -> NDArray[np.bool_]:
        """bool ``[samples]``: the lines before the first wrong one have a witness. The error of a line needs none."""
        return np.asarray(self.found_by != FOUND_BY.index("error"), dtype=np.bool_)

    def idle(self, line_offsets: Ints) -> NDArray[np.bool_]:
        """bool ``[lines]``: the line is known to change no value. Such lines are not wrong but must not earn anything
        either, so they count as neutral. The first wrong line of a sample is never idle."""
        first = np.zeros(len(self.states), dtype=np.bool_)
        first[line_offsets[:-1][np.diff(line_offsets) > 0]] = True
        before = np.concatenate([[UNKNOWN], self.states[:-1]])[: len(self.states)]
        idle = ~first & (self.states != UNKNOWN) & (self.states == before)
        inside = (self.wrong >= 0) & (self.wrong < np.diff(line_offsets))
        idle[(line_offsets[:-1] + self.wrong)[inside]] = False
        return np.asarray(idle, dtype=np.bool_)

    def labels(self, batch: TrajectoryBatch) -> NDArray[np.float32]:
        """Labels for a PRM, float32 ``[lines]``: 1 for a right line, 0 for the first wrong one, -1 for no label.

        Unlabelled are neutral and idle lines, the lines after the first wrong one, those before one that was found by
        its error alone, and all lines of samples whose first wrong line is not known or that were not executed.
        """
        offsets = batch.line_offsets
        counts = np.diff(offsets)
        sample = np.repeat(np.arange(len(batch)), counts)
        index, wrong = np.arange(len(sample)) - offsets[:-1][sample], self.wrong[sample]
        known = (wrong != UNKNOWN) & np.where(self.proven[sample], index <= wrong, index == wrong)
        known &= ~batch.line_neutral & ~self.idle(offsets)
        return np.where(known, index < wrong, UNLABELLED).astype(np.float32)

    def metrics(self, failed: NDArray[np.bool_]) -> dict[str, float]:
        """Of the failures (bool ``[samples]``) whose lines were executed, the share located, by method."""
        failed = failed & (self.found_by != FOUND_BY.index("unexecuted"))
        total = max(int(failed.sum()), 1)
        return {
            "locator/located": float((self.wrong[failed] != UNKNOWN).sum() / total),
            "locator/runs": float(self.runs.sum()),
            **{
                f"locator/by_{name}": float((self.found_by[failed] == code).sum() / total)
                for code, name in enumerate(FOUND_BY)
                if name not in ("", "passed", "unexecuted")
            },
        }


def as_columns(batch: TrajectoryBatch, verdicts: Sequence[LineVerdict | None]) -> LineVerdicts:
    """Line verdicts of the programs of ``batch``, in its order, on its line axis; None for unknown verdicts.

    The last line of a program without an end is never known to be wrong: the length limit may have cut it.
    """
    wrong = np.full(len(batch), UNKNOWN, dtype=np.int32)
    states = np.full(len(batch.line_ends), UNKNOWN, dtype=np.int64)
    traces = _pairs(len(batch))
    for i, verdict in enumerate(verdicts):
        if verdict is None:
            continue
        start, stop = int(batch.line_offsets[i]), int(batch.line_offsets[i + 1])
        scored = stop - start - int(batch.finished[i])
        lines, scored_units = segment(batch.programs[i]), units(batch.programs[i], batch.unit)
        scored_units = scored_units[len(scored_units) - scored :]
        if verdict.wrong == len(lines):
            wrong[i] = stop - start if verdict.found_by == "passed" else scored if batch.finished[i] else UNKNOWN
        elif verdict.wrong != UNKNOWN and (batch.finished[i] or verdict.wrong < len(lines) - 1):
            at = lines[verdict.wrong].end
            wrong[i] = next((k for k, unit in enumerate(scored_units) if unit.start < at <= unit.end), UNKNOWN)
        shown = [""] * (stop - start)
        for k, unit in enumerate(scored_units):
            before = sum(line.end <= unit.end for line in lines)
            states[start + k] = verdict.states[before - 1] if before else UNKNOWN
            shown[k] = verdict.trace[before - 1] if 0 < before <= len(verdict.trace) else ""
        traces[i] = (tuple(shown), verdict.reference)
    return LineVerdicts(
        wrong=wrong,
        found_by=np.array([FOUND_BY.index(v.found_by if v else "") for v in verdicts], dtype=np.uint8),
        runs=np.array([v.runs if v else 0 for v in verdicts], dtype=np.int32),
        states=states,
        traces=traces,
    )


def _pairs(count: int) -> NDArray[np.object_]:
    pairs = np.empty(count, dtype=object)
    for i in range(count):
        pairs[i] = ((), ())
    return pairs
