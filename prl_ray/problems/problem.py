"""The unit of work: one programming problem with its tests and reference solutions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from sandbox_workers import TestSuite

Split = Literal["train", "validation", "test"]
Extract = Literal["auto", "none", "fence"]
"""Where an answer's program is taken from: the code fence, nowhere (the answer is the program), or ``auto``: the fence
for models that chat. See ``sandbox_workers.program_of``."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One programming problem.

    A *program* for this problem is ``code_prefix + response``: what the model is given to start with, and what it
    writes. For most problem sets ``code_prefix`` is empty; a data set of completions (HumanEval) puts the signature
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
    """Number of steps for generated problems, 0 where nobody knows."""
    code_prefix: str = ""
    language: str = "python"
