"""The rule teacher: different, parsable, canonical variants, each with the line where it leaves the reference."""

import ast
import calendar
import heapq
import inspect
import random
import shlex
import string
import textwrap

import pytest

from prl_ray.problems import load_problems
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import line_texts
from prl_ray.supervision.operators import OPERATORS
from prl_ray.supervision.rules import RuleTeacher

LOOP = "def f(xs):\n    out = []\n    for x in xs:\n        out.append(x)\n    out = sorted(out)\n    return out"
REFERENCES = [LOOP, *(p.references[0] for p in load_problems("composed", split="train", limit=20))]


@pytest.mark.parametrize("kind", ["mutation", "refactoring"])
@pytest.mark.parametrize("program", REFERENCES)
def test_variants_are_new_canonical_programs(program: str, kind: str) -> None:
    variants = RuleTeacher(program).propose(kind, 1000, random.Random(0)).variants  # type: ignore[arg-type]
    programs = [variant.program for variant in variants]
    assert len(set(programs)) == len(programs) and program not in programs
    for variant in variants:
        ast.parse(variant.program)
        assert canonical(variant.program) == variant.program
        assert OPERATORS[variant.operator].kind == kind
        before, after = line_texts(program), line_texts(variant.program)
        assert 0 <= variant.difference.line <= len(after)
        common = [text for text in after[: variant.difference.line] if not text[1]]
        assert common == [text for text in before if not text[1]][: len(common)]


def test_same_seed_same_variants_and_a_smaller_budget_takes_fewer() -> None:
    def drawn(seed: int, budget: int) -> list[str]:
        return [v.program for v in RuleTeacher(LOOP).propose("mutation", budget, random.Random(seed)).variants]

    assert drawn(1, 10) == drawn(1, 10)
    assert drawn(1, 4) == drawn(1, 10)[:4]
    assert drawn(1, 10) != drawn(2, 10)


def test_weights_turn_operators_off() -> None:
    weights = dict.fromkeys(OPERATORS, 0.0) | {"method_swap": 1.0}
    proposals = RuleTeacher(LOOP, weights=weights).propose("mutation", 100, random.Random(0))
    assert [v.operator for v in proposals.variants] == ["method_swap"]
    assert proposals.counts["method_swap"] == {"candidates": 1, "proposed": 1}


def test_nothing_is_proposed_twice_by_teachers_that_share_their_memory() -> None:
    first = RuleTeacher(LOOP)
    known = {v.program for v in first.propose("mutation", 1000, random.Random(0)).variants}
    second = RuleTeacher(LOOP, seen=first.seen)
    assert known and not second.propose("mutation", 1000, random.Random(1)).variants


def test_no_variant_touches_the_prefix() -> None:
    prefix = "def f(xs, n):\n    n = n + 1\n"
    teacher = RuleTeacher(prefix + "    return xs[n]\n", len(prefix))
    for kind in ("mutation", "refactoring"):
        variants = teacher.propose(kind, 1000, random.Random(0)).variants  # type: ignore[arg-type]
        assert variants and all(v.program.startswith(prefix) for v in variants)


FUNCTIONS = [
    textwrap.dedent(inspect.getsource(function))
    for module in (calendar, heapq, shlex, string, textwrap)
    for _, function in inspect.getmembers(module, inspect.isfunction)
    if inspect.getmodule(function) is module and function.__name__ != "<lambda>"
]


@pytest.mark.parametrize("source", FUNCTIONS, ids=range(len(FUNCTIONS)))
def test_real_code_gives_variants_that_parse(source: str) -> None:
    program = canonical(source)
    for kind in ("mutation", "refactoring"):
        proposals = RuleTeacher(program).propose(kind, 12, random.Random(0))  # type: ignore[arg-type]
        for variant in proposals.variants:
            ast.parse(variant.program)
        invalid = sum(counts["invalid"] for counts in proposals.counts.values())
        assert invalid <= 1 + len(proposals.variants) // 10
