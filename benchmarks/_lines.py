"""Labelled programs line by line: the scores of reward models, the policy and simple baselines, in columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from transformers import PreTrainedTokenizerBase

from prl_ray.actors.forward import Forward, logprobs
from prl_ray.actors.scoring import LoadedModels, ScorerSetup
from prl_ray.examples import Example, as_batch
from prl_ray.lines import segment
from prl_ray.models.encode import encode_program
from prl_ray.models.policy import load_policy
from prl_ray.problems import Problem
from prl_ray.supervision import UNLABELLED, LabelledProgram
from prl_ray.supervision.quality import share_by_value
from prl_ray.trajectory import TrajectoryBatch

Ints = NDArray[np.integer]
Floats = NDArray[np.float64]
BASELINES = ("majority", "position", "length", "orm", "policy_mean", "policy_lowest")
CHUNK = 32
"""Programs that a model reads between two updates of the progress bar."""
END = -1
"""Position and length of the end, which is a line of its own kind."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The scored lines of labelled programs, the end as the last of each. Axis: lines, program after program."""

    rows: Sequence[LabelledProgram]
    """One per program."""
    batch: TrajectoryBatch
    """The programs as tokens; its ``line_offsets`` are those of all columns here."""
    labels: Ints
    """1 right, 0 wrong, -1 not labelled."""
    index: Ints
    """Of the line in ``segment(program)``; one past the last for the end."""
    position: Ints
    """Of the line behind the code prefix, from 0; ``END`` for the end."""
    length: Ints
    """Characters; ``END`` for the end."""

    @property
    def offsets(self) -> Ints:
        """``[programs + 1]``."""
        return self.batch.line_offsets

    @property
    def program(self) -> Ints:
        """Which program each line is of."""
        return np.repeat(np.arange(len(self.rows)), np.diff(self.offsets))

    @property
    def problem(self) -> Ints:
        """Which problem each line is of, as a number."""
        return self.batch.prompt_ids[self.program]

    @property
    def known(self) -> Ints:
        """Indices of the labelled lines."""
        return np.flatnonzero(self.labels != UNLABELLED)


def read_lines(
    rows: Sequence[LabelledProgram], problems: Sequence[Problem], tokenizer: PreTrainedTokenizerBase
) -> Lines:
    """The lines of ``rows``; neutral lines have no label."""
    by_task = {p.task_id: p for p in problems}
    encoded = [encode_program(tokenizer, by_task[r.task_id], r.program) for r in rows]
    batch = as_batch([Example(by_task[r.task_id], r.program) for r in rows], encoded)
    labels, position, length = [], [], []
    for row, lines in zip(rows, encoded, strict=True):
        spans = segment(row.program)
        labels.append(np.where(lines.line_neutral, UNLABELLED, np.array(row.line_labels)[lines.line_index]))
        position.append([*range(len(lines.line_ends) - 1), END])
        length.append([*(spans[i].end - spans[i].start for i in lines.line_index[:-1]), END])
    index = [lines.line_index for lines in encoded]
    return Lines(rows, batch, *(np.concatenate(part).astype(np.int64) for part in (labels, index, position, length)))


@dataclass(frozen=True, slots=True)
class Models:
    """Folders of the models that score the lines."""

    prm: Path
    orm: Path
    policy: Path
    dtype: torch.dtype
    micro_batch_tokens: int

    def scores(self, lines: Lines, learnt: Lines) -> dict[str, Floats]:
        """By name, ``prm`` and ``BASELINES``, one score per line; the higher, the more likely it is right.

        ``learnt`` are the lines from which the position and length baselines are estimated. The ORM is read at the end
        of each line, as if the program ended there.
        """
        values = policy_logprobs(self.policy, lines.batch, self.dtype, self.micro_batch_tokens)
        return {
            "prm": reward_scores(self.prm, lines.batch, self.dtype, self.micro_batch_tokens),
            "orm": reward_scores(self.orm, lines.batch, self.dtype, self.micro_batch_tokens),
            "policy_mean": over_lines(values, lines.batch, lowest=False),
            "policy_lowest": over_lines(values, lines.batch, lowest=True),
            **fitted_baselines(lines, learnt),
        }


def policy_logprobs(folder: Path, batch: TrajectoryBatch, dtype: torch.dtype, micro_batch_tokens: int) -> Floats:
    """Log-probabilities that a policy gives the response tokens at temperature 1, ``[tokens]``."""
    policy = load_policy(folder, dtype).to("cuda" if torch.cuda.is_available() else "cpu")
    forward = Forward(policy, micro_batch_tokens)
    parts = [logprobs(forward, batch, rows, 1.0) for rows in _chunks(batch, "log-probabilities")]
    return np.concatenate(parts).astype(np.float64)


def reward_scores(folder: Path, batch: TrajectoryBatch, dtype: torch.dtype, micro_batch_tokens: int) -> Floats:
    """Calibrated probabilities of a reward model, PRM or ORM, read at the end of each line."""
    setup = ScorerSetup(folder, None, None, features=False, dtype=dtype, micro_batch_tokens=micro_batch_tokens)
    models = LoadedModels(setup)
    parts = []
    for rows in _chunks(batch, "line scores"):
        scores = models.score(batch.take(rows)).line_scores
        assert scores is not None
        parts.append(scores)
    return np.concatenate(parts).astype(np.float64)


def _chunks(batch: TrajectoryBatch, what: str) -> Iterable[NDArray[np.int64]]:
    """All rows in order, a chunk at a time, with a progress bar: a model of 135M parameters reads a few of them per
    second."""
    chunks = [np.arange(first, min(first + CHUNK, len(batch))) for first in range(0, len(batch), CHUNK)]
    return track(chunks, what)


def over_lines(values: Floats, batch: TrajectoryBatch, *, lowest: bool) -> Floats:
    """Mean (or lowest) of a token column over the tokens of each line; a line without its own token gets the value of
    the token that it ends in."""
    places = zip(batch.global_line_starts, batch.global_line_ends, strict=True)
    spans = [values[start : end + 1] for start, end in places]
    return np.array([span.min() if lowest else span.mean() for span in spans])


def fitted_baselines(lines: Lines, learnt: Lines) -> dict[str, Floats]:
    """Shares of right lines: of all, of those at the same position, and of those of about the same length."""
    known = learnt.known
    labels = learnt.labels[known].astype(np.float64)

    def fitted(read: Mapping[str, Ints]) -> Floats:
        return share_by_value(read["learnt"][known], labels, read["lines"])

    both = {"lines": lines, "learnt": learnt}
    return {
        "majority": np.full(len(lines.labels), labels.mean()),
        "position": fitted({name: np.minimum(x.position, 15) for name, x in both.items()}),
        "length": fitted(
            {name: np.where(x.length == END, END, np.minimum(x.length // 8, 15)) for name, x in both.items()}
        ),
    }
