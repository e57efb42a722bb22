"""The registry: an operator is one generator function with a name, the node kinds it edits, and its own examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import libcst as cst

from prl_ray.plugins import Registry
from prl_ray.supervision.sites import Replacement, Site

Kind = Literal["mutation", "refactoring"]
Edit = Callable[[Site], Iterator[Replacement]]
"""Maps a site to its possible replacements. Formatting does not matter: printing is canonical."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One way to change a program."""

    name: str
    kind: Kind
    nodes: tuple[type[cst.CSTNode], ...]
    weight: float
    examples: tuple[tuple[str, str], ...]
    """(before, after): ``after`` is one of the operator's results for ``before``."""
    edit: Edit

    @property
    def description(self) -> str:
        """First line of the function's docstring."""
        return (self.edit.__doc__ or "").strip().split("\n")[0]


OPERATORS: Registry[Operator] = Registry(
    "operator",
    "prl_ray.operators",
    accepts=lambda found: isinstance(found, Operator),
    how="decorate the function with @mutation or @refactoring of prl_ray.supervision.operators",
)
"""Name -> operator, in the order of registration."""


def mutation(
    *nodes: type[cst.CSTNode], examples: Sequence[tuple[str, str]], weight: float = 1.0
) -> Callable[[Edit], Operator]:
    """Registers a function whose edits are meant to break the program, under the function's name."""
    return _register("mutation", nodes, examples, weight)


def refactoring(
    *nodes: type[cst.CSTNode], examples: Sequence[tuple[str, str]], weight: float = 1.0
) -> Callable[[Edit], Operator]:
    """Registers a function whose edits are meant to keep the program's behaviour."""
    return _register("refactoring", nodes, examples, weight)


def _register(
    kind: Kind, nodes: tuple[type[cst.CSTNode], ...], examples: Sequence[tuple[str, str]], weight: float
) -> Callable[[Edit], Operator]:
    def add(edit: Edit) -> Operator:
        name: str = edit.__name__
        return OPERATORS.add(name, Operator(name, kind, nodes, weight, tuple(examples), edit))

    return add
