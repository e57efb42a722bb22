"""Examples of supervised training: given programs as the columns of sampled ones, with their labels.

SFT learns the response tokens, the PRM one label per line, the ORM one label per program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from prl_ray.errors import DataError
from prl_ray.models.encode import EncodedProgram
from prl_ray.problems.problem import Problem
from prl_ray.supervision.rows import UNLABELLED
from prl_ray.trajectory import TrajectoryBatch

Task = Literal["sft", "prm", "orm"]


@dataclass(frozen=True, slots=True)
class Example:
    """One program to learn from."""

    problem: Problem
    program: str
    line_labels: tuple[int, ...] = ()
    """As in ``LabelledProgram``: one per line (or block) and one for the end; empty for SFT."""
    passed: bool = True


def as_batch(examples: Sequence[Example], encoded: Sequence[EncodedProgram]) -> TrajectoryBatch:
    """Given programs in the form of sampled ones; examples of one problem share a prompt number."""
    numbers: dict[str, int] = {}
    prompt_ids = [numbers.setdefault(e.problem.task_id, len(numbers)) for e in examples]
    token_offsets = _offsets([len(e.response_tokens) for e in encoded])
    return TrajectoryBatch(
        task_ids=tuple(e.problem.task_id for e in examples),
        prompt_ids=np.array(prompt_ids, dtype=np.int64),
        programs=tuple(e.program for e in examples),
        finished=np.ones(len(examples), dtype=np.bool_),
        prompt_tokens=_flat([e.prompt_tokens for e in encoded]),
        prompt_offsets=_offsets([len(e.prompt_tokens) for e in encoded]),
        tokens=_flat([e.response_tokens for e in encoded]),
        token_offsets=token_offsets,
        logprobs=np.zeros(token_offsets[-1], dtype=np.float32),
        weight_versions=np.zeros(token_offsets[-1], dtype=np.int32),
        line_ends=_flat([e.line_ends for e in encoded]),
        line_offsets=_offsets([len(e.line_ends) for e in encoded]),
        line_neutral=_flat([e.line_neutral for e in encoded], np.bool_),
        unit=encoded[0].unit if encoded else "line",
    )


def labels_of(task: Task, examples: Sequence[Example], encoded: Sequence[EncodedProgram]) -> np.ndarray:
    """float32: one per scored line (PRM), one per program (ORM), none (SFT)."""
    if task == "sft":
        return np.zeros(0, dtype=np.float32)
    if task == "orm":
        return np.array([float(e.passed) for e in examples], dtype=np.float32)
    picked = [np.array(e.line_labels)[p.line_index] for e, p in zip(examples, encoded, strict=True)]
    # Neutral lines carry no information: they are never learnt, as they never score.
    masked = [np.where(p.line_neutral, UNLABELLED, y) for p, y in zip(encoded, picked, strict=True)]
    labels: np.ndarray = np.concatenate(masked)
    return labels.astype(np.float32)


def label_weights(labels: np.ndarray, balance: bool) -> np.ndarray:
    """float32, aligned with ``labels``: 0 where there is no label, else 1; with ``balance`` a negative weighs as much
    as there are positives to one negative, since most lines of a mutant are right."""
    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    negative = positives / negatives if balance and positives and negatives else 1.0
    return np.select([labels == 1, labels == 0], [1.0, negative], 0.0).astype(np.float32)


def check_lengths(batch: TrajectoryBatch, limit: int | None) -> None:
    """Raises ``DataError`` for a program that does not fit into the model's context with its prompt."""
    for task_id, length in zip(batch.task_ids, batch.total_lengths, strict=True):
        if limit and length > limit:
            raise DataError(f"{task_id}: prompt and program are {length} tokens; the model reads at most {limit}")


def _flat(parts: Sequence[npt.ArrayLike], dtype: npt.DTypeLike = np.int32) -> np.ndarray:
    return np.concatenate([np.asarray(p, dtype=dtype) for p in parts]) if parts else np.zeros(0, dtype=dtype)


def _offsets(lengths: Sequence[int]) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
