"""The wire format: line-segmented trajectories, columnar and ragged, in Ray's object store.

Every ragged column is one flat numpy array plus offsets, so that an actor on the same node reads it from shared memory
without a copy. Three axes: *samples* (one program each), *tokens* (of the responses) and *lines* (scored positions of
the responses; the last line of a finished sample is its *end*, the end-of-sequence token). With ``unit="block"`` the
third axis, the *line axis*, holds blocks of lines instead; read "block" for "line" below.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from prl_ray.lines import Unit
from sandbox_workers import UNDECIDED, Status

IntArray = NDArray[np.integer]
FloatArray = NDArray[np.floating]
BoolArray = NDArray[np.bool_]

STATUSES = tuple(status.value for status in Status)
"""Verdict statuses in the order of their codes (``Verdicts.status``)."""
_UNDECIDED = [STATUSES.index(status.value) for status in UNDECIDED]


class Report(NamedTuple):
    """The result of one sample's tests, as text."""

    tests: str
    """One letter per test, see ``sandbox_workers.Verdict.tests``."""
    answers: tuple[tuple[int, str], ...]
    """Results of the first failed tests."""
    message: str
    """The error's kind and message; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Verdicts:
    """The verdicts of a batch. Axis: samples."""

    status: IntArray
    """uint8, index into ``STATUSES``."""
    passed: IntArray
    """int32, tests passed."""
    total: IntArray
    """int32, tests expected."""
    error_line: IntArray
    """int32, index, on the sample's own line axis, of the line in the failing test's traceback; -1 if there is none."""
    finished: BoolArray
    """``TrajectoryBatch.finished``: the driver reads verdicts, and no samples."""
    tokens: IntArray
    """int32, tokens of the response, for the same reason."""
    reports: NDArray[np.object_] | None = None
    """One ``Report`` per sample, for the stored samples; None if they are not stored."""

    @property
    def ok(self) -> BoolArray:
        """bool ``[samples]``: all tests passed."""
        ok: BoolArray = self.status == STATUSES.index("passed")
        return ok

    @property
    def valid(self) -> BoolArray:
        """bool ``[samples]``: the verdict is about the program, not about a broken sandbox."""
        valid: BoolArray = ~np.isin(self.status, _UNDECIDED)
        return valid

    def metrics(self) -> dict[str, float]:
        """Pass rate over the samples with a verdict, and the share of each status."""
        counts = np.bincount(self.status, minlength=len(STATUSES)) / max(len(self.status), 1)
        return {
            "critic/score/mean": float(self.ok[self.valid].mean()) if self.valid.any() else 0.0,
            **{f"verify/{name}": float(share) for name, share in zip(STATUSES, counts, strict=True)},
        }

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Concatenates verdicts along the samples axis."""
        return cls(*(joined([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def take(self, samples: Sequence[int] | IntArray) -> Self:
        """The given samples, in the given order."""
        return type(self)(
            status=self.status[samples],
            passed=self.passed[samples],
            total=self.total[samples],
            error_line=self.error_line[samples],
            finished=self.finished[samples],
            tokens=self.tokens[samples],
            reports=None if self.reports is None else self.reports[samples],
        )


def joined(columns: Sequence[NDArray[np.generic] | None]) -> Any:
    """The concatenation of a column; None if one part lacks it. For ``concat`` over the fields of a class."""
    there = [column for column in columns if column is not None]
    return np.concatenate(there) if len(there) == len(columns) else None


@dataclass(frozen=True, slots=True)
class TrajectoryBatch:
    """Samples of one or more prompts, in a fixed order."""

    # samples axis
    task_ids: tuple[str, ...]
    prompt_ids: IntArray
    """int64 ``[samples]``: samples of one prompt share a number; baselines over a group use it."""
    programs: tuple[str, ...]
    """The whole program text, ``code_prefix + response``."""
    finished: BoolArray
    """bool ``[samples]``: ended by an end-of-sequence token rather than by the length limit."""

    # ragged: prompts and responses
    prompt_tokens: IntArray
    prompt_offsets: IntArray
    """int64 ``[samples + 1]``."""
    tokens: IntArray
    """int32, response tokens, the end-of-sequence token included."""
    token_offsets: IntArray
    """int64 ``[samples + 1]``."""
    logprobs: FloatArray
    """float32, aligned with ``tokens``: log-probability that the sampler gave each token."""
    weight_versions: IntArray
    """int32, aligned with ``tokens``: version of the weights that sampled it."""

    # ragged: lines of the responses
    line_ends: IntArray
    """int32: index, within the sample's response, of the token that holds the line's last character."""
    line_offsets: IntArray
    """int64 ``[samples + 1]``."""
    line_neutral: BoolArray
    """bool, aligned with ``line_ends``: comments, docstrings, ``pass``; they score 0 and do not count."""

    unit: Unit = "line"
    """Unit of the line axis: ``prl_ray.lines.units(program, unit)``, without units that end in the code prefix."""
    extracted: BoolArray | None = None
    """bool ``[samples]``: the program was taken from the code fence of an answer, whose other lines are comments in
    ``programs``; None where no sample was."""

    def __len__(self) -> int:
        return len(self.task_ids)

    @property
    def response_lengths(self) -> IntArray:
        """int64 ``[samples]``, in tokens."""
        return np.diff(self.token_offsets)

    @property
    def total_lengths(self) -> IntArray:
        """int64 ``[samples]``, prompt and response, in tokens."""
        return np.diff(self.prompt_offsets) + np.diff(self.token_offsets)

    @property
    def line_starts(self) -> IntArray:
        """int32 ``[lines]``: index, within the sample's response, of each line's first token: the one behind the
        previous line. A line that ends in the same token as the previous line has that token."""
        starts = np.concatenate([np.zeros(1, np.int32), self.line_ends + 1])[:-1]
        starts[self.line_offsets[:-1][np.diff(self.line_offsets) > 0]] = 0
        found: IntArray = np.minimum(starts, self.line_ends).astype(np.int32)
        return found

    @property
    def global_line_starts(self) -> IntArray:
        """int64 ``[lines]``: ``line_starts`` as indices into the flat token axis."""
        return self.line_starts + np.repeat(self.token_offsets[:-1], np.diff(self.line_offsets))

    @property
    def global_line_ends(self) -> IntArray:
        """int64 ``[lines]``: ``line_ends`` as indices into the flat token axis."""
        return self.line_ends + np.repeat(self.token_offsets[:-1], np.diff(self.line_offsets))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Concatenates batches along the samples axis. Raises ``ValueError`` if they mix lines and blocks."""
        kinds = {part.unit for part in parts}
        if len(kinds) > 1:
            raise ValueError("cannot join a batch of lines with a batch of blocks")
        columns: dict[str, object] = {"unit": kinds.pop()} if kinds else {}
        for f in fields(cls):
            if f.name == "unit":
                continue
            values = [getattr(p, f.name) for p in parts]
            if f.name == "extracted":
                flags = [np.zeros(len(p), np.bool_) if p.extracted is None else p.extracted for p in parts]
                columns[f.name] = np.concatenate(flags) if any(v is not None for v in values) else None
            elif f.name in ("task_ids", "programs"):
                columns[f.name] = tuple(v for part in values for v in part)
            elif f.name.endswith("_offsets"):
                columns[f.name] = _concat_offsets(values)
            else:
                columns[f.name] = np.concatenate(values)
        return cls(**columns)  # type: ignore[arg-type]

    def take(self, samples: Sequence[int] | IntArray) -> Self:
        """The given samples, in the given order."""
        index = np.asarray(samples, dtype=np.int64)
        prompts, prompt_offsets = take_ragged(self.prompt_offsets, index)
        tokens, token_offsets = take_ragged(self.token_offsets, index)
        lines, line_offsets = take_ragged(self.line_offsets, index)
        return replace(
            self,
            task_ids=tuple(self.task_ids[i] for i in index),
            prompt_ids=self.prompt_ids[index],
            programs=tuple(self.programs[i] for i in index),
            finished=self.finished[index],
            prompt_tokens=self.prompt_tokens[prompts],
            prompt_offsets=prompt_offsets,
            tokens=self.tokens[tokens],
            token_offsets=token_offsets,
            logprobs=self.logprobs[tokens],
            weight_versions=self.weight_versions[tokens],
            line_ends=self.line_ends[lines],
            line_offsets=line_offsets,
            line_neutral=self.line_neutral[lines],
            extracted=None if self.extracted is None else self.extracted[index],
        )

    def cut(self, lengths: IntArray) -> tuple[Self, NDArray[np.int64]]:
        """The same samples with only the first ``lengths`` tokens of their responses (int64 ``[samples]``), the lines
        that end there, and their whole texts; and the indices of these tokens on the token axis of this batch."""
        lengths = np.minimum(lengths, self.response_lengths)
        tokens = np.flatnonzero(first_of_rows(self.token_offsets, lengths))
        lines = np.flatnonzero(self.line_ends < np.repeat(lengths, np.diff(self.line_offsets)))
        kept = np.searchsorted(lines, self.line_offsets)  # lines that are kept before each sample
        batch = replace(
            self,
            tokens=self.tokens[tokens],
            token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            logprobs=self.logprobs[tokens],
            weight_versions=self.weight_versions[tokens],
            line_ends=self.line_ends[lines],
            line_offsets=kept.astype(np.int64),
            line_neutral=self.line_neutral[lines],
        )
        return batch, tokens


def first_of_rows(offsets: IntArray, lengths: IntArray) -> NDArray[np.bool_]:
    """Whether each item of a ragged column is among the first ``lengths`` (int64 ``[rows]``) of its row."""
    counts = np.diff(offsets)
    within = np.arange(int(offsets[-1])) - np.repeat(offsets[:-1], counts)
    return np.asarray(within < np.repeat(lengths, counts), dtype=np.bool_)


def take_ragged(offsets: IntArray, rows: IntArray) -> tuple[IntArray, IntArray]:
    """Flat indices of the given rows of a ragged column, and the offsets of the result.

    Example: ``offsets = [0, 2, 5]``, ``rows = [1]`` gives ``([2, 3, 4], [0, 3])``.
    """
    lengths = np.diff(offsets)[rows]
    new_offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    flat = np.arange(new_offsets[-1]) - np.repeat(new_offsets[:-1], lengths) + np.repeat(offsets[rows], lengths)
    return flat.astype(np.int64), new_offsets


def _concat_offsets(parts: Sequence[IntArray]) -> IntArray:
    lengths = np.concatenate([np.diff(p) for p in parts])
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
