"""Mutations of whole statements: deleted, swapped or moved ones, and wrong returns."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import body_of, code, is_docstring, small, with_body
from prl_ray.supervision.operators.registry import mutation
from prl_ray.supervision.sites import Replacement, Site

_JUMPS = (cst.Return, cst.Continue, cst.Break, cst.Raise)
_DEFINITIONS = (cst.FunctionDef, cst.ClassDef)


def _removable(statement: cst.BaseStatement) -> bool:
    inner = small(statement)
    return not isinstance(statement, _DEFINITIONS) and not is_docstring(statement) and not isinstance(inner, cst.Pass)


def _is_guard(statement: cst.BaseStatement) -> bool:
    """Whether a statement is a branch without an alternative that leaves the block (``if …: return``)."""
    if not isinstance(statement, cst.If) or statement.orelse is not None:
        return False
    body = body_of(statement.body)
    return len(body) == 1 and isinstance(small(body[0]), _JUMPS)


@mutation(
    cst.IndentedBlock,
    examples=[("def f(a):\n    if a:\n        return 1\n    return 2", "def f(a):\n    return 2")],
)
def guard_deletion(site: Site) -> Iterator[cst.CSTNode]:
    """A special case with an early exit is forgotten."""
    body = body_of(site.node)
    for i, statement in enumerate(body):
        if _is_guard(statement):
            yield with_body(site.node, [*body[:i], *body[i + 1 :]])


@mutation(
    cst.IndentedBlock,
    cst.Module,
    examples=[
        ("def f(a):\n    a = a + 1\n    return a", "def f(a):\n    return a"),
        ("for x in a:\n    b()", "for x in a:\n    pass"),
    ],
)
def statement_deletion(site: Site) -> Iterator[cst.CSTNode]:
    """A statement is forgotten."""
    body = body_of(site.node)
    for i, statement in enumerate(body):
        if _removable(statement) and not _is_guard(statement):
            yield with_body(site.node, [*body[:i], *body[i + 1 :]])


@mutation(
    cst.IndentedBlock,
    examples=[("def f(a):\n    a += 1\n    a *= 2\n    return a", "def f(a):\n    a *= 2\n    a += 1\n    return a")],
)
def adjacent_swap(site: Site) -> Iterator[cst.CSTNode]:
    """Two neighbouring statements are swapped."""
    body = body_of(site.node)
    for i in range(len(body) - 1):
        if _removable(body[i]) and _removable(body[i + 1]) and not isinstance(small(body[i + 1]), _JUMPS):
            yield with_body(site.node, [*body[:i], body[i + 1], body[i], *body[i + 2 :]])


@mutation(
    cst.IndentedBlock,
    examples=[
        (
            "def f(a):\n    for x in a:\n        b(x)\n    return a",
            "def f(a):\n    for x in a:\n        b(x)\n        return a",
        ),
        (
            "def f(a):\n    for x in a:\n        b(x)\n        c(x)",
            "def f(a):\n    for x in a:\n        b(x)\n    c(x)",
        ),
        (
            "def f(a):\n    b = 0\n    while a:\n        b += 1",
            "def f(a):\n    while a:\n        b = 0\n        b += 1",
        ),
    ],
)
def statement_move(site: Site) -> Iterator[cst.CSTNode]:
    """A statement moves into or out of the neighbouring loop or branch."""
    body = body_of(site.node)
    for i, statement in enumerate(body):
        if not isinstance(statement, cst.For | cst.While | cst.If | cst.With) or statement.body is None:
            continue
        inner = list(body_of(statement.body))
        before, after = list(body[:i]), list(body[i + 1 :])
        if after and isinstance(after[0], cst.SimpleStatementLine):
            yield with_body(site.node, [*before, _with_inner(statement, [*inner, after[0]]), *after[1:]])
        if (
            len(inner) > 1
            and isinstance(inner[-1], cst.SimpleStatementLine)
            and getattr(statement, "orelse", None) is None
        ):
            yield with_body(site.node, [*before, _with_inner(statement, inner[:-1]), inner[-1], *after])
        if before and isinstance(small(before[-1]), cst.Assign):
            yield with_body(site.node, [*before[:-1], _with_inner(statement, [before[-1], *inner]), *after])
        if len(inner) > 1 and isinstance(small(inner[0]), cst.Assign):
            yield with_body(site.node, [*before, inner[0], _with_inner(statement, inner[1:]), *after])


def _with_inner(statement: cst.BaseStatement, inner: list[cst.BaseStatement]) -> cst.BaseStatement:
    block = statement.body  # type: ignore[attr-defined]
    return statement.with_changes(body=with_body(block, inner))


@mutation(cst.Break, cst.Continue, examples=[("for x in a:\n    break", "for x in a:\n    continue")])
def loop_control(site: Site) -> Iterator[cst.CSTNode]:
    """``break`` becomes ``continue``, or vice versa, or is forgotten."""
    yield cst.Continue() if isinstance(site.node, cst.Break) else cst.Break()
    yield cst.Pass()


@mutation(
    cst.Return,
    examples=[
        ("def f(a, b):\n    return a + b", "def f(a, b):\n    return a"),
        ("def f(a):\n    return len(a)", "def f(a):\n    return None"),
        ("def f(a):\n    return -1", "def f(a):\n    return 0"),
    ],
)
def wrong_return(site: Site) -> Iterator[cst.CSTNode]:
    """Something else is returned: another variable, nothing, or another special value."""
    node = site.node
    assert isinstance(node, cst.Return)
    if node.value is None:
        return
    text = code(node.value)
    for other in site.visible_names():
        yield node.with_changes(value=cst.Name(other))
    special = {"-1": "0", "0": "-1", "''": "None", "[]": "None", "None": "0", "1": "0"}.get(text)
    yield node.with_changes(value=cst.parse_expression(special or "None"))
    if isinstance(node.value, cst.Tuple) and len(node.value.elements) > 1:
        yield node.with_changes(value=node.value.elements[0].value)


@mutation(cst.Return, examples=[("def f(a):\n    return a + 1", "def f(a):\n    a + 1")], weight=0.5)
def missing_return(site: Site) -> Iterator[cst.CSTNode]:
    """The value is computed but not returned."""
    node = site.node
    assert isinstance(node, cst.Return)
    if node.value is not None:
        yield cst.Expr(node.value)


@mutation(
    cst.If,
    examples=[
        ("if a:\n    b()\nelif c:\n    d()", "if a:\n    b()\nif c:\n    d()"),
        ("if a:\n    b()\nelse:\n    c()", "if a:\n    b()\nc()"),
    ],
)
def else_deletion(site: Site) -> Iterator[Replacement]:
    """``elif`` becomes ``if``; an ``else`` is forgotten, so its block always runs."""
    node = site.node
    assert isinstance(node, cst.If)
    if node.orelse is None or site.name != "body":
        return
    alone = node.with_changes(orelse=None)
    if isinstance(node.orelse, cst.If):
        yield (alone, node.orelse)
    else:
        yield (alone, *body_of(node.orelse.body))


@mutation(cst.While, examples=[("while a:\n    b()", "if a:\n    b()")], weight=0.5)
def loop_once(site: Site) -> Iterator[cst.CSTNode]:
    """A loop becomes a branch."""
    node = site.node
    assert isinstance(node, cst.While)
    if node.orelse is None:
        yield cst.If(test=node.test, body=node.body)
