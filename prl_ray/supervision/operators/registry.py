"""The registry: an operator is one generator function with a name, the node kinds it edits, and its own examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import libcst as cst

from prl_ray.supervision.sites import Replacement, Site

Kind = Literal["mutation", "refactoring"]
Edit = Callable[[Site], Iterator[Replacement]]
"""From a place to the nodes that may stand there instead. Formatting does not matter: printing is canonical."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to change a program."""

    name: str
    kind: Kind
    nodes: tuple[type[cst.CSTNode], ...]
    weight: float
    examples: tuple[tuple[str, str], ...]
    """(before, after): ``after`` is one of the programs that the operator makes of ``before``."""
    edit: Edit

    @property
    def description(self) -> str:
        """First line of the function's docstring."""
        return (self.edit.__doc__ or "").strip().split("\n")[0]


E = TypeVar("E", bound=Edit)

OPERATORS: dict[str, Operator] = {}


def mutation(*nodes: type[cst.CSTNode], examples: Sequence[tuple[str, str]], weight: float = 1.0) -> Callable[[E], E]:
    """Registers a function whose edits are meant to break the program, under the function's name."""
    return _register("mutation", nodes, examples, weight)


def refactoring(
    *nodes: type[cst.CSTNode], examples: Sequence[tuple[str, str]], weight: float = 1.0
) -> Callable[[E], E]:
    """Registers a function whose edits are meant to keep what the program does."""
    return _register("refactoring", nodes, examples, weight)


def _register(
    kind: Kind, nodes: tuple[type[cst.CSTNode], ...], examples: Sequence[tuple[str, str]], weight: float
) -> Callable[[E], E]:
    def add(edit: E) -> E:
        name = edit.__name__
        if name in OPERATORS:
            raise ValueError(f"two operators are called {name}")
        OPERATORS[name] = Operator(name, kind, nodes, weight, tuple(examples), edit)
        return edit

    return add
