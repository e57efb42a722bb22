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
"""How a program is taken from an answer: from its code fence, or ``none`` (the answer is the program); ``auto`` is
``fence`` for chat models. See ``sandbox_workers.program_of``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One programming problem.

    A *program* for this problem is ``code_prefix + response``: the given beginning, and the text that the model writes.
    For most problem sets ``code_prefix`` is empty; in a data set of completions (HumanEval) it is the signature.
    """

    task_id: str
    prompt: str
    """The model's whole input before chat formatting, without ``code_prefix``."""
    entry_point: str
    """Name of the function that the tests call; empty for stdin/stdout problems."""
    tests: TestSuite
    references: tuple[str, ...]
    """Whole programs (``code_prefix`` included) that pass ``tests``. ``\\n`` line ends, no trailing blanks."""
    split: Split
    difficulty: int = 0
    """Number of steps of a generated problem; 0 if unknown."""
    code_prefix: str = ""
    language: str = PYTHON
    """Language of the programs, as named by ``sandbox_workers``. Languages other than Python are judged by standard
    input and output."""


def language_of(problems: Iterable[Problem]) -> str:
    """The language that all problems share; Python if there are none. Raises ``DataError`` if there are several."""
    found = sorted({problem.language for problem in problems})
    if len(found) > 1:
        raise DataError(f"problems of several languages ({', '.join(found)}) in one run: use one run per language")
    return found[0] if found else PYTHON


def need_python(problems: Iterable[Problem], what: str) -> None:
    """Raises ``DataError`` unless all programs are Python. ``what`` names the reader that needs Python."""
    if (language := language_of(problems)) != PYTHON:
        raise DataError(
            f"{what} reads Python programs, and these problems are in {language}: set reward=outcome, "
            "algorithm.estimator=rloo and stages=[sft,ppo,evaluate]"
        )
