"""Operators: each is one small generator function with its own before/after examples, registered by name."""

from prl_ray.supervision.operators import (  # noqa: F401  # imported for their registration
    calls,
    conditions,
    constants,
    expressions,
    loops,
    names,
    renames,
    rewrites,
    statements,
    steps,
    structure,
)
from prl_ray.supervision.operators.registry import OPERATORS, Operator, mutation, refactoring

__all__ = ["OPERATORS", "Operator", "mutation", "refactoring"]
