"""Refactorings of conditions: other forms of the same condition."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import call_name, code, expression, negated
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


def _sides(node: cst.CSTNode) -> tuple[str, cst.BaseCompOp, str] | None:
    """Left side, operator and right side of a comparison of two values."""
    if not isinstance(node, cst.Comparison) or len(node.comparisons) != 1:
        return None
    target = node.comparisons[0]
    return code(node.left), target.operator, code(target.comparator)


def is_condition(site: Site) -> bool:
    """Whether only the truth value matters here."""
    return site.parent is not None and (type(site.parent.node), site.name) in _CONDITIONS


@refactoring(cst.Comparison, examples=[("a < b", "b > a"), ("a == b", "b == a")])
def comparison_mirror(site: Site) -> Iterator[cst.CSTNode]:
    """The sides of a comparison are swapped, and its operator is mirrored."""
    sides = _sides(site.node)
    if sides and type(sides[1]) in _MIRRORS:
        yield expression(f"({sides[2]}) {_MIRRORS[type(sides[1])]} ({sides[0]})")


@refactoring(cst.Comparison, examples=[("a > 2", "a >= 3"), ("a <= 0", "a < 1"), ("a < b", "a <= b - 1")])
def comparison_shift(site: Site) -> Iterator[cst.CSTNode]:
    """A strict comparison of integers becomes an inclusive one with the next number, or vice versa."""
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
    """A chained comparison is split, or two comparisons with a common side are chained."""
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
    """A negated ``and`` becomes an ``or`` of negations, and so on."""
    node = site.node
    if isinstance(node, cst.UnaryOperation):
        inner = node.expression
        if isinstance(node.operator, cst.Not) and isinstance(inner, cst.BooleanOperation):
            word = "or" if isinstance(inner.operator, cst.And) else "and"
            yield expression(f"({code(negated(inner.left))}) {word} ({code(negated(inner.right))})")
    elif isinstance(node, cst.BooleanOperation) and is_condition(site):
        word = "or" if isinstance(node.operator, cst.And) else "and"
        yield expression(f"not (({code(negated(node.left))}) {word} ({code(negated(node.right))}))")


@refactoring(cst.IfExp, examples=[("a = b if c else d", "a = d if not c else b")])
def choice_inversion(site: Site) -> Iterator[cst.CSTNode]:
    """A conditional expression is negated and its sides are swapped."""
    node = site.node
    assert isinstance(node, cst.IfExp)
    yield expression(f"({code(node.orelse)}) if ({code(negated(node.test))}) else ({code(node.body)})")


@refactoring(cst.Comparison, examples=[("x % 2 == 0", "x % 2 != 1"), ("x % 2 == 1", "x % 2 != 0")])
def parity(site: Site) -> Iterator[cst.CSTNode]:
    """A parity test is replaced by the negated test of the other parity."""
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
    """Emptiness is tested on the container instead of its length."""
    node = site.node
    sides = _sides(node)
    if not sides or sides[2] != "0" or not isinstance(node, cst.Comparison) or call_name(node.left) != "len":
        return
    assert isinstance(node.left, cst.Call)
    if node.left.args and is_condition(site):
        container = code(node.left.args[0].value)
        if isinstance(sides[1], cst.Equal):
            yield expression(f"not ({container})")
        elif isinstance(sides[1], cst.GreaterThan | cst.NotEqual):
            yield expression(container)
