"""Operations of conditions on a program's values, outside its process: each bounded by the cost of sending them.

A program chooses its values. Hashes can be made to collide, lists to be added up in quadratic time, numbers to grow: a
function here refuses (``ValueError``) work of more than about a tenth of a second.
"""

from __future__ import annotations

import ast
import math
import operator
from collections import Counter
from collections.abc import Callable, Iterable, Sized
from decimal import Decimal
from fractions import Fraction

from . import cost, decoding
from .cost import Json

ARITHMETIC: dict[type[ast.operator], Callable[[object, object], object]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}
_MOST_BITS = 1 << 16
_MOST_REPEATED = 1 << 22
_MOST_DIGITS = 5000
_TABLES = dict, set, frozenset
_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.items()))
_MOST_WORDS, _MOST_CANCELLING = 1 << 27, 10**13  # about a tenth of a second each


def _ordinary(function: Callable[..., object]) -> Callable[..., object]:
    """``function`` for numbers of ordinary size: ``int(Decimal("1e999999999"))`` would take all memory there is."""

    def guarded(value: object, *digits: object, **named: object) -> object:
        if isinstance(value, Decimal) and value.is_finite() and abs(value.adjusted()) > _MOST_DIGITS:
            raise ValueError("too large to be compared")
        if any(isinstance(number, int) and abs(number) > _MOST_DIGITS for number in (*digits, *named.values())):
            raise ValueError("too many digits")
        return function(value, *digits, **named)

    return guarded


def _table(kind: Callable[..., object]) -> Callable[..., object]:
    """A set or a count of values, unless their hashes were made to collide."""

    def guarded(*values: Iterable[object]) -> object:
        return kind(*(value if isinstance(value, _TABLES) else cost.hashable(value) for value in values))

    return guarded


Pairs = dict[object, object] | Iterable[tuple[object, object]]


def _dict(*values: Pairs, **named: object) -> dict[object, object]:
    pairs = [value if isinstance(value, dict) else list(value) for value in values]
    for value in pairs:
        cost.hashable(value if isinstance(value, dict) else (key for key, _ in value))
    found: dict[object, object] = dict(*pairs)
    for key, item in named.items():
        found[key] = item
    return found


def _sum(values: Iterable[object], start: object = 0) -> object:
    """``sum`` where it takes no longer than it took to send the values: lists are copied, fractions cancelled."""
    items = [*values, start]
    fractions = [item for item in items if isinstance(item, Fraction)]
    bits = sum(item.numerator.bit_length() + item.denominator.bit_length() for item in fractions)
    if len(items) * sum(map(_words, items)) > _MOST_WORDS or len(fractions) * bits**2 > _MOST_CANCELLING:
        raise ValueError("too large to be added up")
    return sum(items[:-1], start)  # type: ignore[call-overload]  # raises if they cannot be added


def _words(value: object) -> int:
    """Cost of adding a value, in copied words of memory."""
    if isinstance(value, (list, tuple)):
        return len(value) + 1
    if isinstance(value, int):
        return value.bit_length() // 64 + 1
    return 64 * (len(value) + 1) if isinstance(value, Sized) else 1  # a Counter adds in Python, key by key


_AS_THEY_ARE = (abs, all, any, bool, float, len, list, max, min, sorted, str, tuple, math.isclose)
FUNCTIONS: dict[str, Callable[..., object]] = {
    **{function.__name__: function for function in _AS_THEY_ARE},
    "math.isclose": math.isclose,
    "math.isnan": math.isnan,
    "int": _ordinary(int),
    "round": _ordinary(round),
    "sum": _sum,
    "dict": _dict,
    "set": _table(set),
    "frozenset": _table(frozenset),
    "Counter": _table(Counter),
}
"""Functions that conditions may call, by the names that tests call them by."""


def arithmetic(operation: type[ast.operator], left: object, right: object) -> object:
    """The result of one of ``ARITHMETIC``."""
    sizes = [number.bit_length() for number in (left, right) if isinstance(number, int)]
    if max(sizes, default=0) > _MOST_BITS:
        raise ValueError("too large a number to calculate with")
    if isinstance(left, _VIEWS) or isinstance(right, _VIEWS):
        raise ValueError("views of a dict make sets of what they are given")
    if operation is ast.Mult and not (_is_number(left) and _is_number(right)):
        length, times = (left, right) if _is_number(right) else (right, left)
        if isinstance(times, int) and isinstance(length, Sized) and len(length) * times > _MOST_REPEATED:
            raise ValueError("too large to be compared")
    return ARITHMETIC[operation](left, right)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, complex, Fraction, Decimal))


def numbers_in_ranges(tree: Json) -> int:
    """How many numbers the ranges in a tree stand for: each of them cost nothing to send."""
    total = 0
    todo: list[Json] = [tree]
    while todo:
        item = todo.pop()
        if type(item) is list:
            todo.extend(item)
        elif type(item) is dict:
            todo.extend(item.values())
            total += sum(
                _length(decoding.decode_as(range, {tag: body})) for tag, body in item.items() if tag == "range"
            )
    return total


def _length(found: range) -> int:
    """``len``, which refuses very long ones."""
    return max(0, (found.stop - found.start + found.step - (found.step > 0 or -1)) // found.step)
