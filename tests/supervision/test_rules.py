"""The rule teacher: different, parsable, canonical variants, each with the line where it leaves the reference."""

import ast
import random

import pytest

from prl_ray.lines import segment
from prl_ray.problems import load_problems
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.operators import OPERATORS
from prl_ray.supervision.rules import RuleTeacher, compare, line_texts

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
        assert 0 <= variant.changed_line <= len(after)
        common = [text for text in after[: variant.changed_line] if not text[1]]
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


def difference(before: str, after: str) -> tuple[int, bool, bool]:
    found = compare(line_texts(before), after)
    assert found is not None
    return found.line, found.single, found.omission


def test_where_programs_part() -> None:
    assert compare(line_texts(LOOP), LOOP) is None
    assert difference("a\nb\nc", "a\nx\nc") == (1, True, False)
    assert difference("a\nb\nc", "a\nx\ny") == (1, False, False)
    assert difference("a\nb\nc", "a\nc") == (1, False, True)
    assert difference("a\nb\nc", "a\nb") == (2, False, True)
    assert difference("a\nb", "a\nb\nc") == (2, False, False)
    # a neutral line says nothing: the line behind it is the first that counts
    assert difference("for x in y:\n    a\nb", "for x in y:\n    pass\nb") == (2, True, False)
    # indentation is part of a line
    assert difference("if a:\n    b\n    c", "if a:\n    b\nc") == (2, True, False)


def test_what_is_left_out_can_come_one_line_later_only_in_the_same_block() -> None:
    def recovery(before: str, after: str) -> str:
        found = compare(line_texts(before), after)
        assert found is not None
        return found.recovery

    assert recovery("a\nb\nc", "b\nc") == "b\na\nc"
    assert recovery("a\nb", "b") == ""  # behind the last line nothing would be executed
    assert recovery("a\nfor x in y:\n    b\nc", "for x in y:\n    b\nc") == ""
    assert recovery("if a:\n    b\nc\nd", "c\nd") == "c\nif a:\n    b\nd"


def test_lines_carry_their_indentation() -> None:
    assert line_texts("def f():\n    # note\n    return 1\n") == [
        ("def f():", False),
        ("    # note", True),
        ("    return 1", False),
    ]
    assert len(segment("def f():\n    # note\n    return 1\n")) == 3
