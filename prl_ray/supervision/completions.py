"""Completions of a program's first lines: if one passes, the kept lines are right.

- *splice*: the kept lines followed by the rest of a reference, after at least as many of its own lines, or after the
  lines whose values they have (an *anchor*), with the program's names for its variables
- *repair*: the program itself with one line changed by a teacher's operator, left out, replaced by a line of a
  reference, or preceded by one

A completion must use the values that the kept lines compute, as far as the program itself uses them: overwriting a
wrong value does not make the line that computed it right.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import Texts, joined, line_texts
from prl_ray.supervision.names import Renames, bound_names, mentioned, renamed
from prl_ray.supervision.rules import RuleTeacher

_ASSIGNED = re.compile(r" {0,4}(\w+) = (.*)", re.DOTALL)
_CHANGES = re.compile(r"\s*(?:(\w+(?:, \w+)*) (?:[-+*/%@&|^<>]|//|\*\*|<<|>>)?= |([^\W\d]\w*)(?:\.\w+\(|\[.*\] \S*= ))")
"""An assignment to variables, to an item of one, or a call of a method of one as a statement."""
Kept = tuple[int, str]
"""The number of first lines that a completion keeps, and the completed program."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place at which a program could go on as a reference does."""

    kept: int
    """Number of first lines of the program."""
    skipped: int
    """Number of first lines of the reference that they stand for."""
    reference: int = 0
    """Index of the reference."""
    names: Renames = ()
    """The reference's variables and the program's, where the names differ."""


def completions(
    problem: Problem, program: str, found: Iterable[Kept], limit: int | None, rng: random.Random
) -> dict[int, list[str]]:
    """The texts of ``found`` by the number of first lines of ``program`` that they keep, at most ``limit`` each.

    Excluded are completions that keep less than the given prefix, the program itself, and completions that no longer
    use a value that the kept lines compute although the program uses it, or that merge kept lines.
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
        read = values_read(lines, kept)
        options = [
            text
            for text in texts
            if _uses(completed := line_texts(text), [i for i in used if i < kept])
            and values_read(completed, kept) >= read
        ]
        chosen[kept] = options if limit is None or len(options) <= limit else rng.sample(options, limit)
    return chosen


def given_lines(problem: Problem, program: str) -> int:
    """Number of lines of ``program`` that belong to the problem's code prefix."""
    return sum(line.end <= len(problem.code_prefix) for line in segment(program))


def spliced(problem: Problem, program: str, anchors: Sequence[Anchor] = ()) -> Iterator[Kept]:
    """The first lines of the program, then the last lines of a reference, of which at least as many lines behind an
    anchor are skipped as the program has there. The beginnings of both texts are anchors."""
    lines = line_texts(program)
    texts = [printed(reference) for reference in problem.references]
    for anchor in (*(Anchor(0, 0, number) for number in range(len(texts))), *anchors):
        rest = printed(problem.references[anchor.reference], anchor.names)
        for kept in range(anchor.kept, len(lines) + 1):
            for skipped in range(anchor.skipped + kept - anchor.kept, len(rest)):
                yield kept, joined([*lines[:kept], *rest[skipped:]])


def at_anchors(problem: Problem, program: str, anchors: Iterable[Anchor]) -> Iterator[Kept]:
    """The first lines of the program up to an anchor, then the reference from there on."""
    lines = line_texts(program)
    for anchor in anchors:
        rest = printed(problem.references[anchor.reference], anchor.names)
        yield anchor.kept, joined([*lines[: anchor.kept], *rest[anchor.skipped :]])


def repaired(problem: Problem, program: str) -> Iterator[Kept]:
    """The program with one line changed, left out, replaced or preceded by another."""
    lines = line_texts(program)
    own = sorted({line.strip() for text in problem.references for line, _ in printed(text) if line.startswith(" ")})
    for k in range(len(lines)):
        yield k, joined([*lines[:k], *lines[k + 1 :]])
        indentation = lines[k][0][: len(lines[k][0]) - len(lines[k][0].lstrip())]
        for text in own if indentation else ():
            line = (indentation + text, False)
            yield k, joined([*lines[:k], line, *lines[k + 1 :]])
            yield k, joined([*lines[:k], line, *lines[k:]])
    if lines and not lines[-1][0].startswith(("    return", "return")):
        for name in reversed(bound_names(program)):
            yield len(lines), joined([*lines, (f"    return {name}", False)])
    try:
        text = canonical(program, len(problem.code_prefix))
    except SyntaxError:
        return
    if len(line_texts(text)) != len(lines):
        return  # several statements on one line: the canonical lines are not the program's
    teacher = RuleTeacher(text, len(problem.code_prefix))
    for variant in teacher.propose("mutation", 400, random.Random(0)).variants:
        yield variant.difference.line, variant.program


def values_read(lines: Texts, kept: int) -> set[str]:
    """The variables that the first ``kept`` lines bind or change, and whose values some line reads: one of these lines,
    or a later one before it is bound anew. A line that only changes a variable does not count as one that reads it."""
    changed = {name for text, _ in lines[:kept] for name in _changed(text)}
    read: set[str] = set()
    bound: set[str] = set()
    for index, (text, _) in enumerate(lines):
        read |= mentioned(text) - _changed(text) - bound
        if index >= kept and (assignment := _ASSIGNED.fullmatch(text)):  # in a block it may be left out
            bound |= {assignment[1]} - mentioned(assignment[2])
    return changed & read


def _changed(text: str) -> set[str]:
    match = _CHANGES.match(text)
    return mentioned(match[1] or match[2]) if match else set()


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


@lru_cache(maxsize=4096)  # samples of one problem are completed by the same few references
def printed(reference: str, names: Renames = ()) -> Texts:
    """The lines of a reference without its comments, with some variables renamed; empty if it is not Python."""
    with suppress(SyntaxError):
        return tuple(line_texts(canonical(renamed(reference, names))))
    return ()
