"""The first line in which a variant differs from its origin, and whether that line is really the wrong one.

A variant that fails is wrong somewhere. The label belongs to the first line that no right program can contain at this
place. That is usually the first line that differs, but not always: a missing line may still follow, the branches of a
negated condition may be swapped, or another variable may be used from there on. For these cases :func:`second_thought`
writes a program that continues correctly, and execution decides.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prl_ray.lines import segment

Texts = Sequence[tuple[str, bool]]
"""Lines with their indentation, and whether they are neutral."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How a program differs from the one it was made from."""

    line: int
    """Index, in the new program, of the first line that differs and counts; its number of lines for the end."""
    blamed: int
    """Index of the wrong line if the program is wrong: ``line``, or the new place of a line that moved down."""
    single: bool
    """Whether exactly one line differs."""
    omission: bool
    """Whether lines are missing and nothing else differs."""


@dataclass(frozen=True, slots=True)
class SecondThought:
    """A program that, if it passes, proves that a changed line was not wrong yet."""

    program: str
    blamed: int
    """The wrong line in that case; -1 if none can be named."""


def line_texts(program: str) -> list[tuple[str, bool]]:
    """Text of each line with its indentation, and whether it is neutral."""
    texts, position = [], 0
    for line in segment(program):
        texts.append((program[position : line.end].strip("\r\n"), line.neutral))
        position = line.end
    return texts


def joined(lines: Iterable[tuple[str, bool]]) -> str:
    """The program with these lines."""
    return "\n".join(text for text, _ in lines)


def compare(before: Texts, program: str) -> Difference | None:
    """How ``program`` differs from the one with the lines ``before``; None if it has the same lines."""
    after = line_texts(program)
    shorter = min(len(before), len(after))
    first = next((i for i in range(shorter) if before[i] != after[i]), shorter)
    if first == len(before) == len(after):
        return None
    missing = len(before) - len(after)
    omission = missing > 0 and list(before[first + missing :]) == after[first:]
    single = missing == 0 and list(before[first + 1 :]) == after[first + 1 :]
    line = _counted(after, first)
    slipped = _slipped(before, after, first) if missing == 0 and not single else -1
    return Difference(line, max(line, slipped), single, omission)


def _counted(lines: Texts, index: int) -> int:
    """The first line from ``index`` on that is not neutral."""
    while index < len(lines) and lines[index][1]:
        index += 1
    return index


def _slipped(before: Texts, after: Texts, first: int) -> int:
    """The new index of line ``first`` if it moved down into a block and nothing else changed; else -1."""
    text = before[first][0]
    for index in range(first + 1, len(after)):
        if after[index][0].lstrip() == text.lstrip():
            rest = [*before[:first], *before[first + 1 : index + 1], after[index], *before[index + 1 :]]
            return index if _indent(after[index]) > _indent(before[first]) and rest == list(after) else -1
    return -1


def _indent(line: tuple[str, bool]) -> int:
    return len(line[0]) - len(line[0].lstrip())


def second_thought(origin: str, program: str, difference: Difference) -> SecondThought | None:
    """A program that, if it passes, shows that the changed line of a failing variant is not wrong; None if there is
    none."""
    before, after = line_texts(origin), line_texts(program)
    if difference.omission:
        later = _put_back_later(before, difference.line, len(before) - len(after))
        return SecondThought(later, -1) if later else None
    if not difference.single or difference.line >= len(after):
        return None
    row = program.count("\n", 0, segment(program)[difference.line].start) + 1
    swapped = _swapped_branches(program, row)
    if swapped:
        following = _counted(after, difference.line + 1)
        return SecondThought(swapped, following if following < len(after) else -1)
    renamed = _renamed_rest(origin, program, row)
    return SecondThought(renamed, -1) if renamed else None


def _put_back_later(before: Texts, first: int, missing: int) -> str:
    """The program with the ``missing`` lines from ``first`` on inserted one line later, if they fit there."""
    omitted, rest = before[first : first + missing], before[first + missing :]
    if len(rest) < 2 or not _indent(omitted[0]) == _indent(rest[0]) >= _indent(rest[1]):
        return ""
    return "\n".join(text for text, _ in [*before[:first], rest[0], *omitted, *rest[1:]])


def _swapped_branches(program: str, row: int) -> str:
    """The program with the two branches of the ``if`` at a physical row swapped; empty if there is none."""
    tree = ast.parse(program)
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if not isinstance(block, list):
                continue
            for i, branch in enumerate(block):
                if not isinstance(branch, ast.If) or branch.lineno != row:
                    continue
                if branch.orelse:
                    branch.body, branch.orelse = branch.orelse, branch.body
                elif i + 1 < len(block) and isinstance(branch.body[-1], ast.Return | ast.Continue | ast.Break):
                    branch.body, branch.orelse = block[i + 1 :], branch.body
                    del block[i + 1 :]
                else:
                    return ""
                return ast.unparse(tree)
    return ""


class _Rename(ast.NodeTransformer):
    def __init__(self, row: int, old: str, new: str) -> None:
        self.row, self.old, self.new = row, old, new

    def visit_Name(self, node: ast.Name) -> ast.Name:  # the name that ast asks for
        if node.lineno > self.row and node.id == self.old:
            node.id = self.new
        return node


def _renamed_rest(origin: str, program: str, row: int) -> str:
    """If only the target of an assignment differs: the program that continues with that target; else empty."""
    wanted, tree = _assigned_at(ast.parse(origin), row), ast.parse(program)
    found = _assigned_at(tree, row)
    if wanted is None or found is None or ast.dump(wanted[1]) != ast.dump(found[1]):
        return ""
    return ast.unparse(_Rename(row, wanted[0], found[0]).visit(tree))


def _assigned_at(tree: ast.Module, row: int) -> tuple[str, ast.expr] | None:
    """Target and value of the plain assignment at a physical row."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and node.lineno == row and isinstance(node.targets[0], ast.Name):
            return node.targets[0].id, node.value
    return None
