"""Small helpers that read and build nodes. They parse text into nodes with parentheses wherever needed; the canonical
printer removes redundant ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import libcst as cst

_EMPTY = cst.Module(body=())


def code(node: cst.CSTNode) -> str:
    """The source text of a node."""
    return _EMPTY.code_for_node(node)


def expression(text: str) -> cst.BaseExpression:
    """An expression in parentheses, so that it can stand anywhere an operand can."""
    return cst.parse_expression(f"({text})")


def statement(text: str) -> cst.BaseStatement:
    """One statement, simple or compound."""
    parsed = cst.parse_statement(text)
    assert isinstance(parsed, cst.SimpleStatementLine | cst.BaseCompoundStatement)
    return parsed


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


def body_of(node: cst.CSTNode) -> Sequence[cst.BaseStatement]:
    """Statements of a block or module; empty for anything else."""
    return node.body if isinstance(node, cst.IndentedBlock | cst.Module) else ()


def with_body(node: cst.CSTNode, body: Sequence[cst.BaseStatement]) -> cst.CSTNode:
    """The block with other statements; ``pass`` if there are none."""
    if not body and isinstance(node, cst.IndentedBlock):
        body = [cst.SimpleStatementLine([cst.Pass()])]
    return node.with_changes(body=tuple(body))


def small(node: cst.CSTNode) -> cst.BaseSmallStatement | None:
    """The simple statement of a line (canonical programs have one per line), else None."""
    if isinstance(node, cst.SimpleStatementLine) and len(node.body) == 1:
        return node.body[0]
    return None


def negated(test: cst.BaseExpression) -> cst.BaseExpression:
    """The negation of a condition in its usual form: ``not x`` becomes ``x``, a comparison gets the opposite
    operator."""
    if isinstance(test, cst.UnaryOperation) and isinstance(test.operator, cst.Not):
        return test.expression
    if isinstance(test, cst.Comparison) and len(test.comparisons) == 1:
        opposite = OPPOSITES.get(type(test.comparisons[0].operator))
        if opposite is not None:
            return expression(f"({code(test.left)}) {opposite} ({code(test.comparisons[0].comparator)})")
    return expression(f"not ({code(test)})")


def call_name(node: cst.CSTNode) -> str:
    """Name of a plainly called function (``f`` of ``f(x)``), else an empty string."""
    return node.func.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Name) else ""


def method_name(node: cst.CSTNode) -> str:
    """Name of a called method (``m`` of ``x.m()``), else an empty string."""
    return node.func.attr.value if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else ""


def argument(node: cst.Arg) -> str:
    """Text of a call's argument without its comma."""
    return code(node.with_changes(comma=cst.MaybeSentinel.DEFAULT))


def plain_args(node: cst.Call) -> bool:
    """Whether a call has positional arguments only."""
    return all(arg.keyword is None and not arg.star for arg in node.args)


def range_args(node: cst.CSTNode) -> list[str]:
    """Texts of the arguments of a plain call of ``range``; empty for anything else."""
    if not isinstance(node, cst.Call) or call_name(node) != "range" or not plain_args(node):
        return []
    return [code(arg.value) for arg in node.args]


def is_docstring(node: cst.CSTNode) -> bool:
    """Whether a statement is a bare string."""
    inner = small(node)
    return isinstance(inner, cst.Expr) and isinstance(inner.value, cst.SimpleString | cst.ConcatenatedString)


def string_value(node: cst.CSTNode) -> str | None:
    """Value of a plain string literal, else None."""
    if not isinstance(node, cst.SimpleString):
        return None
    value = node.evaluated_value
    return value if isinstance(value, str) else None


OPPOSITES: dict[type[cst.CSTNode], str] = {
    cst.LessThan: ">=",
    cst.LessThanEqual: ">",
    cst.GreaterThan: "<=",
    cst.GreaterThanEqual: "<",
    cst.Equal: "!=",
    cst.NotEqual: "==",
    cst.In: "not in",
    cst.NotIn: "in",
    cst.Is: "is not",
    cst.IsNot: "is",
}
