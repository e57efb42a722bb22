"""One reference on its way through the labeller, and one variant of it that is tried."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.rules import RuleTeacher, Variant
from sandbox_workers import Status, Verdict


@dataclass(slots=True)
class Work:
    """One reference solution on its way."""

    problem: Problem
    program: str
    """Canonical."""
    rng: random.Random
    teacher: RuleTeacher
    positives: int
    """Refactorings to keep."""
    budget: int
    """Refactorings and mutations to keep."""
    refactored: list[Variant] = field(default_factory=list)
    """Refactorings that were found right."""

    @property
    def prefix(self) -> int:
        """Characters of the program that are given."""
        return len(self.problem.code_prefix)

    def goes_on_well(self, program: str, line: int) -> bool:
        """Whether a program that is known to be right starts with the lines of ``program`` up to ``line``."""
        lines = segment(program)
        if line >= len(lines):
            return False
        start = program[: lines[line].end] + "\n"
        return any(right.startswith(start) for right in (self.program, *(v.program for v in self.refactored)))

    @property
    def negatives(self) -> int:
        """Mutations to keep: they also take the places that refactorings leave empty."""
        return self.budget - min(len(self.refactored), self.positives)


@dataclass(slots=True)
class Trial:
    """One variant to be run, and what came of it."""

    work: Work
    variant: Variant
    base: str = ""
    """Name of the refactoring that it was made on."""
    blamed: int = -1
    """Index of the line that is wrong if the program is."""
    verdict: Verdict = field(default_factory=lambda: Verdict(Status.SANDBOX_ERROR))

    def __post_init__(self) -> None:
        self.blamed = self.variant.difference.blamed

    @property
    def operator(self) -> str:
        """For the row: the operators, in order."""
        return f"{self.base}+{self.variant.operator}" if self.base else self.variant.operator


def rounded(value: float, rng: random.Random) -> int:
    """``value`` rounded up or down at random, so that small budgets keep their share on average."""
    return int(value) + (rng.random() < value - int(value))


def shares(variants: Sequence[Variant], total: int, rng: random.Random) -> Iterator[tuple[Variant, int]]:
    """Splits ``total`` evenly over some of the variants, about three to each."""
    chosen = rng.sample(list(variants), min(len(variants), max(1, total // 3))) if total else []
    for i, variant in enumerate(chosen):
        yield variant, total * (i + 1) // len(chosen) - total * i // len(chosen)
