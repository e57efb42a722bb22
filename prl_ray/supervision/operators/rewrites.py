"""Refactorings of expressions: other words for the same value."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import (
    argument,
    call_name,
    code,
    expression,
    negated,
    plain_args,
    string_value,
    words,
)
from prl_ray.supervision.operators.registry import refactoring
from prl_ray.supervision.sites import Site

_MIRRORS: dict[type[cst.CSTNode], str] = {
    cst.LessThan: ">",
    cst.LessThanEqual: ">=",
    cst.GreaterThan: "<",
    cst.GreaterThanEqual: "<=",
    cst.Equal: "==",
    cst.NotEqual: "!=",
}
_SHIFTS: dict[type[cst.CSTNode], tuple[str, int]] = {
    cst.LessThan: ("<=", -1),
    cst.LessThanEqual: ("<", 1),
    cst.GreaterThan: (">=", 1),
    cst.GreaterThanEqual: (">", -1),
}
_NEGATIONS: dict[type[cst.CSTNode], str] = {
    cst.NotEqual: "==",
    cst.NotIn: "in",
    cst.IsNot: "is",
    cst.Equal: "!=",
    cst.LessThan: ">=",
    cst.GreaterThan: "<=",
    cst.LessThanEqual: ">",
    cst.GreaterThanEqual: "<",
}
_CONDITIONS = frozenset({(cst.If, "test"), (cst.While, "test"), (cst.CompIf, "test"), (cst.IfExp, "test")})
_CONSUMERS = words("sum any all min max list set tuple sorted dict")


def _sides(node: cst.CSTNode) -> tuple[str, cst.BaseCompOp, str] | None:
    """Left, operator and right of a comparison of two."""
    if not isinstance(node, cst.Comparison) or len(node.comparisons) != 1:
        return None
    target = node.comparisons[0]
    return code(node.left), target.operator, code(target.comparator)


def _is_condition(site: Site) -> bool:
    """Whether only the truth of the value matters here."""
    return site.parent is not None and (type(site.parent.node), site.name) in _CONDITIONS


@refactoring(cst.Comparison, examples=[("a < b", "b > a"), ("a == b", "b == a")])
def comparison_mirror(site: Site) -> Iterator[cst.CSTNode]:
    """The sides of a comparison change places, and its sign turns."""
    sides = _sides(site.node)
    if sides and type(sides[1]) in _MIRRORS:
        yield expression(f"({sides[2]}) {_MIRRORS[type(sides[1])]} ({sides[0]})")


@refactoring(cst.Comparison, examples=[("a > 2", "a >= 3"), ("a <= 0", "a < 1"), ("a < b", "a <= b - 1")])
def comparison_shift(site: Site) -> Iterator[cst.CSTNode]:
    """A strict comparison of whole numbers becomes an inclusive one with the next number, and the other way round."""
    sides = _sides(site.node)
    if not sides or type(sides[1]) not in _SHIFTS:
        return
    sign, by = _SHIFTS[type(sides[1])]
    if sides[2].lstrip("-").isdigit():
        yield expression(f"({sides[0]}) {sign} {int(sides[2]) + by}")
    else:
        yield expression(f"({sides[0]}) {sign} ({sides[2]}) {'+' if by > 0 else '-'} 1")


@refactoring(cst.Comparison, examples=[("a != b", "not a == b"), ("a not in b", "not a in b")], weight=0.5)
def comparison_negated(site: Site) -> Iterator[cst.CSTNode]:
    """A comparison becomes the negation of its opposite."""
    sides = _sides(site.node)
    if sides and type(sides[1]) in _NEGATIONS:
        yield expression(f"not (({sides[0]}) {_NEGATIONS[type(sides[1])]} ({sides[2]}))")


@refactoring(
    cst.Comparison,
    cst.BooleanOperation,
    examples=[("a < b < c", "a < b and b < c"), ("a < b and b < c", "a < b < c")],
)
def chained_comparison(site: Site) -> Iterator[cst.CSTNode]:
    """A chained comparison is split, or two that share a side are chained."""
    node = site.node
    if isinstance(node, cst.Comparison) and len(node.comparisons) == 2:
        first, second = node.comparisons
        middle = code(first.comparator)
        left = f"({code(node.left)}) {code(first.operator)} ({middle})"
        yield expression(f"{left} and ({middle}) {code(second.operator)} ({code(second.comparator)})")
    elif isinstance(node, cst.BooleanOperation) and isinstance(node.operator, cst.And):
        first_sides, second_sides = _sides(node.left), _sides(node.right)
        if first_sides and second_sides and first_sides[2] == second_sides[0]:
            left = f"({first_sides[0]}) {code(first_sides[1])} ({first_sides[2]})"
            yield expression(f"{left} {code(second_sides[1])} ({second_sides[2]})")


@refactoring(
    cst.BooleanOperation,
    cst.UnaryOperation,
    examples=[
        ("if a and b > 1:\n    c()", "if not (not a or b <= 1):\n    c()"),
        ("x = not (a or b)", "x = not a and (not b)"),
    ],
)
def de_morgan(site: Site) -> Iterator[cst.CSTNode]:
    """A negated ``and`` becomes an ``or`` of negations, and the like."""
    node = site.node
    if isinstance(node, cst.UnaryOperation):
        inner = node.expression
        if isinstance(node.operator, cst.Not) and isinstance(inner, cst.BooleanOperation):
            word = "or" if isinstance(inner.operator, cst.And) else "and"
            yield expression(f"({code(negated(inner.left))}) {word} ({code(negated(inner.right))})")
    elif isinstance(node, cst.BooleanOperation) and _is_condition(site):
        word = "or" if isinstance(node.operator, cst.And) else "and"
        yield expression(f"not (({code(negated(node.left))}) {word} ({code(negated(node.right))}))")


@refactoring(
    cst.BinaryOperation,
    cst.BooleanOperation,
    examples=[("a + 1", "1 + a"), ("a * b", "b * a"), ("if a and b:\n    c()", "if b and a:\n    c()")],
)
def commuted(site: Site) -> Iterator[cst.CSTNode]:
    """The operands of an operation that does not care about their order change places."""
    node = site.node
    if isinstance(node, cst.BinaryOperation):
        if isinstance(node.operator, cst.Add | cst.Multiply | cst.BitAnd | cst.BitOr | cst.BitXor):
            yield expression(f"({code(node.right)}) {code(node.operator)} ({code(node.left)})")
    elif isinstance(node, cst.BooleanOperation) and _is_condition(site):
        yield expression(f"({code(node.right)}) {code(node.operator)} ({code(node.left)})")


@refactoring(cst.IfExp, examples=[("a = b if c else d", "a = d if not c else b")])
def choice_inversion(site: Site) -> Iterator[cst.CSTNode]:
    """A conditional expression asks the opposite and swaps its sides."""
    node = site.node
    assert isinstance(node, cst.IfExp)
    yield expression(f"({code(node.orelse)}) if ({code(negated(node.test))}) else ({code(node.body)})")


@refactoring(cst.Comparison, examples=[("x % 2 == 0", "x % 2 != 1"), ("x % 2 == 1", "x % 2 != 0")])
def parity(site: Site) -> Iterator[cst.CSTNode]:
    """Even is not odd, and odd is not even."""
    sides = _sides(site.node)
    if sides and sides[0].replace(" ", "").endswith("%2") and sides[2] in ("0", "1"):
        sign = {cst.Equal: "!=", cst.NotEqual: "=="}.get(type(sides[1]))
        if sign:
            yield expression(f"({sides[0]}) {sign} {1 - int(sides[2])}")


@refactoring(
    cst.Comparison,
    examples=[("if len(a) == 0:\n    b()", "if not a:\n    b()"), ("if len(a) > 0:\n    b()", "if a:\n    b()")],
)
def length_truth(site: Site) -> Iterator[cst.CSTNode]:
    """Emptiness is asked of the container rather than of its length."""
    node = site.node
    sides = _sides(node)
    if not sides or sides[2] != "0" or not isinstance(node, cst.Comparison) or call_name(node.left) != "len":
        return
    assert isinstance(node.left, cst.Call)
    if node.left.args and _is_condition(site):
        container = code(node.left.args[0].value)
        if isinstance(sides[1], cst.Equal):
            yield expression(f"not ({container})")
        elif isinstance(sides[1], cst.GreaterThan | cst.NotEqual):
            yield expression(container)


@refactoring(
    cst.BinaryOperation,
    examples=[("x ** 2", "x * x"), ("x * x", "x ** 2"), ("x * 2", "x + x"), ("x - 1", "-1 + x")],
)
def arithmetic_identity(site: Site) -> Iterator[cst.CSTNode]:
    """A square is a product, twice is a sum, and a difference is a sum with a negative number."""
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
    """An empty literal becomes a call of its type, and the other way round."""
    table = {"[]": "list()", "{}": "dict()", "''": "str()", "list()": "[]", "dict()": "{}", "str()": "''"}
    if site.name != "target":
        other = table.get(code(site.node))
        if other is not None:
            yield expression(other)


@refactoring(cst.Call, examples=[("range(n)", "range(0, n)"), ("range(0, n)", "range(n)")])
def range_start(site: Site) -> Iterator[cst.CSTNode]:
    """The start of a range is said, or left out where it is 0."""
    node = site.node
    assert isinstance(node, cst.Call)
    if call_name(node) != "range" or not plain_args(node):
        return
    args = [code(arg.value) for arg in node.args]
    if len(args) == 1:
        yield expression(f"range(0, {args[0]})")
    elif len(args) == 2 and args[0] == "0":
        yield expression(f"range({args[1]})")


@refactoring(
    cst.Subscript,
    examples=[("a[:n]", "a[0:n]"), ("a[1:]", "a[1:len(a)]"), ("a[0:n]", "a[:n]"), ("a[-1]", "a[len(a) - 1]")],
)
def slice_ends(site: Site) -> Iterator[cst.CSTNode]:
    """The ends of a slice are said, or left out; the last element is counted from the front."""
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
    """A text or list is turned round by ``reversed``."""
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
    """A call is written with what it is defined by."""
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
    """A consumed generator becomes a list, and the other way round."""
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
    """``map`` and ``filter`` become comprehensions, and the other way round."""
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
    """An f-string becomes a call of ``format``, and the other way round."""
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
