"""The prompts: a program with one marked line, and a request for a variant of that line."""

from __future__ import annotations

from collections.abc import Sequence

from prl_ray.supervision.operators.registry import Kind

MARK = ">>>"

_TASKS: dict[Kind, str] = {
    "mutation": (
        "Put a realistic bug into line {number}: a slip that a programmer could make and that makes the function give "
        "a wrong result for some inputs, such as a wrong operator, constant, variable, index, method or condition."
    ),
    "refactoring": (
        "Rewrite line {number} differently, so that the function does exactly the same for all inputs. Change how the "
        "line is written, not what it does."
    ),
}
_EXAMPLES: dict[Kind, str] = {
    "mutation": "4 |     if total >= limit:",
    "refactoring": "4 |     if limit < total:",
}
_EXAMPLE_LINE = "4 |     if total > limit:"


def question(problem: str, lines: Sequence[str], marked: int, kind: Kind) -> str:
    """The prompt.

    Args:
        problem: the task of the program.
        lines: its statement lines with their indentation.
        marked: index of the line to change; it is shown with its number, from 1.
        kind: a mutation or a refactoring.
    """
    number = marked + 1
    width = len(str(len(lines)))
    shown = "\n".join(
        f"{MARK if i == marked else ' ' * len(MARK)} {i + 1:>{width}} | {line}" for i, line in enumerate(lines)
    )
    return (
        f"A Python program for this problem:\n\n{problem.strip()}\n\n{shown}\n\n"
        f"{_TASKS[kind].format(number=number)} Change no other line. "
        f"Answer with line {number} alone, without explanation or comment.\n"
        f"For example, asked about line 4, `{_EXAMPLE_LINE}`, the answer could be:\n{_EXAMPLES[kind]}\n\n"
        f"The line to change now is:\n{number} | {lines[marked]}\n"
    )
