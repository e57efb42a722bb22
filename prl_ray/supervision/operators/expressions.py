"""Mutations of operators and conditions."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import code, expression, negated
from prl_ray.supervision.operators.registry import mutation
from prl_ray.supervision.sites import Site

_BOUNDARIES: dict[type[cst.CSTNode], cst.BaseCompOp] = {
    cst.LessThan: cst.LessThanEqual(),
    cst.LessThanEqual: cst.LessThan(),
    cst.GreaterThan: cst.GreaterThanEqual(),
    cst.GreaterThanEqual: cst.GreaterThan(),
}
_FLIPS: dict[type[cst.CSTNode], cst.BaseCompOp] = {
    cst.LessThan: cst.GreaterThan(),
    cst.LessThanEqual: cst.GreaterThanEqual(),
    cst.GreaterThan: cst.LessThan(),
    cst.GreaterThanEqual: cst.LessThanEqual(),
    cst.Equal: cst.NotEqual(),
    cst.NotEqual: cst.Equal(),
    cst.In: cst.NotIn(),
    cst.NotIn: cst.In(),
    cst.Is: cst.IsNot(),
    cst.IsNot: cst.Is(),
}
_ARITHMETIC: dict[type[cst.CSTNode], tuple[str, ...]] = {
    cst.Add: ("-", "*"),
    cst.Subtract: ("+",),
    cst.Multiply: ("+", "//"),
    cst.Divide: ("*", "//"),
    cst.FloorDivide: ("/", "%", "*"),
    cst.Modulo: ("//", "*"),
    cst.Power: ("*", "+"),
    cst.BitAnd: ("|", "^"),
    cst.BitOr: ("&", "^"),
    cst.BitXor: ("&", "|"),
    cst.LeftShift: (">>",),
    cst.RightShift: ("<<",),
}
_AUGMENTED: dict[type[cst.CSTNode], tuple[cst.BaseAugOp, ...]] = {
    cst.AddAssign: (cst.SubtractAssign(), cst.MultiplyAssign()),
    cst.SubtractAssign: (cst.AddAssign(),),
    cst.MultiplyAssign: (cst.AddAssign(), cst.FloorDivideAssign()),
    cst.DivideAssign: (cst.MultiplyAssign(), cst.FloorDivideAssign()),
    cst.FloorDivideAssign: (cst.DivideAssign(), cst.MultiplyAssign(), cst.ModuloAssign()),
    cst.ModuloAssign: (cst.FloorDivideAssign(),),
    cst.PowerAssign: (cst.MultiplyAssign(),),
    cst.BitAndAssign: (cst.BitOrAssign(),),
    cst.BitOrAssign: (cst.BitAndAssign(),),
    cst.BitXorAssign: (cst.BitOrAssign(),),
    cst.LeftShiftAssign: (cst.RightShiftAssign(),),
    cst.RightShiftAssign: (cst.LeftShiftAssign(),),
}


def _with_operators(site: Site, table: dict[type[cst.CSTNode], cst.BaseCompOp]) -> Iterator[cst.CSTNode]:
    node = site.node
    assert isinstance(node, cst.Comparison)
    for i, target in enumerate(node.comparisons):
        other = table.get(type(target.operator))
        if other is not None:
            changed = target.with_changes(operator=other)
            yield node.with_changes(comparisons=[*node.comparisons[:i], changed, *node.comparisons[i + 1 :]])


@mutation(cst.Comparison, examples=[("a < b", "a <= b"), ("0 < a <= b", "0 < a < b")])
def comparison_boundary(site: Site) -> Iterator[cst.CSTNode]:
    """A strict comparison becomes inclusive, or vice versa."""
    yield from _with_operators(site, _BOUNDARIES)


@mutation(cst.Comparison, examples=[("a < b", "a > b"), ("a in b", "a not in b"), ("a == b", "a != b")])
def comparison_flip(site: Site) -> Iterator[cst.CSTNode]:
    """A comparison is reversed or negated."""
    yield from _with_operators(site, _FLIPS)


@mutation(cst.BinaryOperation, examples=[("a * (b + c)", "a + (b + c)"), ("a % b", "a // b")], weight=1.5)
def arithmetic(site: Site) -> Iterator[cst.CSTNode]:
    """An arithmetic operator is confused with a similar one."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation)
    for other in _ARITHMETIC.get(type(node.operator), ()):
        yield expression(f"({code(node.left)}) {other} ({code(node.right)})")


@mutation(cst.AugAssign, examples=[("a += b", "a -= b"), ("a += b", "a = b")])
def augmented_arithmetic(site: Site) -> Iterator[cst.CSTNode]:
    """An augmented assignment uses another operator, or overwrites the old value."""
    node = site.node
    assert isinstance(node, cst.AugAssign)
    for other in _AUGMENTED.get(type(node.operator), ()):
        yield node.with_changes(operator=other)
    yield cst.Assign([cst.AssignTarget(node.target)], node.value)


@mutation(cst.BooleanOperation, examples=[("a and b", "a or b"), ("a or b", "a and b")])
def logical_connective(site: Site) -> Iterator[cst.CSTNode]:
    """``and`` becomes ``or``, or vice versa."""
    node = site.node
    assert isinstance(node, cst.BooleanOperation)
    other = "or" if isinstance(node.operator, cst.And) else "and"
    yield expression(f"({code(node.left)}) {other} ({code(node.right)})")


@mutation(
    cst.If,
    cst.While,
    cst.IfExp,
    cst.CompIf,
    examples=[
        ("if a:\n    b()", "if not a:\n    b()"),
        ("[x for x in y if x < 2]", "[x for x in y if x >= 2]"),
        ("a = b if c else d", "a = b if not c else d"),
    ],
)
def negated_condition(site: Site) -> Iterator[cst.CSTNode]:
    """A condition is negated."""
    node = site.node
    assert isinstance(node, cst.If | cst.While | cst.IfExp | cst.CompIf)
    yield node.with_changes(test=negated(node.test))


@mutation(cst.BinaryOperation, cst.Comparison, examples=[("a - b", "b - a"), ("a < b", "b < a")], weight=0.7)
def operand_swap(site: Site) -> Iterator[cst.CSTNode]:
    """The operands of an operator that does not commute are swapped; sums too, which may join strings or lists."""
    node = site.node
    if isinstance(node, cst.BinaryOperation):
        sign = code(node.operator)
        yield expression(f"({code(node.right)}) {sign} ({code(node.left)})")
    elif isinstance(node, cst.Comparison) and len(node.comparisons) == 1:
        target = node.comparisons[0]
        if not isinstance(target.operator, cst.Equal | cst.NotEqual | cst.Is | cst.IsNot):
            yield expression(f"({code(target.comparator)}) {code(target.operator)} ({code(node.left)})")


@mutation(
    cst.BinaryOperation,
    cst.BooleanOperation,
    examples=[("a + b", "a"), ("a + b", "b"), ("a and b", "a")],
    weight=0.7,
)
def operand_drop(site: Site) -> Iterator[cst.CSTNode]:
    """Only one operand of an operation is left."""
    node = site.node
    assert isinstance(node, cst.BinaryOperation | cst.BooleanOperation)
    yield expression(code(node.left))
    yield expression(code(node.right))


@mutation(cst.UnaryOperation, examples=[("a = -b", "a = b"), ("return not a", "return a")])
def unary_drop(site: Site) -> Iterator[cst.CSTNode]:
    """A sign or a ``not`` is missing."""
    node = site.node
    assert isinstance(node, cst.UnaryOperation)
    yield expression(code(node.expression))


@mutation(
    cst.CompFor,
    examples=[("[x for x in y if x > 2]", "[x for x in y]"), ("[x for x in y if x if z]", "[x for x in y if x]")],
)
def filter_deletion(site: Site) -> Iterator[cst.CSTNode]:
    """A comprehension forgets one of its conditions."""
    node = site.node
    assert isinstance(node, cst.CompFor)
    for i in range(len(node.ifs)):
        yield node.with_changes(ifs=[*node.ifs[:i], *node.ifs[i + 1 :]])


@mutation(cst.IfExp, examples=[("a = b if c else d", "a = b"), ("a = b if c else d", "a = d")])
def choice_deletion(site: Site) -> Iterator[cst.CSTNode]:
    """A conditional expression is replaced by one of its sides."""
    node = site.node
    assert isinstance(node, cst.IfExp)
    yield expression(code(node.body))
    yield expression(code(node.orelse))
