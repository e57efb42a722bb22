"""The interface of a teacher: it proposes variants of a program; execution decides their labels."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from prl_ray.problems import Problem
from prl_ray.supervision.differences import Difference
from prl_ray.supervision.operators.registry import Kind


@dataclass(frozen=True, slots=True)
class Variant:
    """A program made from another by one change."""

    program: str
    origin: str
    """The original program."""
    operator: str
    kind: Kind
    difference: Difference


@dataclass(slots=True)
class Proposals:
    """A teacher's proposals for one program."""

    variants: list[Variant] = field(default_factory=list)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    """Operator -> counts: ``candidates`` or ``asked``, ``proposed``, and the number dropped for each reason."""
    cost: Counter[str] = field(default_factory=Counter)
    """Requests and tokens of a language model; see ``prl_ray.supervision.report.COSTS``."""

    def count(self, operator: str, what: str, by: int = 1) -> None:
        """Adds to an operator's count."""
        self.counts.setdefault(operator, Counter())[what] += by

    def merge(self, other: Proposals) -> None:
        """Adds another teacher's proposals."""
        self.variants += other.variants
        self.cost.update(other.cost)
        for operator, counts in other.counts.items():
            self.counts.setdefault(operator, Counter()).update(counts)


class Teacher(Protocol):
    """Proposes variants of one canonical program."""

    def propose(self, kind: Kind, budget: int, rng: random.Random) -> Proposals:
        """At most ``budget`` new variants of one kind; ``rng`` makes all random choices."""
        ...


class Teachers(Protocol):
    """Creates the teacher of each program."""

    @property
    def parallel(self) -> int:
        """Number of programs whose teachers may run concurrently, each in its own thread."""
        ...

    @property
    def identity(self) -> Mapping[str, object]:
        """Everything that proposals depend on except the program, as plain data."""
        ...

    def teach(self, problem: Problem, program: str, seen: set[str]) -> Teacher:
        """The teacher of a program. Programs in ``seen`` are not proposed; proposals are added to it."""
        ...
