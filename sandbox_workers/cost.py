"""The cost of building and comparing values of a message, bounded by the cost of sending them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias, TypeVar

Json: TypeAlias = bool | int | float | str | list["Json"] | dict[str, "Json"] | None
"""A value that ``json`` writes and reads."""
MAX_FRACTION_DIGITS = 1 << 12
MAX_DRAINED = 1 << 17
"""Values that are taken from an iterator: some have no end."""
STEPS_EACH, STEPS_IN_ALL = 16, 1 << 13
"""Comparisons of values that differ and share a hash, for each value of a set or dict and for all of them: a program
can make thousands that do, and each would be compared with all before it.
"""
T = TypeVar("T")
_QUICK = frozenset((int, float, bool, str, bytes, complex, type(None)))


def hashable(values: Iterable[T]) -> list[T]:
    """The values, which can make a set or the keys of a dict in time.

    Raises:
        ValueError: so many that differ share a hash that comparing them would take longer than sending them.
    """
    found = list(values)
    hashes = list(map(hash, found))
    if len(set(hashes)) < len(hashes):
        steps, most = 0, STEPS_EACH * len(found) + STEPS_IN_ALL
        sharing: dict[int, list[T]] = {}
        for value, number in zip(found, hashes, strict=True):
            same, weight = sharing.setdefault(number, []), _weight(value)
            for other in same:
                if value == other:
                    break
                if (steps := steps + weight) > most:
                    raise ValueError("too many different values with one hash")
            else:
                same.append(value)
    return found


def _weight(value: object) -> int:
    """Cost of comparing a value, in comparisons of numbers."""
    if isinstance(value, (tuple, frozenset)):
        return 1 + sum(map(_weight, value))
    return 1 if type(value) in _QUICK else 64


def size(tree: Json, limit: int) -> int:
    """Number of values in a tree, counted no further than just above ``limit``.

    Values that are equal are of equal size, so a value of another size than the expected one need not be built: that
    keeps a program from making its judge build sets of a million colliding numbers.
    """
    count = 0
    todo: list[Json] = [tree]
    while todo and count <= limit:
        item = todo.pop()
        count += 1
        if type(item) is dict:
            tag, item = next(iter(item.items()), ("", None))
            if tag == "defaultdict" and type(item) is list:
                tag, item = "dict", item[-1]
            if tag in ("dict", "counter", "ordered") and type(item) is list:
                item = [entry for pair in item[: limit + 1] if type(pair) is list for entry in pair]
            elif tag not in ("tuple", "set", "frozenset", "deque", "keys", "values", "items", "iterator"):
                continue
        if type(item) is list:
            todo.extend(item[: limit + 1])
    return count
