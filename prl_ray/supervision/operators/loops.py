"""Refactorings between comprehensions, ``for`` and ``while``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libcst as cst

from prl_ray.supervision.operators.build import (
    body_of,
    call_name,
    code,
    method_name,
    plain_args,
    small,
    statement,
    with_body,
)
from prl_ray.supervision.operators.registry import refactoring
from prl_ray.supervision.operators.renames import COLLECTIONS, LOOP_VARIABLES, RESULTS, assigned_name
from prl_ray.supervision.sites import Site, children, variables


@refactoring(
    cst.IndentedBlock,
    examples=[
        (
            "def f(a):\n    b = []\n    for x in a:\n        if x > 2:\n            b.append(x + 1)\n    return b",
            "def f(a):\n    b = [x + 1 for x in a if x > 2]\n    return b",
        ),
        (
            "def f(a):\n    b = 0\n    for x in a:\n        b += x\n    return b",
            "def f(a):\n    b = sum((x for x in a))\n    return b",
        ),
    ],
)
def loop_to_comprehension(site: Site) -> Iterator[cst.CSTNode]:
    """A loop that builds a list or a sum becomes a comprehension."""
    body = body_of(site.node)
    for i in range(len(body) - 1):
        name, loop = assigned_name(body[i]), body[i + 1]
        if not name or not isinstance(loop, cst.For) or loop.orelse is not None:
            continue
        start = small(body[i])
        assert isinstance(start, cst.Assign)
        made = _comprehension(name, code(start.value), loop)
        if made:
            yield with_body(site.node, [*body[:i], statement(f"{name} = {made}\n"), *body[i + 2 :]])


def _comprehension(name: str, start: str, loop: cst.For) -> str:
    """The comprehension that is equivalent to a loop, or an empty string."""
    condition, inner = "", body_of(loop.body)
    if len(inner) == 1 and isinstance(inner[0], cst.If) and inner[0].orelse is None:
        condition, inner = f" if {code(inner[0].test)}", body_of(inner[0].body)
    step = small(inner[0]) if len(inner) == 1 else None
    clause = f"for {code(loop.target)} in ({code(loop.iter)}){condition}"
    if name in variables(loop.iter) or name in condition.split():
        return ""
    if isinstance(step, cst.Expr) and start == "[]" and method_name(step.value) == "append":
        call = step.value
        assert isinstance(call, cst.Call) and isinstance(call.func, cst.Attribute)
        if code(call.func.value) == name and name not in variables(call.args[0].value):
            return f"[{code(call.args[0].value)} {clause}]"
    adds = isinstance(step, cst.AugAssign) and isinstance(step.operator, cst.AddAssign) and code(step.target) == name
    if isinstance(step, cst.AugAssign) and adds and start == "0" and name not in variables(step.value):
        return f"sum({code(step.value)} {clause})"
    return ""


@refactoring(
    cst.IndentedBlock,
    examples=[
        (
            "def f(a):\n    b = [x + 1 for x in a if x > 2]\n    return b",
            "def f(a):\n    b = []\n    for x in a:\n        if x > 2:\n            b.append(x + 1)\n    return b",
        ),
        (
            "def f(a):\n    a = [x + 1 for x in a]\n    return a",
            "def f(a):\n    values = []\n    for x in a:\n        values.append(x + 1)\n    a = values\n    return a",
        ),
        (
            "def f(a):\n    return [x for x in a if x]",
            "def f(a):\n    items = []\n    for x in a:\n        if x:\n            items.append(x)\n    return items",
        ),
    ],
    weight=1.5,
)
def comprehension_to_loop(site: Site) -> Iterator[cst.CSTNode]:
    """A list comprehension is written out as a loop."""
    body = body_of(site.node)
    for i, item in enumerate(body):
        node = small(item)
        value = node.value if isinstance(node, cst.Return | cst.Assign) else None
        if not isinstance(value, cst.ListComp) or node is None:
            continue
        clauses, names = _clauses(value.for_in)
        target = assigned_name(item)
        direct = bool(target) and target not in variables(value)
        for name in [target] if direct else site.free_names(COLLECTIONS)[:2]:
            lines = _nest(f"{name} = []\n", clauses, f"{name}.append({code(value.elt)})\n")
            if any(n in site.visible_names() for n in names) and isinstance(node, cst.Assign):
                continue  # the loop would overwrite a variable that the comprehension only shadows
            if not direct:
                lines.append(cst.SimpleStatementLine([node.with_changes(value=cst.Name(name))]))
            yield with_body(site.node, [*body[:i], *lines, *body[i + 1 :]])


def _clauses(clause: cst.CompFor | None) -> tuple[list[str], list[str]]:
    """Headers of the loops and branches of a comprehension, and the names that they bind."""
    headers: list[str] = []
    names: list[str] = []
    while clause is not None:
        headers.append(f"for {code(clause.target)} in {code(clause.iter)}:\n")
        headers += [f"if {code(condition.test)}:\n" for condition in clause.ifs]
        names += variables(clause.target)
        clause = clause.inner_for_in
    return headers, names


def _nest(start: str, headers: Sequence[str], step: str) -> list[cst.BaseStatement]:
    text = ""
    for depth, header in enumerate([*headers, step]):
        text += "    " * depth + header
    return [statement(start), statement(text)]


@refactoring(
    cst.IndentedBlock,
    examples=[
        (
            "def f(a):\n    return sum(a)",
            "def f(a):\n    result = 0\n    for x in a:\n        result += x\n    return result",
        ),
        (
            "def f(a):\n    return sum(b * b for b in a if b)",
            "def f(a):\n    result = 0\n    for b in a:\n        if b:\n            result += b * b\n    return result",
        ),
    ],
)
def sum_to_loop(site: Site) -> Iterator[cst.CSTNode]:
    """A sum is written out as a loop."""
    body = body_of(site.node)
    for i, item in enumerate(body):
        node = small(item)
        value = node.value if isinstance(node, cst.Return | cst.Assign) else None
        if node is None or not isinstance(value, cst.Call) or call_name(value) != "sum" or len(value.args) != 1:
            continue
        source = value.args[0].value
        if isinstance(source, cst.GeneratorExp | cst.ListComp):
            headers, _ = _clauses(source.for_in)
            added = code(source.elt)
        else:
            added = next(iter(site.free_names(LOOP_VARIABLES)), "x")
            headers = [f"for {added} in {code(source)}:\n"]
        for name in site.free_names(RESULTS)[:2]:
            lines = _nest(f"{name} = 0\n", headers, f"{name} += {added}\n")
            lines.append(cst.SimpleStatementLine([node.with_changes(value=cst.Name(name))]))
            yield with_body(site.node, [*body[:i], *lines, *body[i + 1 :]])


@refactoring(
    cst.For,
    examples=[
        ("for i in range(1, n):\n    a(i)", "i = 1\nwhile i < n:\n    a(i)\n    i += 1"),
        ("for i in range(n):\n    a(i)", "i = 0\nwhile i < n:\n    a(i)\n    i += 1"),
    ],
)
def for_to_while(site: Site) -> Iterator[tuple[cst.CSTNode, ...]]:
    """A loop over a range becomes a ``while`` loop with a counter."""
    node = site.node
    assert isinstance(node, cst.For)
    if not isinstance(node.target, cst.Name) or node.orelse is not None or _continues(node.body):
        return
    call, counter = node.iter, node.target.value
    if not isinstance(call, cst.Call) or call_name(call) != "range" or not plain_args(call) or not call.args:
        return
    args = [code(arg.value) for arg in call.args]
    start, end = ("0", args[0]) if len(args) == 1 else (args[0], args[1])
    step = args[2] if len(args) == 3 else "1"
    if not step.isdigit() or not isinstance(node.body, cst.IndentedBlock):
        return
    body = with_body(node.body, [*body_of(node.body), statement(f"{counter} += {step}\n")])
    loop = statement(f"while {counter} < ({end}):\n    pass\n").with_changes(body=body)
    yield statement(f"{counter} = {start}\n"), loop


@refactoring(
    cst.IndentedBlock,
    examples=[
        (
            "def f(n):\n    i = 1\n    while i < n:\n        a(i)\n        i += 1",
            "def f(n):\n    for i in range(1, n):\n        a(i)",
        )
    ],
)
def while_to_for(site: Site) -> Iterator[cst.CSTNode]:
    """A loop that counts becomes a loop over a range."""
    body = body_of(site.node)
    for i in range(len(body) - 1):
        counter, loop = assigned_name(body[i]), body[i + 1]
        if not counter or not isinstance(loop, cst.While) or loop.orelse is not None or _continues(loop.body):
            continue
        inner, test, start = body_of(loop.body), loop.test, small(body[i])
        last = small(inner[-1]) if inner else None
        if not isinstance(test, cst.Comparison) or code(test.left) != counter or len(test.comparisons) != 1:
            continue
        if last is None or code(last) != f"{counter} += 1" or len(inner) < 2:
            continue
        end = code(test.comparisons[0].comparator)
        end = {cst.LessThan: end, cst.LessThanEqual: f"{end} + 1"}.get(type(test.comparisons[0].operator), "")
        if end and isinstance(start, cst.Assign):
            header = statement(f"for {counter} in range({code(start.value)}, {end}):\n    pass\n")
            counted = header.with_changes(body=with_body(loop.body, inner[:-1]))
            yield with_body(site.node, [*body[:i], counted, *body[i + 2 :]])


@refactoring(
    cst.For,
    examples=[
        ("for x in a:\n    b(x)", "for i in range(len(a)):\n    x = a[i]\n    b(x)"),
    ],
    weight=0.7,
)
def loop_by_index(site: Site) -> Iterator[cst.CSTNode]:
    """The elements of a list are accessed by index."""
    node = site.node
    assert isinstance(node, cst.For)
    if not isinstance(node.iter, cst.Name) or not isinstance(node.body, cst.IndentedBlock):
        return
    source = node.iter.value
    for index in site.free_names(("i", "j", "k"))[:1]:
        taken = statement(f"{code(node.target)} = {source}[{index}]\n")
        header = statement(f"for {index} in range(len({source})):\n    pass\n")
        yield header.with_changes(body=with_body(node.body, [taken, *body_of(node.body)]), orelse=node.orelse)


def _continues(node: cst.CSTNode) -> bool:
    return isinstance(node, cst.Continue) or any(_continues(child) for _, _, child in children(node))
