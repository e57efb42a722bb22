"""The rule teacher: variants of a reference program, drawn from the operators by weight."""

from __future__ import annotations

import random
from collections.abc import Mapping

import libcst as cst

from prl_ray.problems import Problem
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import compare, line_texts
from prl_ray.supervision.operators import OPERATORS, Operator
from prl_ray.supervision.operators.registry import Kind
from prl_ray.supervision.sites import Replacement, Site, collect
from prl_ray.supervision.teacher import Proposals, Variant

_Candidate = tuple[Site, Replacement]


class RuleTeacher:
    """Proposes variants of one canonical program.

    The program is parsed and walked once. Every operator's edits are collected node by node, and only those drawn are
    printed. No variant is proposed twice.

    Args:
        program: canonical.
        prefix: length of the code prefix, which no variant changes.
        weights: operator -> weight, where it differs from the default.
        seen: programs that must not be proposed; proposals are added to it. Teachers may share it.
    """

    def __init__(
        self,
        program: str,
        prefix: int = 0,
        weights: Mapping[str, float] | None = None,
        seen: set[str] | None = None,
    ) -> None:
        self.program = program
        self.prefix = prefix
        self.weights = weights or {}
        self.lines = line_texts(program)
        self.seen = seen if seen is not None else set()
        self.seen.add(program)
        self.sites = collect(cst.parse_module(program))

    def propose(self, kind: Kind, budget: int, rng: random.Random) -> Proposals:
        """At most ``budget`` different variants of one kind.

        An operator is drawn by weight among those with edits left, then one of its edits uniformly.

        Args:
            kind: ``mutation`` or ``refactoring``.
            budget: number of variants.
            rng: makes all random choices.
        """
        proposals = Proposals()
        if budget <= 0:
            return proposals
        pools = self._candidates(kind, proposals)
        while pools and len(proposals.variants) < budget:
            name = rng.choices(list(pools), [self._weight(OPERATORS[n]) for n in pools])[0]
            pool = pools[name]
            chosen = rng.randrange(len(pool))
            pool[chosen], pool[-1] = pool[-1], pool[chosen]
            variant = self._print(OPERATORS[name], *pool.pop(), proposals)
            if variant is not None:
                proposals.variants.append(variant)
            if not pool:
                del pools[name]
        return proposals

    def _weight(self, operator: Operator) -> float:
        return self.weights.get(operator.name, operator.weight)

    def _candidates(self, kind: Kind, proposals: Proposals) -> dict[str, list[_Candidate]]:
        pools: dict[str, list[_Candidate]] = {}
        by_node: dict[type[cst.CSTNode], list[Operator]] = {}
        for operator in OPERATORS.values():
            if operator.kind == kind and self._weight(operator) > 0:
                for node in operator.nodes:
                    by_node.setdefault(node, []).append(operator)
        for site in self.sites:
            for operator in by_node.get(type(site.node), ()):
                found = _edits(operator, site, proposals)
                if found:
                    pools.setdefault(operator.name, []).extend((site, edit) for edit in found)
                    proposals.count(operator.name, "candidates", len(found))
        return pools

    def _print(self, operator: Operator, site: Site, edit: Replacement, proposals: Proposals) -> Variant | None:
        """The variant as a canonical program, or None if it does not parse, equals its origin or is not new."""
        try:
            code = site.replaced(edit).code
            outside = code.startswith(self.program[: self.prefix])
            program = canonical(code, self.prefix) if outside else ""
        except (cst.CSTValidationError, SyntaxError):
            proposals.count(operator.name, "invalid")
            return None
        if not outside or program in self.seen:
            proposals.count(operator.name, "duplicate" if outside else "in_prefix")
            return None
        self.seen.add(program)
        found = compare(self.lines, program)
        if found is None:
            proposals.count(operator.name, "duplicate")
            return None
        proposals.count(operator.name, "proposed")
        return Variant(program, self.program, operator.name, operator.kind, found)


def _edits(operator: Operator, site: Site, proposals: Proposals) -> list[Replacement]:
    found: list[Replacement] = []
    try:
        found.extend(operator.edit(site))
    except (cst.CSTValidationError, cst.ParserSyntaxError):
        proposals.count(operator.name, "invalid")  # variants found before are kept
    return found


class RuleTeachers:
    """A rule teacher for every program, with the same weights."""

    parallel = 1  # pure Python: threads would not run in parallel

    def __init__(self, weights: Mapping[str, float] | None = None) -> None:
        self.weights = weights or {}

    @property
    def identity(self) -> dict[str, object]:
        """The weight of every operator."""
        weights = {name: self.weights.get(name, operator.weight) for name, operator in sorted(OPERATORS.items())}
        return {"operators": weights}

    def teach(self, problem: Problem, program: str, seen: set[str]) -> RuleTeacher:
        """The teacher of one program."""
        return RuleTeacher(program, len(problem.code_prefix), self.weights, seen)
