"""The borrowing teacher: one line is replaced by a line of another problem's reference. Most of a policy's wrong lines
are good code in the wrong place. To distinguish such lines from right ones, a reward model has to read the prompt.
"""

from __future__ import annotations

import ast
import builtins
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prl_ray.problems import Problem
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import compare, line_texts
from prl_ray.supervision.operators.registry import Kind
from prl_ray.supervision.teacher import Proposals, Variant

OPERATOR = "borrowed_line"
_BUILTIN = frozenset(dir(builtins))


@dataclass(frozen=True, slots=True)
class _Line:
    """An assignment of one name."""

    text: str
    target: str
    reads: frozenset[str]


class BorrowingTeachers:
    """Teachers that borrow from the references of ``problems``."""

    parallel = 1  # pure Python: threads would not run in parallel

    def __init__(self, problems: Sequence[Problem]) -> None:
        pool: dict[str, dict[str, _Line]] = defaultdict(dict)
        for problem in problems:
            for reference in problem.references:
                for line in _assignments(canonical(reference, len(problem.code_prefix))):
                    pool[line.target][line.text] = line
        self.pool = {target: list(lines.values()) for target, lines in sorted(pool.items())}

    @property
    def identity(self) -> dict[str, object]:
        """A digest of all lines that may be borrowed."""
        texts = "\n".join(line.text for lines in self.pool.values() for line in lines)
        return {"borrowed": hashlib.sha256(texts.encode()).hexdigest()[:16]}

    def teach(self, problem: Problem, program: str, seen: set[str]) -> BorrowingTeacher:
        """The teacher of one program."""
        return BorrowingTeacher(self, program, len(problem.code_prefix), seen)


class BorrowingTeacher:
    """Proposes variants of one canonical program; see ``Teacher``."""

    def __init__(self, owner: BorrowingTeachers, program: str, prefix: int, seen: set[str]) -> None:
        self.owner, self.program, self.prefix, self.seen = owner, program, prefix, seen
        self.seen.add(program)
        self.lines = line_texts(program)

    def propose(self, kind: Kind, budget: int, rng: random.Random) -> Proposals:
        """At most ``budget`` programs with one line borrowed, drawn evenly; no refactorings."""
        proposals = Proposals()
        if kind != "mutation" or budget <= 0:
            return proposals
        candidates = list(self._candidates())
        proposals.count(OPERATOR, "candidates", len(candidates))
        rng.shuffle(candidates)
        for program in candidates:
            if len(proposals.variants) == budget:
                break
            found = compare(self.lines, program)
            if program in self.seen or found is None:
                proposals.count(OPERATOR, "duplicate")
                continue
            self.seen.add(program)
            proposals.count(OPERATOR, "proposed")
            proposals.variants.append(Variant(program, self.program, OPERATOR, kind, found))
        return proposals

    def _candidates(self) -> Iterator[str]:
        """Programs in which one line is replaced by a line that assigns the same variable and reads only variables
        assigned there."""
        texts = [text for text, _ in self.lines]
        known = _parameters(self.program)
        for i, text in enumerate(texts):
            line = _assignment(text.strip())
            if line is None:
                continue
            indent = text[: len(text) - len(text.lstrip())]
            for other in self.owner.pool.get(line.target, ()):
                if other.text != line.text and other.reads <= known:
                    program = "\n".join([*texts[:i], indent + other.text, *texts[i + 1 :]])
                    if program.startswith(self.program[: self.prefix]):
                        yield program
            known.add(line.target)


def _assignments(program: str) -> Iterator[_Line]:
    for text, _ in line_texts(program):
        line = _assignment(text.strip())
        if line is not None:
            yield line


def _assignment(text: str) -> _Line | None:
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return None  # a header, or a part of a longer statement
    if len(body) != 1 or not isinstance(body[0], ast.Assign) or len(body[0].targets) != 1:
        return None
    target = body[0].targets[0]
    if not isinstance(target, ast.Name):
        return None
    names = [node for node in ast.walk(body[0].value) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    loaded = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    return _Line(text, target.id, frozenset(loaded - stored - _BUILTIN))


def _parameters(program: str) -> set[str]:
    """The names of all parameters of the program's functions."""
    tree = ast.parse(program)
    return {arg.arg for node in ast.walk(tree) if isinstance(node, ast.arguments) for arg in node.args}
