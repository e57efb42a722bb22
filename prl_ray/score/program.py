"""Files and a problem → programs with one score per line, computed as in training."""

from __future__ import annotations

import tokenize
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from prl_ray.actors.scoring import LoadedModels, ScorerSetup, Scores
from prl_ray.errors import ConfigError, DataError, ModelError
from prl_ray.examples import Example, as_batch
from prl_ray.lines import Line, units
from prl_ray.models.encode import EncodedProgram, answers_in_chat, encode_program
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import Kind, check_reward_folder, reward_unit
from prl_ray.problems.problem import Extract, Problem
from prl_ray.problems.records import clean_source
from prl_ray.rewards.program_scores import mean, minimum
from prl_ray.trajectory import TrajectoryBatch
from sandbox_workers import TestSuite, program_of

TOKEN_BUDGET = 2048
"""Maximum number of tokens of one forward pass; a longer program gets its own pass."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """One statement line of a file, or one block if the PRM scores blocks."""

    line: int
    """Physical line on which it starts, from 1."""
    start: int
    """``text`` is ``program[start:end]``, without indentation."""
    end: int
    text: str
    score: float | None
    """The PRM's probability that the line is right; None for neutral and given lines."""
    neutral: bool
    """A comment, a docstring or ``pass``."""


@dataclass(frozen=True, slots=True)
class ScoredProgram:
    """The scores of one file."""

    file: str
    program: str
    """The scored text: ``\\n`` line ends, no trailing blanks."""
    lines: tuple[SourceLine, ...]
    end_score: float
    """The PRM's probability that it is right to stop at the end."""
    orm_score: float | None
    """The ORM's probability that the program passes; None without an ORM."""
    theta: float
    """Lines with a lower score count as wrong."""
    model: str
    """The PRM's folder."""

    @property
    def counted(self) -> NDArray[np.float64]:
        """float64 ``[lines]``: the scores of the scored lines, the end last."""
        return np.array([*(s.score for s in self.lines if s.score is not None), self.end_score], dtype=np.float64)

    @property
    def mean(self) -> float:
        """Mean score of the scored lines, the end included."""
        return mean(self.counted)

    @property
    def min(self) -> float:
        """Lowest score of the scored lines, the end included."""
        return minimum(self.counted)

    @property
    def first_error(self) -> int | None:
        """Physical line of the first line below ``theta``; None if there is none (the end has ``end_score``)."""
        return next((s.line for s in self.lines if s.score is not None and s.score < self.theta), None)


def read_program(file: Path) -> str:
    """A file's text as Python reads it (byte order mark, coding line), in the form of all references.

    Raises ``DataError`` if it cannot be read as text.
    """
    try:
        with tokenize.open(file) as source:
            return clean_source(source.read())
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError) as error:  # invalid coding lines, and text that does not match them
        raise DataError(f"{file} is not text in its encoding: {error}") from error


def given_part(program: str, lines: int, file: Path) -> str:
    """The first physical lines of a program: its ``code_prefix``, which is part of the prompt.

    Raises ``ConfigError`` if the program has fewer.
    """
    found = program.split("\n")
    if lines > len(found):
        raise ConfigError(f"{file} has {len(found)} lines, fewer than the {lines} given ones")
    return program if lines == len(found) else "".join(line + "\n" for line in found[:lines])


def score_files(
    files: Sequence[Path],
    prompt: str,
    *,
    prm: Path,
    orm: Path | None = None,
    given_lines: int = 0,
    theta: float = 0.5,
    extract: Extract = "auto",
) -> list[ScoredProgram]:
    """Scores programs for one problem.

    Args:
        files: Python programs, also ones that do not parse.
        prompt: the problem's text; prompt and program become tokens as in training.
        prm: folder of a process reward model.
        orm: folder of an outcome reward model.
        given_lines: number of first lines of each file that belong to the problem and are not scored.
        theta: lines with a lower score count as wrong.
        extract: how the program of each file is extracted, as in training (``problems.extract``).

    Raises:
        DataError: a file cannot be read, or exceeds the model's context.
        ConfigError: a file has fewer than ``given_lines`` lines.
        ModelError: a folder holds no reward model of its kind.
    """
    check_reward_folder(prm, "prm")
    fenced = extract == "fence" or (extract == "auto" and answers_in_chat(load_tokenizer(prm)))
    texts = [program_of(text) if fenced else text for text in map(read_program, files)]
    examples = [
        Example(_problem(file, prompt, given_part(text, given_lines, file)), text)
        for file, text in zip(files, texts, strict=True)
    ]
    encoded, batch, scores = _read(prm, "prm", examples)
    assert scores.line_scores is not None
    found = np.split(scores.line_scores.astype(np.float64), batch.line_offsets[1:-1])
    orm_scores = _orm_scores(orm, examples) if orm else [None] * len(files)
    return [
        ScoredProgram(str(file), text, _lines(text, one, own), float(own[-1]), orm_score, theta, str(prm))
        for file, text, one, own, orm_score in zip(files, texts, encoded, found, orm_scores, strict=True)
    ]


def _orm_scores(folder: Path, examples: Sequence[Example]) -> list[float]:
    scores = _read(folder, "orm", examples)[2].orm_scores
    assert scores is not None
    found: list[float] = scores.tolist()
    return found


def _problem(file: Path, prompt: str, code_prefix: str) -> Problem:
    # Each file is a separate problem, because the given lines may differ.
    return Problem(str(file), prompt, "", TestSuite(), (), "test", code_prefix=code_prefix)


def _read(
    folder: Path, kind: Kind, examples: Sequence[Example]
) -> tuple[list[EncodedProgram], TrajectoryBatch, Scores]:
    """The encoded programs, and their scores by a reward model."""
    check_reward_folder(folder, kind)
    tokenizer = load_tokenizer(folder)
    places = {"prm": None, "orm": None} | {kind: folder}
    # float32 on every machine: a few programs are cheap, and scores do not depend on the machine
    models = LoadedModels(
        ScorerSetup(**places, trunk=None, features=False, dtype=torch.float32, micro_batch_tokens=TOKEN_BUDGET)
    )
    unit = reward_unit(models.prm.model) if models.prm else "line"
    encoded = [encode_program(tokenizer, e.problem, e.program, unit=unit) for e in examples]
    batch = as_batch(examples, encoded)
    _check_lengths(models, batch)
    scores = models.score(batch)
    found = scores.line_scores if kind == "prm" else scores.orm_scores
    if found is not None and not np.isfinite(found).all():
        raise ModelError(f"the reward model in {folder} gives scores that are not finite: its weights are damaged")
    return encoded, batch, scores


def _check_lengths(models: LoadedModels, batch: TrajectoryBatch) -> None:
    forward: Any = models.prm or models.orm
    limit = getattr(forward.model.config, "max_position_embeddings", None)
    for file, length in zip(batch.task_ids, batch.total_lengths, strict=True):
        if limit and length > limit:
            raise DataError(f"{file} and its problem are {length} tokens; the model reads at most {limit}")


def _lines(program: str, encoded: EncodedProgram, scores: NDArray[np.float64]) -> tuple[SourceLine, ...]:
    """The lines (or blocks) of a program; ``scores`` ``[lines]`` are those of the encoded lines, the end last."""
    judged = dict(zip(encoded.line_index.tolist(), scores.tolist(), strict=True))

    def scored(number: int, line: Line) -> SourceLine:
        row = program.count("\n", 0, line.start) + 1
        text = program[line.start : line.end]
        return SourceLine(row, line.start, line.end, text, None if line.neutral else judged.get(number), line.neutral)

    return tuple(scored(number, line) for number, line in enumerate(units(program, encoded.unit)))
