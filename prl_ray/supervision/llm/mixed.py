"""Rules and a language model as one teacher."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from prl_ray.problems import Problem
from prl_ray.supervision.operators.registry import Kind
from prl_ray.supervision.teacher import Proposals, Teacher, Teachers


@dataclass(frozen=True)
class MixedTeacher:
    """Two teachers of one program that share a budget and propose nothing twice."""

    llm: Teacher
    rules: Teacher
    share: float

    def propose(self, kind: Kind, budget: int, rng: random.Random) -> Proposals:
        """At most ``budget`` new variants: ``share`` of them from the model, all others from the rules; in random
        order, so that neither teacher is preferred when variants are kept."""
        asked = sum(rng.random() < self.share for _ in range(budget))
        proposals = self.llm.propose(kind, asked, rng)
        proposals.merge(self.rules.propose(kind, budget - len(proposals.variants), rng))
        rng.shuffle(proposals.variants)
        return proposals


@dataclass(frozen=True)
class MixedTeachers:
    """Both kinds of teacher for every program; ``share`` is the model's."""

    llm: Teachers
    rules: Teachers
    share: float

    @property
    def parallel(self) -> int:
        """As many as the model can take; the rules take little time."""
        return self.llm.parallel

    @property
    def identity(self) -> dict[str, Any]:
        """Both teachers' identities, and the share."""
        return {**self.llm.identity, **self.rules.identity, "llm_share": self.share}

    def teach(self, problem: Problem, program: str, seen: set[str]) -> MixedTeacher:
        """The teachers of one program."""
        return MixedTeacher(
            self.llm.teach(problem, program, seen), self.rules.teach(problem, program, seen), self.share
        )
