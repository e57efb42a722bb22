"""Refactorings of statements and branches: the same steps in another arrangement."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import (
    body_of,
    call_name,
    code,
    expression,
    method_name,
    negated,
    small,
    statement,
    with_body,
    words,
)
from prl_ray.supervision.operators.registry import refactoring
from prl_ray.supervision.operators.renames import assigned_name
from prl_ray.supervision.sites import Site, children, variables

_LEAVES = (cst.Return, cst.Raise, cst.Continue, cst.Break)


@refactoring(
    cst.AugAssign,
    cst.Assign,
    examples=[("a += 1", "a = a + 1"), ("a = a * b", "a *= b")],
    weight=1.5,
)
def augmented_assignment(site: Site) -> Iterator[cst.CSTNode]:
    """An augmented assignment is expanded, or a plain one is contracted."""
    node = site.node
    if isinstance(node, cst.AugAssign):
        sign = code(node.operator).strip()[:-1]
        value = expression(f"({code(node.target)}) {sign} ({code(node.value)})")
        yield cst.Assign([cst.AssignTarget(node.target)], value)
    elif isinstance(node, cst.Assign) and len(node.targets) == 1 and isinstance(node.value, cst.BinaryOperation):
        target = code(node.targets[0].target)
        if code(node.value.left) == target:
            line = statement(f"{target} {code(node.value.operator).strip()}= {code(node.value.right)}")
            inner = small(line)
            if inner is not None:
                yield inner


@refactoring(
    cst.Expr,
    cst.AugAssign,
    examples=[("a.append(b)", "a += [b]"), ("a += [b]", "a.append(b)"), ("a.extend(b)", "a += b")],
)
def append_augmented(site: Site) -> Iterator[cst.CSTNode]:
    """``append`` becomes ``+=`` of a list, or vice versa."""
    node = site.node
    if isinstance(node, cst.Expr) and isinstance(node.value, cst.Call) and len(node.value.args) == 1:
        if not isinstance(node.value.func, cst.Attribute):
            return
        target, value = code(node.value.func.value), code(node.value.args[0].value)
        if method_name(node.value) == "append":
            text = f"{target} += [{value}]"
        elif method_name(node.value) == "extend":
            text = f"{target} += {value}"
        else:
            return
    elif isinstance(node, cst.AugAssign) and isinstance(node.value, cst.List) and len(node.value.elements) == 1:
        text = f"{code(node.target)}.append({code(node.value.elements[0].value)})"
    else:
        return
    inner = small(statement(text))
    if inner is not None:
        yield inner


@refactoring(
    cst.If,
    examples=[("if a < b:\n    c()\nelse:\n    d()", "if a >= b:\n    d()\nelse:\n    c()")],
)
def branch_inversion(site: Site) -> Iterator[cst.CSTNode]:
    """A condition is negated, and its branches are swapped."""
    node = site.node
    assert isinstance(node, cst.If)
    if isinstance(node.orelse, cst.Else):
        yield node.with_changes(
            test=negated(node.test), body=node.orelse.body, orelse=node.orelse.with_changes(body=node.body)
        )


@refactoring(
    cst.IndentedBlock,
    examples=[
        (
            "def f(a):\n    if a:\n        return 1\n    return 2",
            "def f(a):\n    if a:\n        return 1\n    else:\n        return 2",
        ),
        (
            "def f(a):\n    if a:\n        return 1\n    else:\n        return 2",
            "def f(a):\n    if a:\n        return 1\n    return 2",
        ),
    ],
)
def early_return(site: Site) -> Iterator[cst.CSTNode]:
    """The statements after a branch with an exit move into its ``else``, or out of it."""
    body = body_of(site.node)
    for i, branch in enumerate(body):
        if not isinstance(branch, cst.If) or not _leaves(branch.body):
            continue
        rest = body[i + 1 :]
        if branch.orelse is None and rest and isinstance(small(rest[-1]), _LEAVES):
            yield with_body(site.node, [*body[:i], branch.with_changes(orelse=cst.Else(cst.IndentedBlock(rest)))])
        elif isinstance(branch.orelse, cst.Else):
            outside = body_of(branch.orelse.body)
            yield with_body(site.node, [*body[:i], branch.with_changes(orelse=None), *outside, *rest])
        elif isinstance(branch.orelse, cst.If):
            yield with_body(site.node, [*body[:i], branch.with_changes(orelse=None), branch.orelse, *rest])


def _leaves(block: cst.CSTNode) -> bool:
    body = body_of(block)
    return bool(body) and isinstance(small(body[-1]), _LEAVES)


@refactoring(
    cst.If,
    examples=[
        ("if a and b:\n    c()", "if a:\n    if b:\n        c()"),
        ("if a:\n    if b:\n        c()", "if a and b:\n    c()"),
    ],
)
def nested_condition(site: Site) -> Iterator[cst.CSTNode]:
    """An ``and`` becomes a nested branch, or vice versa."""
    node = site.node
    assert isinstance(node, cst.If)
    if node.orelse is not None:
        return
    inner = body_of(node.body)
    if isinstance(node.test, cst.BooleanOperation) and isinstance(node.test.operator, cst.And):
        nested = cst.If(test=node.test.right, body=node.body)
        yield node.with_changes(test=node.test.left, body=cst.IndentedBlock([nested]))
    elif len(inner) == 1 and isinstance(inner[0], cst.If) and inner[0].orelse is None:
        test = expression(f"({code(node.test)}) and ({code(inner[0].test)})")
        yield node.with_changes(test=test, body=inner[0].body)


@refactoring(
    cst.IndentedBlock,
    examples=[
        ("def f(a):\n    if a > 1:\n        return True\n    return False", "def f(a):\n    return a > 1"),
        (
            "def f(a):\n    if a > 1:\n        return False\n    else:\n        return True",
            "def f(a):\n    return a <= 1",
        ),
        ("def f(a):\n    return a > 1", "def f(a):\n    if a > 1:\n        return True\n    return False"),
    ],
)
def boolean_return(site: Site) -> Iterator[cst.CSTNode]:
    """A condition is returned directly, or through a branch."""
    body = body_of(site.node)
    for i, item in enumerate(body):
        leaving = small(item)
        if isinstance(leaving, cst.Return) and isinstance(leaving.value, cst.Comparison):
            branch = statement(f"if {code(leaving.value)}:\n    return True\n")
            yield with_body(site.node, [*body[:i], branch, statement("return False\n")])
        if not isinstance(item, cst.If):
            continue
        other, rest = (item.orelse.body, 1) if isinstance(item.orelse, cst.Else) else (None, 2)
        then = _returned(body_of(item.body))
        otherwise = _returned(body_of(other)) if other is not None else _returned(body[i + 1 : i + 2])
        if isinstance(item.orelse, cst.If) or {then, otherwise} != {"True", "False"}:
            continue
        value = item.test if then == "True" else negated(item.test)
        yield with_body(site.node, [*body[:i], cst.SimpleStatementLine([cst.Return(value)]), *body[i + rest :]])


def _returned(body: object) -> str:
    """Text of the value that a block of one ``return`` returns."""
    if isinstance(body, tuple | list) and len(body) == 1:
        leaving = small(body[0])
        if isinstance(leaving, cst.Return) and leaving.value is not None:
            return code(leaving.value)
    return ""


@refactoring(
    cst.IndentedBlock,
    examples=[
        (
            "def f(a):\n    b = 0\n    c = a + 1\n    return b + c",
            "def f(a):\n    c = a + 1\n    b = 0\n    return b + c",
        )
    ],
    weight=1.5,
)
def independent_reorder(site: Site) -> Iterator[cst.CSTNode]:
    """Two independent neighbouring assignments are swapped."""
    body = body_of(site.node)
    for i in range(len(body) - 1):
        first, second = assigned_name(body[i]), assigned_name(body[i + 1])
        if not first or not second or first == second or not (_is_pure(body[i]) and _is_pure(body[i + 1])):
            continue
        if first not in variables(body[i + 1]) and second not in variables(body[i]):
            yield with_body(site.node, [*body[:i], body[i + 1], body[i], *body[i + 2 :]])


_PURE_CALLS = words("len sum min max abs sorted list set tuple dict str int float range zip enumerate")


def _is_pure(node: cst.CSTNode) -> bool:
    """Whether evaluating a node has no side effect, judged by the names it uses."""
    if isinstance(node, cst.Call) and call_name(node) not in _PURE_CALLS:
        return False
    return all(_is_pure(child) for _, _, child in children(node))


@refactoring(
    cst.SimpleStatementLine,
    examples=[("a = b = 0", "b = 0\na = b"), ("a, b = 1, c", "a = 1\nb = c")],
    weight=0.7,
)
def assignment_split(site: Site) -> Iterator[tuple[cst.CSTNode, ...]]:
    """A multiple assignment is split into one statement per variable."""
    node = small(site.node)
    if not isinstance(node, cst.Assign):
        return
    if len(node.targets) == 2:
        first, second = (code(target.target) for target in node.targets)
        yield statement(f"{second} = {code(node.value)}\n"), statement(f"{first} = {second}\n")
    target, value = node.targets[0].target, node.value
    if len(node.targets) == 1 and isinstance(target, cst.Tuple) and isinstance(value, cst.Tuple):
        if len(target.elements) != len(value.elements):
            return
        pairs = zip(target.elements, value.elements, strict=True)
        yield tuple(statement(f"{code(t.value)} = {code(v.value)}\n") for t, v in pairs)
