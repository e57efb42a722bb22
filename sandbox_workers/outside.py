"""Assert statements, split in two: calls of the program's functions, made inside, and the comparison, made outside.

``assert sorted(f([3, 1])) == [1, 3]`` becomes the call ``f([3, 1])`` and a condition over its value; the expected value
and the comparison never enter the program's process.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any, NamedTuple, Never

from . import bounded, cost, decoding, plain, syntax
from .cost import Json


class Unsplittable(Exception):  # noqa: N818 - not an error: another way of running the test is chosen
    """The statement is not one that can be decided outside."""


class SplitTest(NamedTuple):
    """One test: the calls to make inside, and the decision over their values, given as trees."""

    calls: tuple[CodeType, ...]
    holds: Callable[[Sequence[Json]], bool]


def split(statement: ast.stmt, entry_points: frozenset[str]) -> SplitTest:
    """Split one assert statement; ``entry_points`` are the names that mean the program's own functions.

    Raises:
        Unsplittable: it is not an assert, or compares in a way that is not known here.
    """
    if not isinstance(statement, ast.Assert):
        raise Unsplittable(type(statement).__name__)
    extractor = _CallExtractor(entry_points)
    condition = extractor.without_calls(statement.test)
    if not extractor.calls:
        raise Unsplittable("calls nothing of the program")
    if extractor.makes_objects and any(map(_compares_two_values, syntax.walk(condition))):
        raise Unsplittable("compares with an object of the program's")
    expected = _expected_of_plain_equality(condition)
    if expected is not None:
        try:
            return SplitTest(tuple(extractor.calls), equality(expected[0]))
        except plain.NotPlainError as error:
            raise Unsplittable(str(error)) from error
    if _may_leave_out_a_call(condition):
        raise Unsplittable("a call that may not be reached")
    _evaluate(condition, [None] * len(extractor.calls), dry=True)
    return SplitTest(
        tuple(extractor.calls), lambda trees: bool(_evaluate(condition, [_bounded(tree) for tree in trees]))
    )


def equality(
    expected: object, *, tuples_are_lists: bool = False, tolerance: tuple[float, float] = (0.0, 0.0)
) -> Callable[[Sequence[Json]], bool]:
    """Whether the only value equals ``expected``, as Python's ``==`` on built-in values says; with a tolerance, an
    absolute and a relative one, expected floats may differ by as much.
    """
    wanted = _tuples_to_lists(expected) if tuples_are_lists else expected
    limit = cost.size(plain.encode(expected), 1 << 30)

    def holds(trees: Sequence[Json]) -> bool:
        (tree,) = trees
        if cost.size(tree, limit) != limit:
            return False
        try:
            value = decoding.decode(tree)
        except plain.OpaqueError:
            return False
        value = _tuples_to_lists(value) if tuples_are_lists else value
        return bool(value == wanted) or (any(tolerance) and _is_near(value, wanted, *tolerance))

    return holds


def _is_near(value: object, wanted: object, abs_error: float, rel_error: float) -> bool:
    """Whether a value differs from the expected one in floats only, and in those by no more than the tolerance.

    An expected float may be answered by a whole number; an expected whole number has to be met exactly.
    """
    if isinstance(wanted, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return value == wanted or abs(value - wanted) <= max(abs_error, rel_error * abs(wanted)) < math.inf
    if isinstance(wanted, (list, tuple)) and isinstance(value, type(wanted)) and len(value) == len(wanted):
        return all(_is_near(*pair, abs_error, rel_error) for pair in zip(value, wanted, strict=True))
    if isinstance(wanted, dict) and isinstance(value, dict) and value.keys() == wanted.keys():
        return all(_is_near(value[key], item, abs_error, rel_error) for key, item in wanted.items())
    return bool(value == wanted)


def _tuples_to_lists(value: object) -> object:
    if isinstance(value, (list, tuple)):
        return [_tuples_to_lists(item) for item in value]
    if isinstance(value, dict):
        return {key: _tuples_to_lists(item) for key, item in value.items()}
    return value


def _bounded(tree: Json) -> object:
    if bounded.numbers_in_ranges(tree) > cost.MAX_DRAINED:
        raise ValueError("too large to be compared")
    return decoding.decode(tree)


def _may_leave_out_a_call(condition: ast.AST, outermost: bool = True) -> bool:
    """Whether Python might decide without one of the calls, all of which are made inside before anything is decided.

    In ``a and b`` or ``a < b < c`` itself it makes no difference: where the first half is false, the test has failed.
    """
    if isinstance(condition, ast.BoolOp):
        outermost = outermost and isinstance(condition.op, ast.And)
        if not outermost and any(
            isinstance(node, _Value) for part in condition.values[1:] for node in syntax.walk(part)
        ):
            return True
        return any(_may_leave_out_a_call(part, outermost) for part in condition.values)
    if isinstance(condition, ast.Compare) and not outermost:
        later = [node for part in condition.comparators[1:] for node in syntax.walk(part)]
        return any(isinstance(node, _Value) for node in later)
    return any(_may_leave_out_a_call(part, False) for part in ast.iter_child_nodes(condition))


def _compares_two_values(node: ast.AST) -> bool:
    return isinstance(node, ast.Compare) and sum(isinstance(x, _Value) for x in (node.left, *node.comparators)) > 1


def names_a_class(name: str) -> bool:
    """Whether a name of the program's is, by its form, that of a class, whose objects are no plain data."""
    return name[:1].isupper() and "_" not in name and not (name.isupper() and len(name) > 1)


class _Value(ast.expr):
    """Stands where a call of the program was."""

    _fields = ()

    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index


_SCOPES = (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class _CallExtractor:
    """Replaces each outermost call of an entry point by a ``_Value``. The tree that it is given stays as it is."""

    def __init__(self, entry_points: frozenset[str]) -> None:
        self._entry_points = entry_points
        self._are_names = all(map(str.isidentifier, entry_points))
        self.calls: list[CodeType] = []
        self.makes_objects = False

    def without_calls(self, node: ast.AST) -> ast.AST:
        """The node, or another one where something below it was replaced.

        Raises:
            Unsplittable: a call may depend on the code around it.
        """
        if isinstance(node, (ast.Constant, ast.Name)):
            return node
        if isinstance(node, _SCOPES):
            raise Unsplittable("the call may depend on a loop or a lambda around it")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self._entry_points:
            return self._call(node, node.func.id)
        fields = dict(ast.iter_fields(node))
        replaced = {name: self._part(part) for name, part in fields.items()}
        if all(replaced[name] is part for name, part in fields.items()):
            return node
        return ast.copy_location(type(node)(**replaced), node)

    def _part(self, part: object) -> object:
        if isinstance(part, list):
            items = [self._part(item) for item in part]
            return part if all(new is old for new, old in zip(items, part, strict=True)) else items
        return self.without_calls(part) if isinstance(part, ast.AST) else part

    def _call(self, node: ast.Call, name: str) -> _Value:
        self.makes_objects |= names_a_class(name)
        call = ast.Expression(node)
        if not self._are_names:
            call = ast.fix_missing_locations(ast.Expression(_SpelledOut().visit(node)))
        self.calls.append(compile(call, "test", "eval", dont_inherit=True))
        return _Value(len(self.calls) - 1)


class _SpelledOut(ast.NodeTransformer):
    """Makes an expression of a name that is one: an entry point such as ``Solution().total``, or ``Solution.total``."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        if node.id.isidentifier():
            return node
        owner, _, method = node.id.rpartition(".")
        return ast.parse(f"{owner.removesuffix('()')}().{method}", mode="eval").body


def _expected_of_plain_equality(condition: ast.AST) -> tuple[object] | None:
    """The literal of ``call == literal`` or ``literal == call``, in a tuple; None for any other condition."""
    match condition:
        case ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]):
            literal = right if isinstance(left, _Value) else left if isinstance(right, _Value) else None
            try:
                return None if literal is None else (ast.literal_eval(literal),)
            except (ValueError, TypeError, SyntaxError):
                return None
    return None


_COMPARISONS: dict[type[ast.cmpop], Callable[[Never, Never], object]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.In: lambda item, container: operator.contains(container, item),
    ast.NotIn: lambda item, container: not operator.contains(container, item),
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}


def _evaluate(node: ast.AST, values: Sequence[object], dry: bool = False) -> object:
    """The value of a condition over plain values. A dry run only asks whether it can be evaluated.

    Raises:
        Unsplittable: it holds something that is not known here.
    """

    def inner(part: ast.AST) -> object:
        return _evaluate(part, values, dry)

    match node:
        case _Value():
            return values[node.index]
        case ast.Constant():
            return node.value
        case ast.List() | ast.Tuple() | ast.Set():
            items = [inner(item) for item in node.elts]
            return None if dry else {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)](items)
        case ast.Dict(keys=keys) if None not in keys:
            pairs = [(inner(key), inner(item)) for key, item in zip(keys, node.values, strict=True) if key is not None]
            return None if dry else dict(pairs)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not inner(operand)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            value: Any = inner(operand)
            return None if dry else -value
        case ast.BoolOp():
            for part in node.values:
                result = inner(part)
                if not dry and bool(result) is isinstance(node.op, ast.Or):
                    break
            return result
        case ast.Compare():
            return _compare(node, [inner(part) for part in (node.left, *node.comparators)], dry)
        case ast.BinOp() if type(node.op) in bounded.ARITHMETIC:
            left, right = inner(node.left), inner(node.right)
            return None if dry else bounded.arithmetic(type(node.op), left, right)
        case ast.Call(args=arguments, keywords=keywords) if ast.unparse(node.func) in bounded.FUNCTIONS:
            positional = [inner(argument) for argument in arguments]
            named = {keyword.arg or "": inner(keyword.value) for keyword in keywords}
            return None if dry else bounded.FUNCTIONS[ast.unparse(node.func)](*positional, **named)
    raise Unsplittable(type(node).__name__)


def _compare(node: ast.Compare, operands: list[object], dry: bool) -> bool:
    if dry:
        return all(_COMPARISONS[type(comparison)] is not None for comparison in node.ops)
    pairs = zip(node.ops, operands, operands[1:], strict=False)
    return all(
        bool(_COMPARISONS[type(comparison)](left, right))  # type: ignore[arg-type]  # raises if it cannot
        for comparison, left, right in pairs
    )
