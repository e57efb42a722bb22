"""Mutations of numbers, bounds, strings and containers."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import call_name, code, expression, range_args, string_value
from prl_ray.supervision.operators.registry import mutation
from prl_ray.supervision.sites import Site

_IN_RANGE = (cst.Arg, "value"), (cst.Call, "args")


def _is_bound(site: Site) -> bool:
    """Whether a constant is a direct argument of ``range`` or a bound of a slice, which have their own operators."""
    above = site.parent
    if above is not None and isinstance(above.node, cst.Slice):
        return True
    call = above.parent if above is not None and site.within(*_IN_RANGE) else None
    return call is not None and call_name(call.node) == "range"


def _shifted(text: str, by: int) -> str:
    """``text`` plus ``by``, simplified if the text is a number or ends in ± a number."""
    try:
        return str(int(text) + by)
    except ValueError:
        pass
    node = cst.parse_expression(text)
    if isinstance(node, cst.BinaryOperation) and isinstance(node.right, cst.Integer):
        sign = {cst.Add: 1, cst.Subtract: -1}.get(type(node.operator))
        if sign is not None:
            total = sign * int(node.right.value, 0) + by
            left = code(node.left)
            return left if total == 0 else f"{left} {'+' if total > 0 else '-'} {abs(total)}"
    return f"({text}) {'+' if by > 0 else '-'} {abs(by)}"


@mutation(cst.Integer, examples=[("a + 3", "a + 4"), ("a[0]", "a[1]"), ("x % 2 == 0", "x % 3 == 0")], weight=1.5)
def off_by_one(site: Site) -> Iterator[cst.CSTNode]:
    """An integer is one too large or too small."""
    node = site.node
    assert isinstance(node, cst.Integer)
    if not _is_bound(site):
        value = int(node.value, 0)
        for other in (value + 1, value - 1):
            yield expression(str(other))


@mutation(cst.Float, examples=[("a * 0.5", "a * 1.5"), ("a * 3.14", "a * 4.14")])
def wrong_float(site: Site) -> Iterator[cst.CSTNode]:
    """A float is off by one, or lacks its fraction."""
    node = site.node
    assert isinstance(node, cst.Float)
    value = float(node.value)
    for other in (value + 1, float(int(value)) if abs(value) < 1e15 else value):
        yield expression(f"{other:.12g}" if other != int(other) else f"{other:.1f}")


@mutation(
    cst.Call,
    examples=[
        ("range(n)", "range(n - 1)"),
        ("range(n)", "range(1, n)"),
        ("range(n + 1)", "range(n)"),
        ("range(1, n)", "range(1, n + 1)"),
        ("range(0, n, 2)", "range(0, n)"),
    ],
)
def range_bounds(site: Site) -> Iterator[cst.CSTNode]:
    """A range starts or ends one off, or lacks its step."""
    args = range_args(site.node)
    if len(args) == 1:
        yield expression(f"range(1, {args[0]})")
    if len(args) == 3:
        yield expression(f"range({args[0]}, {args[1]})")
    for i, arg in enumerate(args[:2]):
        for by in (1, -1):
            yield expression(f"range({', '.join([*args[:i], _shifted(arg, by), *args[i + 1 :]])})")
    if len(args) == 2:
        yield expression(f"range({args[1]})")


@mutation(
    cst.Slice,
    examples=[
        ("a[1:n]", "a[2:n]"),
        ("a[:n]", "a[:n - 1]"),
        ("a[1:]", "a[:]"),
        ("a[::-1]", "a[::1]"),
        ("a[::2]", "a[:2]"),
        ("a[1:]", "a[:1]"),
    ],
)
def slice_bounds(site: Site) -> Iterator[cst.CSTNode]:
    """A slice starts or ends one off, lacks a bound, or confuses its bounds."""
    node = site.node
    assert isinstance(node, cst.Slice)
    lower, upper, step = (code(part) if part else "" for part in (node.lower, node.upper, node.step))

    def made(low: str, high: str, by: str) -> cst.CSTNode:
        parsed = cst.parse_expression(f"x[{low}:{high}" + (f":{by}]" if by else "]"))
        assert isinstance(parsed, cst.Subscript)
        return parsed.slice[0].slice

    for by in (1, -1):
        if lower:
            yield made(_shifted(lower, by), upper, step)
        if upper:
            yield made(lower, _shifted(upper, by), step)
    if lower:
        yield made("", upper, step)
    if upper:
        yield made(lower, "", step)
    if bool(lower) != bool(upper):
        yield made(upper, lower, step)
    if step:
        yield made(lower, upper, str(-int(step)) if step.lstrip("-").isdigit() else "")
        if not upper:
            yield made(lower, step, "")


@mutation(
    cst.Subscript,
    examples=[("a[i]", "a[i + 1]"), ("a[i - 1]", "a[i]"), ("a[0]", "a[-1]"), ("a[-1]", "a[0]"), ("a[i][j]", "a[j][i]")],
)
def wrong_index(site: Site) -> Iterator[cst.CSTNode]:
    """An index is one off, counts from the other end, or row and column are swapped."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    if len(node.slice) != 1 or not isinstance(node.slice[0].slice, cst.Index):
        return
    base, index = code(node.value), code(node.slice[0].slice.value)
    if index in ("0", "-1"):
        yield expression(f"({base})[{'-1' if index == '0' else '0'}]")
    elif string_value(node.slice[0].slice.value) is None and not index.lstrip("-").isdigit():
        for by in (1, -1):
            yield expression(f"({base})[{_shifted(index, by)}]")
    inner = node.value
    if isinstance(inner, cst.Subscript) and len(inner.slice) == 1 and isinstance(inner.slice[0].slice, cst.Index):
        yield expression(f"({code(inner.value)})[{index}][{code(inner.slice[0].slice.value)}]")


@mutation(
    cst.SimpleString,
    examples=[("a == 'yes'", "a == 'ye'"), ("a = ' '", "a = ''"), ("a = 'x'", "a = 'X'"), ("a = ''", "a = ' '")],
)
def string_constant(site: Site) -> Iterator[cst.CSTNode]:
    """A string is empty, truncated, in the wrong case, or has an extra space."""
    value = string_value(site.node)
    statement = site.parent.node if site.parent else None
    if value is None or isinstance(statement, cst.Expr):  # a docstring
        return
    for other in (value[:-1], value.swapcase(), value + " " if value != " " else ", ", value[::-1]):
        yield expression(repr(other))


@mutation(
    cst.List,
    cst.Tuple,
    cst.Set,
    cst.Dict,
    examples=[
        ("a = [1, 2]", "a = [1]"),
        ("a = (b, c)", "a = (c, b)"),
        ("a = []", "a = [0]"),
        ("a = {'x': 1, 'y': 2}", "a = {'y': 2}"),
    ],
)
def container_constant(site: Site) -> Iterator[cst.CSTNode]:
    """A container lacks an element, has two in the wrong order, or is not empty at first."""
    node = site.node
    assert isinstance(node, cst.List | cst.Tuple | cst.Set | cst.Dict)
    if site.name in ("target", "item") or (site.parent and isinstance(site.parent.node, cst.Element)):
        return
    items = [code(element.with_changes(comma=cst.MaybeSentinel.DEFAULT)) for element in node.elements]
    if not items:
        if isinstance(node, cst.List):
            yield expression("[0]")
        return
    versions = [items[:i] + items[i + 1 :] for i in range(len(items))] if len(items) > 1 else []
    if not isinstance(node, cst.Set | cst.Dict):
        versions += [[*items[:i], items[i + 1], items[i], *items[i + 2 :]] for i in range(len(items) - 1)]
    for version in versions:
        inner = ", ".join(version)
        if isinstance(node, cst.List):
            yield expression(f"[{inner}]")
        else:
            yield expression(f"({inner},)" if isinstance(node, cst.Tuple) else f"{{{inner}}}")


@mutation(cst.Name, examples=[("return True", "return False"), ("a = False", "a = True")])
def boolean_constant(site: Site) -> Iterator[cst.CSTNode]:
    """``True`` becomes ``False``, or vice versa."""
    node = site.node
    assert isinstance(node, cst.Name)
    if node.value in ("True", "False"):
        yield cst.Name("False" if node.value == "True" else "True")


@mutation(
    cst.Assign,
    examples=[
        ("total = 0", "total = 1"),
        ("product = 1", "product = 0"),
        ("best = float('inf')", "best = 0"),
        ("best = xs[0]", "best = 0"),
        ("out = ''", "out = ' '"),
        ("last = None", "last = 0"),
    ],
    weight=0.7,
)
def initial_value(site: Site) -> Iterator[cst.CSTNode]:
    """A variable has the wrong initial value."""
    node = site.node
    assert isinstance(node, cst.Assign)
    if not isinstance(node.targets[0].target, cst.Name):
        return
    text = code(node.value)
    table = {
        "0": ["1", "-1"],
        "1": ["0", "2"],
        "''": ["' '"],
        "None": ["0"],
        "float('inf')": ["0", "float('-inf')"],
        "float('-inf')": ["0", "float('inf')"],
        "[]": ["[0]", "[[]]"],
        "0.0": ["1.0"],
        "{}": ["set()"],
        "set()": ["[]"],
    }
    others = table.get(text, [])
    if isinstance(node.value, cst.Subscript) and text.endswith("[0]"):
        others = ["0"]
    for other in others:
        yield node.with_changes(value=expression(other))
