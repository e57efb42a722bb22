"""Sampled programs with a score and a reward a line: made of a batch, stored as JSONL, read back."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from prl_ray.errors import DataError
from prl_ray.lines import Unit, units
from prl_ray.tracking.metrics_file import replace_text
from prl_ray.trajectory import STATUSES, FloatArray, IntArray, TrajectoryBatch, Verdicts

END = "<end>"
"""Text of the line that stands for stopping."""


@dataclass(frozen=True, slots=True)
class ScoredLine:
    """One line of a sampled program."""

    text: str
    """The source, indentation included; ``<end>`` for the end of the program."""
    score: float | None = None
    """The PRM's probability that the line is right; None where none was asked for (the given prefix, neutral lines)."""
    reward: float | None = None
    """Sum of the per-token rewards from the end of the line before to the end of this one."""


@dataclass(frozen=True, slots=True)
class SampledProgram:
    """One sample as a person wants to see it."""

    task_id: str
    status: str
    """The verdict's status."""
    passed: int
    total: int
    reward: float
    """Sum of all per-token rewards."""
    lines: tuple[ScoredLine, ...]
    prompt: str = ""

    @property
    def program(self) -> str:
        """The source text of all lines."""
        return "\n".join(line.text for line in self.lines if line.text != END)

    @classmethod
    def from_json(cls, row: Mapping[str, object]) -> SampledProgram:
        """Inverse of ``dataclasses.asdict``."""
        lines = tuple(ScoredLine(**line) for line in row["lines"])  # type: ignore[attr-defined]
        return cls(**{**row, "lines": lines})  # type: ignore[arg-type]


def sampled_programs(
    batch: TrajectoryBatch,
    verdicts: Verdicts,
    line_scores: FloatArray | None,
    rewards: FloatArray,
    samples: Sequence[int] | None = None,
    prompts: Mapping[str, str] | None = None,
) -> list[SampledProgram]:
    """Rows for :meth:`Tracker.samples` from one batch.

    Args:
        batch: The samples; source lines are those that ``prl_ray.lines.units`` finds in ``batch.programs``.
        verdicts: ``[samples]``.
        line_scores: float ``[lines]``, aligned with ``batch.line_ends``; None without a PRM.
        rewards: float ``[tokens]``, aligned with ``batch.tokens``.
        samples: Which samples, and in which order; all by default.
        prompts: Prompt texts by task id, if they shall be stored.
    """
    rows = []
    for i in range(len(batch)) if samples is None else samples:
        own = rewards[batch.token_offsets[i] : batch.token_offsets[i + 1]]
        lines = slice(int(batch.line_offsets[i]), int(batch.line_offsets[i + 1]))
        before, scored = _source_lines(batch.programs[i], batch.unit, lines.stop - lines.start, bool(batch.finished[i]))
        scores = [None] * len(scored) if line_scores is None else line_scores[lines].tolist()
        known = [None if neutral else s for s, neutral in zip(scores, batch.line_neutral[lines], strict=True)]
        totals = _line_rewards(own, batch.line_ends[lines])
        rows.append(
            SampledProgram(
                task_id=batch.task_ids[i],
                status=STATUSES[int(verdicts.status[i])],
                passed=int(verdicts.passed[i]),
                total=int(verdicts.total[i]),
                reward=float(np.sum(own, dtype=np.float64)),
                lines=(
                    *(ScoredLine(text) for text in before),
                    *(ScoredLine(*row) for row in zip(scored, known, totals, strict=True)),
                ),
                prompt=(prompts or {}).get(batch.task_ids[i], ""),
            )
        )
    return rows


def _source_lines(program: str, unit: Unit, n_scored: int, finished: bool) -> tuple[list[str], list[str]]:
    """Texts of the lines of the given prefix, and of the ``n_scored`` lines of the response, the end included."""
    texts = [_source(program, line.start, line.end) for line in units(program, unit)]
    if not finished and program.endswith("\ufffd"):
        texts = texts[:-1]  # Cut off inside a character: that line has no last token, so the batch does not have it.
    ends = [END] if finished and n_scored else []
    n_source = n_scored - len(ends)
    first = max(0, len(texts) - n_source)
    scored = texts[first:] + [""] * (n_source - len(texts)) + ends
    return texts[:first], scored


def _line_rewards(rewards: FloatArray, ends: IntArray) -> list[float]:
    """Sum of the rewards ``[tokens]`` after the end of the line before, up to the end of each line ``[lines]``."""
    sums = np.concatenate([[0.0], np.cumsum(rewards, dtype=np.float64)])
    return np.diff(sums[np.concatenate([[0], ends + 1])]).tolist()


def _source(program: str, start: int, end: int) -> str:
    """The line's text with its indentation, which lies before ``start`` or at it."""
    begin = program.rfind("\n", 0, start) + 1
    lead = program[begin:start]
    return (lead if not lead.strip() else "") + program[start:end]


def samples_path(folder: Path, step: int) -> Path:
    """``folder/step_000010.jsonl``."""
    return folder / f"step_{step:06d}.jsonl"


def sample_steps(folder: Path) -> list[int]:
    """Steps that have stored samples, ascending."""
    matches = (re.fullmatch(r"step_(\d+)\.jsonl", path.name) for path in folder.glob("step_*.jsonl"))
    return sorted(int(match[1]) for match in matches if match)


def write_samples(folder: Path, step: int, rows: Sequence[SampledProgram]) -> Path:
    """Writes one JSON object a program; replaces what the step had before."""
    folder.mkdir(parents=True, exist_ok=True)
    path = samples_path(folder, step)
    replace_text(path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))
    return path


def read_samples(path: Path) -> Iterator[SampledProgram]:
    """The programs of one file.

    Raises:
        DataError: a line is not a sampled program; names the line.
    """
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield SampledProgram.from_json(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(f"{path}:{number}: not a sampled program ({error})") from error
