"""Plausible mutations: right lines for the wrong step, like most errors of a policy.

Their default weight is 0, so they are drawn only if a configuration sets a weight (``teacher=plausible``). Similar
operators are ``statement_deletion`` (a step is skipped) and ``adjacent_swap`` (two steps are swapped).
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import body_of, code, is_docstring, small, with_body
from prl_ray.supervision.operators.registry import mutation
from prl_ray.supervision.sites import Site, children


@mutation(
    cst.IndentedBlock,
    examples=[
        (
            "def f(a):\n    a = a + 1\n    a = a * 2\n    return a",
            "def f(a):\n    a = a + 1\n    a = a + 1\n    return a",
        ),
        (
            "def f(a):\n    a = a + 1\n    a = a * 2\n    return a",
            "def f(a):\n    a = a * 2\n    a = a * 2\n    return a",
        ),
    ],
    weight=0.0,
)
def other_step(site: Site) -> Iterator[cst.CSTNode]:
    """A step is replaced by another step of the same block that assigns the same variable."""
    body = body_of(site.node)
    for i, statement in enumerate(body):
        for other in body:
            if other is not statement and _target(statement) and _target(other) == _target(statement):
                yield with_body(site.node, [*body[:i], other, *body[i + 1 :]])


@mutation(
    cst.IndentedBlock,
    examples=[("def f(a):\n    a = a + 1\n    return a", "def f(a):\n    a = a + 1\n    a = a + 1\n    return a")],
    weight=0.0,
)
def repeated_step(site: Site) -> Iterator[cst.CSTNode]:
    """A step is done twice."""
    body = body_of(site.node)
    for i, statement in enumerate(body):
        plain = isinstance(statement, cst.SimpleStatementLine) and not is_docstring(statement)
        if plain and not isinstance(small(statement), cst.Return | cst.Pass):
            yield with_body(site.node, [*body[: i + 1], statement, *body[i + 1 :]])


@mutation(
    cst.Integer,
    cst.SimpleString,
    examples=[
        ("def f(a):\n    a = a + 3\n    return a * 5", "def f(a):\n    a = a + 5\n    return a * 5"),
        ("def f(a):\n    return a.replace('x', 'y')", "def f(a):\n    return a.replace('y', 'y')"),
    ],
    weight=0.0,
)
def misread_constant(site: Site) -> Iterator[cst.CSTNode]:
    """A constant is replaced by that of another step."""
    kind, text = type(site.node), code(site.node)
    for other in dict.fromkeys(code(node) for node in _nodes(site.root, kind)):
        if other != text:
            yield cst.parse_expression(other)


def _target(statement: cst.BaseStatement) -> str:
    """The single name that a statement assigns; empty for any other statement."""
    node = small(statement)
    if not isinstance(node, cst.Assign) or len(node.targets) != 1:
        return ""
    target = node.targets[0].target
    return target.value if isinstance(target, cst.Name) else ""


def _nodes(root: cst.CSTNode, kind: type[cst.CSTNode]) -> Iterator[cst.CSTNode]:
    if isinstance(root, kind):
        yield root
    for _, _, child in children(root):
        yield from _nodes(child, kind)
