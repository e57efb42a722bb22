"""Completions of a program's first lines: if one passes, the kept lines are right.

- *splice*: the kept lines followed by the rest of a reference, after at least as many of its own lines
- *repair*: the program itself with one line changed by a teacher's operator, left out, replaced by a line of a
  reference, or preceded by one

A completion must use the values that the kept lines compute, as far as the program itself uses them: overwriting a
wrong value does not make the line that computed it right.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import Texts, line_texts
from prl_ray.supervision.rules import RuleTeacher

Kept = tuple[int, str]
"""The number of first lines that a completion keeps, and the completed program."""


def completions(
    problem: Problem, program: str, found: Iterable[Kept], limit: int | None, rng: random.Random
) -> dict[int, list[str]]:
    """The texts of ``found`` by the number of first lines of ``program`` that they keep, at most ``limit`` each.

    Excluded are completions that keep less than the given prefix, the program itself, and completions that no longer
    use the value of a kept line although the program uses it, or that merge kept lines.
    """
    lines = line_texts(program)
    given = given_lines(problem, program)
    by_length: dict[int, dict[str, None]] = {}
    for kept, text in found:
        if kept >= given and text != program and not (kept < len(lines) and lines[kept][1]):
            by_length.setdefault(kept, {})[text] = None
    used = [i for i in range(given, len(lines)) if not is_dead(lines, i)]
    chosen = {}
    for kept, texts in by_length.items():
        options = [text for text in texts if _uses(line_texts(text), [i for i in used if i < kept])]
        chosen[kept] = options if limit is None or len(options) <= limit else rng.sample(options, limit)
    return chosen


def given_lines(problem: Problem, program: str) -> int:
    """Number of lines of ``program`` that belong to the problem's code prefix."""
    return sum(line.end <= len(problem.code_prefix) for line in segment(program))


def spliced(problem: Problem, program: str) -> Iterator[Kept]:
    """The first lines of the program, then the last lines of a reference."""
    lines = line_texts(program)
    for kept in range(len(lines) + 1):
        for reference in _references(problem):
            for skipped in range(kept, len(reference)):
                yield kept, _joined([*lines[:kept], *reference[skipped:]])


def repaired(problem: Problem, program: str) -> Iterator[Kept]:
    """The program with one line changed, left out, replaced or preceded by another."""
    lines = line_texts(program)
    own = sorted({line for reference in _references(problem) for line in reference if line[0].startswith(" ")})
    for k in range(len(lines)):
        yield k, _joined([*lines[:k], *lines[k + 1 :]])
        for line in own:
            yield k, _joined([*lines[:k], line, *lines[k + 1 :]])
            yield k, _joined([*lines[:k], line, *lines[k:]])
    try:
        text = canonical(program, len(problem.code_prefix))
    except SyntaxError:
        return
    if len(line_texts(text)) != len(lines):
        return  # several statements on one line: the canonical lines are not the program's
    teacher = RuleTeacher(text, len(problem.code_prefix))
    for variant in teacher.propose("mutation", 400, random.Random(0)).variants:
        yield variant.difference.line, variant.program


def is_dead(lines: Texts, index: int) -> bool:
    """Whether a line at a function's top level assigns a variable that no later line reads."""
    assignment = re.fullmatch(r"( {0,4})(\w+) = .*", lines[index][0])
    if assignment is None:
        return False  # inside a loop or branch the order of the lines is not enough
    name = re.compile(rf"\b{assignment[2]}\b")
    for text, _ in lines[index + 1 :]:
        target, equals, value = text.partition(" = ")
        if equals and target.strip() == assignment[2] and not name.search(value):
            return True
        if name.search(text):
            return False
    return True


def _uses(lines: Texts, used: Sequence[int]) -> bool:
    """Whether a completion's lines use the values of the kept lines ``used``; False if these are no longer lines of
    their own, since the text behind them closes a string or a bracket that they open."""
    return not used or (used[-1] < len(lines) and not any(is_dead(lines, i) for i in used))


def _joined(lines: Sequence[tuple[str, bool]]) -> str:
    return "\n".join(text for text, _ in lines)


def _references(problem: Problem) -> list[Texts]:
    return [_printed(reference, len(problem.code_prefix)) for reference in problem.references]


@lru_cache(maxsize=4096)  # samples of one problem are completed by the same few references
def _printed(reference: str, prefix: int) -> Texts:
    return tuple(line_texts(canonical(reference, prefix)))
