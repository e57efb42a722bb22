"""The labeller's state of one reference, and of one variant."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.operators.registry import Kind
from prl_ray.supervision.teacher import Proposals, Teacher, Teachers, Variant
from sandbox_workers import Status, Verdict


@dataclass(slots=True)
class Work:
    """The state of one reference solution."""

    problem: Problem
    program: str
    """Canonical."""
    rng: random.Random
    teachers: Teachers
    positives: int
    """Refactorings to keep."""
    budget: int
    """Refactorings and mutations to keep."""
    refactored: list[Variant] = field(default_factory=list)
    """Refactorings found correct."""
    seen: set[str] = field(default_factory=set)
    """Programs that must not be proposed again."""
    proposals: list[Proposals] = field(default_factory=list)
    """Proposals that are not yet in the report."""
    teacher: Teacher = field(init=False)
    """Of ``program``."""

    def __post_init__(self) -> None:
        self.teacher = self.teachers.teach(self.problem, self.program, self.seen)

    def propose(self, teacher: Teacher, kind: Kind, budget: int) -> list[Variant]:
        """Variants proposed by a teacher; the counts of dropped ones are added to ``proposals``."""
        answer = teacher.propose(kind, budget, self.rng)
        self.proposals.append(answer)
        return answer.variants

    @property
    def prefix(self) -> int:
        """Length of the code prefix in characters."""
        return len(self.problem.code_prefix)

    def goes_on_well(self, program: str, line: int) -> bool:
        """Whether a program known to be right starts with the lines of ``program`` up to ``line``."""
        lines = segment(program)
        if line >= len(lines):
            return False
        start = program[: lines[line].end] + "\n"
        return any(right.startswith(start) for right in (self.program, *(v.program for v in self.refactored)))

    @property
    def negatives(self) -> int:
        """Number of mutations to keep, including the budget that refactorings left unused."""
        return self.budget - min(len(self.refactored), self.positives)


@dataclass(slots=True)
class Trial:
    """One variant to be run, and its result."""

    work: Work
    variant: Variant
    base: str = ""
    """Name of the refactoring that was applied first; empty for none."""
    blamed: int = -1
    """Index of the wrong line if the program is wrong."""
    verdict: Verdict = field(default_factory=lambda: Verdict(Status.SANDBOX_ERROR))

    def __post_init__(self) -> None:
        self.blamed = self.variant.difference.blamed

    @property
    def operator(self) -> str:
        """The operators in order, for the row."""
        return f"{self.base}+{self.variant.operator}" if self.base else self.variant.operator


def side_by_side(works: Sequence[Work], make: Callable[[Work], Iterable[Trial]], parallel: int) -> list[Trial]:
    """The trials of all works, in order. Up to ``parallel`` are made concurrently; ``make`` may change only its own
    work."""
    if parallel <= 1 or len(works) <= 1:
        return [trial for work in works for trial in make(work)]
    with ThreadPoolExecutor(min(parallel, len(works)), "teachers") as threads:
        return [trial for trials in threads.map(lambda work: list(make(work)), works) for trial in trials]


def rounded(value: float, rng: random.Random) -> int:
    """``value`` rounded up or down at random, so that shares of small budgets are right on average."""
    return int(value) + (rng.random() < value - int(value))


def shares(variants: Sequence[Variant], total: int, rng: random.Random) -> Iterator[tuple[Variant, int]]:
    """Splits ``total`` evenly over some of the variants, about three each."""
    chosen = rng.sample(list(variants), min(len(variants), max(1, total // 3))) if total else []
    for i, variant in enumerate(chosen):
        yield variant, total * (i + 1) // len(chosen) - total * i // len(chosen)
