"""Refactorings of expressions: other forms of the same value."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import (
    argument,
    call_name,
    code,
    expression,
    plain_args,
    range_args,
    string_value,
    words,
)
from prl_ray.supervision.operators.conditions import is_condition
from prl_ray.supervision.operators.registry import refactoring
from prl_ray.supervision.sites import Site

_CONSUMERS = words("sum any all min max list set tuple sorted dict")


@refactoring(
    cst.BinaryOperation,
    cst.BooleanOperation,
    examples=[("a + 1", "1 + a"), ("a * b", "b * a"), ("if a and b:\n    c()", "if b and a:\n    c()")],
)
def commuted(site: Site) -> Iterator[cst.CSTNode]:
    """The operands of a commutative operation are swapped."""
    node = site.node
    if isinstance(node, cst.BinaryOperation):
        if isinstance(node.operator, cst.Add | cst.Multiply | cst.BitAnd | cst.BitOr | cst.BitXor):
            yield expression(f"({code(node.right)}) {code(node.operator)} ({code(node.left)})")
    elif isinstance(node, cst.BooleanOperation) and is_condition(site):
        yield expression(f"({code(node.right)}) {code(node.operator)} ({code(node.left)})")


@refactoring(
    cst.BinaryOperation,
    examples=[("x ** 2", "x * x"), ("x * x", "x ** 2"), ("x * 2", "x + x"), ("x - 1", "-1 + x")],
)
def arithmetic_identity(site: Site) -> Iterator[cst.CSTNode]:
    """A square becomes a product, a double a sum, a difference a sum with a negative number, or vice versa."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    left, right = code(node.left), code(node.right)
    if isinstance(node.operator, cst.Power) and right == "2" and isinstance(node.left, cst.Name):
        yield expression(f"{left} * {left}")
    if isinstance(node.operator, cst.Multiply):
        if left == right:
            yield expression(f"({left}) ** 2")
        if right == "2" and isinstance(node.left, cst.Name):
            yield expression(f"{left} + {left}")
    if isinstance(node.operator, cst.Subtract) and isinstance(node.right, cst.Integer):
        yield expression(f"-{right} + ({left})")


@refactoring(
    cst.List,
    cst.Dict,
    cst.Call,
    cst.SimpleString,
    examples=[("a = []", "a = list()"), ("a = dict()", "a = {}"), ("a = ''", "a = str()")],
    weight=0.5,
)
def literal_constructor(site: Site) -> Iterator[cst.CSTNode]:
    """An empty literal becomes a call of its type, or vice versa."""
    table = {"[]": "list()", "{}": "dict()", "''": "str()", "list()": "[]", "dict()": "{}", "str()": "''"}
    if site.name != "target":
        other = table.get(code(site.node))
        if other is not None:
            yield expression(other)


@refactoring(cst.Call, examples=[("range(n)", "range(0, n)"), ("range(0, n)", "range(n)")])
def range_start(site: Site) -> Iterator[cst.CSTNode]:
    """The start of a range is written out, or omitted if it is 0."""
    args = range_args(site.node)
    if len(args) == 1:
        yield expression(f"range(0, {args[0]})")
    elif len(args) == 2 and args[0] == "0":
        yield expression(f"range({args[1]})")


@refactoring(
    cst.Subscript,
    examples=[("a[:n]", "a[0:n]"), ("a[1:]", "a[1:len(a)]"), ("a[0:n]", "a[:n]"), ("a[-1]", "a[len(a) - 1]")],
)
def slice_ends(site: Site) -> Iterator[cst.CSTNode]:
    """The ends of a slice are written out or omitted; the last element is indexed from the front."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    if not isinstance(node.value, cst.Name) or len(node.slice) != 1:
        return
    base, part = node.value.value, node.slice[0].slice
    if isinstance(part, cst.Index):
        if code(part.value) == "-1":
            yield expression(f"{base}[len({base}) - 1]")
    elif isinstance(part, cst.Slice) and part.step is None:
        lower, upper = (code(p) if p else "" for p in (part.lower, part.upper))
        if upper and not lower:
            yield expression(f"{base}[0:{upper}]")
        if lower == "0" and upper:
            yield expression(f"{base}[:{upper}]")
        if lower and not upper:
            yield expression(f"{base}[{lower}:len({base})]")


@refactoring(
    cst.Subscript,
    examples=[("a = s[::-1]", "a = ''.join(reversed(s))"), ("a = s[::-1]", "a = list(reversed(s))")],
)
def reversal(site: Site) -> Iterator[cst.CSTNode]:
    """A string or list is reversed by ``reversed``."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    if len(node.slice) == 1 and code(node.slice[0].slice) == "::-1":
        yield expression(f"''.join(reversed({code(node.value)}))")
        yield expression(f"list(reversed({code(node.value)}))")


@refactoring(
    cst.Call,
    examples=[("sorted(a, reverse=True)", "sorted(a)[::-1]"), ("abs(a)", "a if a >= 0 else -a")],
    weight=0.7,
)
def call_identity(site: Site) -> Iterator[cst.CSTNode]:
    """A call is replaced by its definition."""
    node = site.node
    assert isinstance(node, cst.Call)
    args = [argument(arg).replace(" ", "") for arg in node.args]
    name = call_name(node)
    if name == "sorted" and len(args) == 2 and args[1] == "reverse=True":
        yield expression(f"sorted({code(node.args[0].value)})[::-1]")
    elif name == "abs" and len(args) == 1 and isinstance(node.args[0].value, cst.Name):
        yield expression(f"{args[0]} if {args[0]} >= 0 else -{args[0]}")
    elif name in ("min", "max") and len(args) == 2 and plain_args(node):
        left, right = (code(arg.value) for arg in node.args)
        sign = "<=" if name == "min" else ">="
        yield expression(f"({left}) if ({left}) {sign} ({right}) else ({right})")


@refactoring(
    cst.Call,
    examples=[("sum(x for x in a)", "sum([x for x in a])"), ("sum([x for x in a])", "sum((x for x in a))")],
)
def generator_list(site: Site) -> Iterator[cst.CSTNode]:
    """A consumed generator becomes a list, or vice versa."""
    node = site.node
    assert isinstance(node, cst.Call)
    if not node.args or (call_name(node) not in _CONSUMERS and code(node.func)[-5:] != ".join"):
        return
    value = node.args[0].value
    if isinstance(value, cst.GeneratorExp | cst.ListComp):
        rest = "".join(", " + argument(arg) for arg in node.args[1:])
        left, right = ("[", "]") if isinstance(value, cst.GeneratorExp) else ("(", ")")
        inner = f"{code(value.elt)} {code(value.for_in)}"
        yield expression(f"{code(node.func)}({left}{inner}{right}{rest})")


@refactoring(
    cst.Call,
    cst.ListComp,
    examples=[
        ("a = list(map(f, b))", "a = [f(x) for x in b]"),
        ("a = [f(x) for x in b]", "a = list(map(f, b))"),
        ("a = list(filter(f, b))", "a = [x for x in b if f(x)]"),
        ("a = list(map(lambda y: y + 1, b))", "a = [y + 1 for y in b]"),
    ],
)
def map_comprehension(site: Site) -> Iterator[cst.CSTNode]:
    """``map`` and ``filter`` become comprehensions, or vice versa."""
    node = site.node
    if isinstance(node, cst.ListComp):
        clause, element = node.for_in, node.elt
        simple = not clause.ifs and clause.inner_for_in is None and call_name(element)
        if simple and isinstance(element, cst.Call) and [code(a) for a in element.args] == [code(clause.target)]:
            yield expression(f"list(map({call_name(element)}, {code(clause.iter)}))")
        return
    if not isinstance(node, cst.Call) or call_name(node) != "list" or len(node.args) != 1:
        return
    inner = node.args[0].value
    if not isinstance(inner, cst.Call) or call_name(inner) not in ("map", "filter") or len(inner.args) != 2:
        return
    function, source = inner.args[0].value, code(inner.args[1].value)
    if isinstance(function, cst.Lambda) and len(function.params.params) == 1:
        variable = function.params.params[0].name.value
        applied = code(function.body)
    else:
        variable = next(iter(site.free_names(("x", "v", "item", "e"))), "x")
        applied = f"{code(function)}({variable})"
    if call_name(inner) == "map":
        yield expression(f"[{applied} for {variable} in {source}]")
    else:
        yield expression(f"[{variable} for {variable} in {source} if {applied}]")


@refactoring(
    cst.FormattedString,
    cst.Call,
    examples=[("a = f'{b} of {c}'", "a = '{} of {}'.format(b, c)"), ("a = '{}-{}'.format(b, c)", "a = f'{b}-{c}'")],
)
def string_format(site: Site) -> Iterator[cst.CSTNode]:
    """An f-string becomes a call of ``format``, or vice versa."""
    node = site.node
    if isinstance(node, cst.FormattedString):
        text, values = "", []
        for part in node.parts:
            if isinstance(part, cst.FormattedStringText):
                text += part.value
            elif isinstance(part, cst.FormattedStringExpression) and not part.conversion and not part.format_spec:
                text += "{}"
                values.append(code(part.expression))
            else:
                return
        if values and "\\" not in text:
            yield expression(f"{text!r}.format({', '.join(values)})")
    elif isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) and node.func.attr.value == "format":
        template = string_value(node.func.value)
        if template is None or not plain_args(node) or template.count("{}") != len(node.args):
            return
        values = [code(arg.value) for arg in node.args]
        if template.count("{") != len(values) or any(c in "".join(values) for c in "'\"\\{}"):
            return  # named or formatted fields; quotes nest only since Python 3.12
        first, *pieces = template.split("{}")
        yield expression("f" + repr(first + "".join(f"{{{v}}}{p}" for v, p in zip(values, pieces, strict=True))))
