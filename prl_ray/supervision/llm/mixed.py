"""Two teachers for the same programs: a language model or borrowed lines, together with the rules."""

from __future__ import annotations

import random
from dataclasses import dataclass

from prl_ray.problems import Problem
from prl_ray.supervision.operators.registry import Kind
from prl_ray.supervision.teacher import Proposals, Teacher, Teachers


@dataclass(frozen=True)
class MixedTeacher:
    """Two teachers of one program that share a budget and propose nothing twice."""

    first: Teacher
    rules: Teacher
    share: float

    def propose(self, kind: Kind, budget: int, rng: random.Random) -> Proposals:
        """At most ``budget`` new variants: ``share`` of them from the first teacher, the rest from the rules, which
        also replace variants that the first does not supply. The order is random, so that neither is preferred."""
        asked = sum(rng.random() < self.share for _ in range(budget))
        proposals = self.first.propose(kind, asked, rng)
        proposals.merge(self.rules.propose(kind, budget - len(proposals.variants), rng))
        rng.shuffle(proposals.variants)
        return proposals


@dataclass(frozen=True)
class MixedTeachers:
    """Both kinds of teacher for every program; ``share`` is the first one's."""

    first: Teachers
    rules: Teachers
    share: float

    @property
    def parallel(self) -> int:
        """The parallelism of the first teacher, since the rules are fast."""
        return self.first.parallel

    @property
    def identity(self) -> dict[str, object]:
        """Both teachers' identities, and the share."""
        return {**self.first.identity, **self.rules.identity, "first_share": self.share}

    def teach(self, problem: Problem, program: str, seen: set[str]) -> MixedTeacher:
        """The teachers of one program."""
        return MixedTeacher(
            self.first.teach(problem, program, seen), self.rules.teach(problem, program, seen), self.share
        )
