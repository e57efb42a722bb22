"""Values of plain data, from text that ``plain.encode`` wrote or a program forged.

``decode`` runs outside the program's process and builds built-in values only, so that no method of the program's own is
ever asked whether two values are equal.
"""

from __future__ import annotations

import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Never, TypeVar

from . import libraries
from .cost import MAX_DRAINED, Json, hashable
from .plain import TYPES, NotPlainError, OpaqueError

MALFORMED = LookupError, AttributeError, TypeError, ValueError, ArithmeticError, RecursionError
"""Exceptions of decoding a tree that ``encode`` did not make."""
Kind = TypeVar("Kind")


def _decode_all(body: list[Json]) -> Iterator[object]:
    return map(decode, body)


def _decode_range(body: list[Json]) -> range:
    return range(*(decode_as(int, part) for part in body))


def _decode_defaultdict(body: tuple[str | None, list[list[Json]]]) -> object:
    return defaultdict(None if body[0] is None else TYPES[body[0]], dict(_pairs(body[1])))


def _decode_items(body: list[dict[str, list[Json]]]) -> Collection[object]:
    return dict(_pairs(pair["tuple"] for pair in body)).items()


def _decode_iterator(body: list[Json]) -> object:
    """The values left in an iterator, if they are no more than ``encode`` takes."""
    if len(body) > MAX_DRAINED:
        raise ValueError("an iterator of too many values")
    return iter([decode(item) for item in body])


_DECODERS: dict[str, Callable[[Never], object]] = {
    "int": lambda body: int(body, 16),
    "tuple": lambda body: tuple(_decode_all(body)),
    "set": lambda body: set(hashable(_decode_all(body))),
    "frozenset": lambda body: frozenset(hashable(_decode_all(body))),
    "deque": lambda body: deque(_decode_all(body)),
    "dict": lambda body: dict(_pairs(body)),
    "defaultdict": _decode_defaultdict,
    "type": TYPES.__getitem__,
    "opaque": lambda body: _refuse(f"object of type {body}", OpaqueError),
    "held": lambda _: _refuse("iterator"),
    "ndarray": lambda _: _refuse("array"),
    "scalar": lambda body: decode(body[1]),
    "nan": lambda body: math.nan if body == "math" else _nan_of_numpy(),
    "memoryview": lambda body: memoryview(bytes.fromhex(body)),
    "counter": lambda body: Counter(dict(_pairs(body))),
    "ordered": lambda body: OrderedDict(_pairs(body)),
    "complex": lambda body: complex(float(body[0]), float(body[1])),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": _decode_range,
    "keys": lambda body: dict.fromkeys(hashable(_decode_all(body))).keys(),
    "values": lambda body: dict(enumerate(_decode_all(body))).values(),
    "items": _decode_items,
    "iterator": _decode_iterator,
    **libraries.DECODERS,
}
"""Tag -> decoder of a body; for a body of another shape it raises one of ``MALFORMED``."""


def register(tag: str, decoder: Callable[[Never], object]) -> None:
    """Decode this tag so in this process, where more can be done with it than elsewhere."""
    _DECODERS[tag] = decoder


def _nan_of_numpy() -> object:
    return getattr(sys.modules.get("numpy"), "nan", float("nan"))


def _refuse(what: str, kind: type[NotPlainError] = NotPlainError) -> Never:
    raise kind(what)


def _pairs(body: Iterable[list[Json]]) -> Iterable[tuple[object, object]]:
    keys, items = [], []
    for key, item in body:
        keys.append(decode(key))
        items.append(decode(item))
    return zip(hashable(keys), items, strict=True)


_CONTAINERS = frozenset((list, dict))


def decode(tree: Json) -> object:
    """The built-in value of a tree.

    Raises:
        ValueError: the tree is not one that ``encode`` makes.
        NotPlainError: it holds a value that only another process can decode.
    """
    if type(tree) is list:
        return [decode(item) for item in tree] if not _CONTAINERS.isdisjoint(map(type, tree)) else tree
    if type(tree) is not dict:
        return tree
    try:
        ((tag, body),) = tree.items()
        return _DECODERS[tag](body)  # type: ignore[arg-type]  # of another shape: MALFORMED
    except NotPlainError:
        raise
    except MALFORMED as error:
        raise ValueError(f"malformed plain data: {error}") from error


def decode_as(kind: type[Kind], tree: Json) -> Kind:
    """The built-in value of a tree, of this type.

    Raises:
        ValueError: as ``decode``, or it is of another type.
    """
    value = decode(tree)
    if not isinstance(value, kind):
        raise ValueError(f"malformed plain data: {type(value).__name__} instead of {kind.__name__}")
    return value
