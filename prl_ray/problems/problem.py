"""The unit of work: one programming problem with its tests and reference solutions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from prl_ray.errors import DataError
from sandbox_workers import TestSuite
from sandbox_workers.languages import PYTHON

Split = Literal["train", "validation", "test"]
Extract = Literal["auto", "none", "fence"]
"""Where an answer's program is taken from: the code fence, nowhere (the answer is the program), or ``auto``: the fence
for models that chat. See ``sandbox_workers.program_of``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One programming problem.

    A *program* for this problem is ``code_prefix + response``: the beginning that the model is given, and the text that
    it writes. For most problem sets ``code_prefix`` is empty; a data set of completions (HumanEval) puts the signature
    there.
    """

    task_id: str
    prompt: str
    """The text that the model reads, in full, before chat formatting; does not include ``code_prefix``."""
    entry_point: str
    """Name of the function that the tests call; empty for stdin/stdout problems."""
    tests: TestSuite
    references: tuple[str, ...]
    """Whole programs (``code_prefix`` included) that pass ``tests``. ``\\n`` line ends, nothing blank at the end."""
    split: Split
    difficulty: int = 0
    """Number of steps of a generated problem, 0 if unknown."""
    code_prefix: str = ""
    language: str = PYTHON
    """Of the programs, as ``sandbox_workers`` names it. Others than Python are judged by standard input and output."""


def language_of(problems: Iterable[Problem]) -> str:
    """The one language of some problems, Python if there are none. Raises ``DataError`` where there are several."""
    found = sorted({problem.language for problem in problems})
    if len(found) > 1:
        raise DataError(f"problems of several languages ({', '.join(found)}) in one run: give each language its own")
    return found[0] if found else PYTHON


def need_python(problems: Iterable[Problem], what: str) -> None:
    """Raises ``DataError`` unless all programs are Python: ``what`` reads them as such."""
    if (language := language_of(problems)) != PYTHON:
        raise DataError(
            f"{what} reads Python programs, and these problems are in {language}: take a reward that needs no reward "
            "model (reward=outcome or pass_rate) and stages=[sft,ppo,evaluate]"
        )
