"""Plain data: the closed set of exact built-in types that crosses from a program to its judge, as JSON.

``encode`` runs in the program's process and refuses every other type. Of a subclass (a named tuple, an ``IntEnum``) it
sends what it holds as its built-in type, unless it says itself what it equals; of an iterator, what is left in it.
``decode`` runs outside and builds built-in values only, so that no method of the program's own is ever asked whether
two values are equal.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from .wire import FrameTooLongError

MAX_FRACTION_DIGITS = 1 << 12
MAX_DRAINED = 1 << 17
MAX_VALUES = 1 << 21
"""Values in one message, strings with as many commas included."""
"""Values that are taken from an iterator: some have no end."""
STEPS_EACH, STEPS_IN_ALL = 16, 1 << 13
"""Comparisons of values that differ and share a hash, for each value of a set or dict and for all of them: a program
can make thousands that do, and each would be compared with all before it.
"""
_QUICK = frozenset((int, float, bool, str, bytes, complex, type(None)))
_WRITTEN_AS_THEY_ARE = frozenset((bool, str, float, type(None)))
_json = json.JSONEncoder(separators=(",", ":")).encode
_SMALL = 1 << 63  # larger integers travel as hexadecimal text: JSON readers refuse very long decimal ones


NOT_PLAIN = "NotPlain"
"""Kind of error of a value that is not plain data, in reports and verdicts."""


class NotPlainError(TypeError):
    """A value is not plain data; the message names its type."""


class OpaqueError(NotPlainError):
    """A value is an object that equals nothing but itself, of which only the type is known here."""


class TooDeepError(ValueError):
    """A message is nested too deeply to be read here."""


def _encode_int(value: int) -> Any:
    return value if -_SMALL < value < _SMALL else {"int": hex(value)}


def _same(value: Any) -> Any:
    return value


def _encode_list(value: Any) -> Any:
    kinds = set(map(type, value))
    if kinds <= _WRITTEN_AS_THEY_ARE or (kinds == {int} and min(value) > -_SMALL and max(value) < _SMALL):
        return value
    return [encode(item) for item in value]


def _sequence(tag: str) -> Callable[[Any], Any]:
    return lambda value: {tag: [encode(item) for item in value]}


def _encode_dict(value: Any) -> Any:
    return {"dict": [[encode(key), encode(item)] for key, item in dict.items(value)]}


def _encode_defaultdict(value: Any) -> Any:
    factory = value.default_factory
    return {"defaultdict": [None if factory is None else encode(factory)["type"], _encode_dict(value)["dict"]]}


def _encode_type(value: Any) -> Any:
    name = type.__dict__["__name__"].__get__(value)
    if _TYPES.get(name) is not value:
        raise NotPlainError(f"class {name}")
    return {"type": name}


def _encode_memoryview(value: Any) -> Any:
    if value.format != "B" or value.ndim != 1:
        raise NotPlainError("memoryview of other elements than bytes")
    return {"memoryview": bytes(value).hex()}


_TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (int, float, bool, str, bytes, complex, list, tuple, set, frozenset, dict, bytearray, range, type(None))
}
"""Types that are plain data themselves."""
_ENCODERS: dict[type, Callable[[Any], Any]] = {
    type(None): _same,
    bool: _same,
    str: _same,
    float: _same,
    int: _encode_int,
    list: _encode_list,
    tuple: _sequence("tuple"),
    set: _sequence("set"),
    frozenset: _sequence("frozenset"),
    deque: _sequence("deque"),
    dict: _encode_dict,
    defaultdict: _encode_defaultdict,
    type: _encode_type,
    memoryview: _encode_memoryview,
    Counter: lambda value: {"counter": _encode_dict(value)["dict"]},
    OrderedDict: lambda value: {"ordered": [[encode(key), encode(item)] for key, item in OrderedDict.items(value)]},
    complex: lambda value: {"complex": [value.real, value.imag]},
    bytes: lambda value: {"bytes": value.hex()},
    bytearray: lambda value: {"bytearray": value.hex()},
    range: lambda value: {"range": [_encode_int(value.start), _encode_int(value.stop), _encode_int(value.step)]},
    type({}.keys()): _sequence("keys"),
    type({}.values()): _sequence("values"),
    type({}.items()): _sequence("items"),
}


def _items_of(base: type) -> Callable[[Any], Any]:
    return lambda value: base(base.__iter__(value))  # type: ignore[attr-defined]


_CONTENTS: dict[type, Callable[[Any], Any]] = {
    int: int.__pos__,
    float: float.__pos__,
    str: str.__str__,
    dict: lambda value: dict(dict.items(value)),
    **{base: _items_of(base) for base in (list, tuple, set, frozenset, deque)},
}
"""What a value of a subclass holds, past whatever the subclass makes of it."""


def _encode_from_library(value: Any) -> Any:
    """Numbers of modules that are loaded only if the program loaded them, and scalars of numpy."""
    kind = type(value)
    for module, name, encoder in _LIBRARY_ENCODERS:
        if kind is getattr(sys.modules.get(module), name, None):
            return encoder(value)
    if kind is getattr(sys.modules.get("numpy"), "ndarray", None) and value.ndim:
        return _encode_ndarray(value)
    if kind.__module__ == "numpy" and hasattr(value, "item") and getattr(value, "ndim", 1) == 0:
        return encode(value.item())  # compares like the number that it holds
    for base in kind.__mro__:
        if base in _CONTENTS and kind.__eq__ is base.__eq__:
            return encode(_CONTENTS[base](value))
    if hasattr(kind, "__next__"):
        return hold_iterator(value) if hold_iterator else {"iterator": [encode(item) for item in _drained(value)]}
    if name_opaque and getattr(kind, "__eq__", None) is object.__eq__:
        return {"opaque": kind.__name__}
    raise NotPlainError(kind.__name__)


hold_iterator: Callable[[Any], Any] | None = None
"""Encodes an iterator, where its values are read later instead of now."""
name_opaque = False
"""Encode objects that equal themselves only by the name of their type: enough to say that they equal no plain data."""


def _encode_ndarray(value: Any) -> Any:
    if value.dtype.kind not in "biuf" or value.dtype.itemsize > 8:
        raise NotPlainError(f"array of {value.dtype}")
    return {"ndarray": [value.dtype.str, list(value.shape), value.ravel().tolist()]}


def array_of_numpy(body: Any) -> Any:
    """The array of an encoded one. For a judge only: what arithmetic makes of two arrays can be very large."""
    kind, shape, values = body
    if kind.strip("<>|=")[:1] not in ("b", "i", "u", "f") or not kind.isascii():
        raise ValueError(f"an array of {kind}")
    return _library("numpy").array(values, dtype=kind).reshape(shape)


def _drained(iterator: Any) -> list[Any]:
    found = list(islice(iterator, MAX_DRAINED + 1))
    if len(found) > MAX_DRAINED:
        raise NotPlainError(f"{type(iterator).__name__} with more than {MAX_DRAINED} values")
    return found


def _iso(tag: str) -> Callable[[Any], Any]:
    return lambda value: {tag: value.isoformat()}


_IP_TYPES = tuple(f"IPv{version}{kind}" for version in (4, 6) for kind in ("Address", "Network", "Interface"))


def _ip(name: str) -> Callable[[Any], Any]:
    return lambda value: {"ip": [name, str(value)]}


_LIBRARY_ENCODERS: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("decimal", "Decimal", lambda value: {"decimal": str(value)}),
    ("fractions", "Fraction", lambda value: {"fraction": [hex(value.numerator), hex(value.denominator)]}),
    ("datetime", "date", _iso("date")),
    ("datetime", "datetime", _iso("datetime")),
    ("datetime", "time", _iso("time")),
    ("pathlib", "PosixPath", lambda value: {"path": str(value)}),
    ("pathlib", "PurePosixPath", lambda value: {"purepath": str(value)}),
    ("uuid", "UUID", lambda value: {"uuid": value.hex}),
    *(("ipaddress", name, _ip(name)) for name in _IP_TYPES),
    ("array", "array", lambda value: {"array": [value.typecode, encode(value.tolist())]}),
    ("datetime", "timedelta", lambda value: {"timedelta": [value.days, value.seconds, value.microseconds]}),
)


def encode(value: object) -> Any:
    """A tree that ``json`` can write.

    Raises:
        NotPlainError: something in ``value`` is of another type than those of the closed set.
    """
    encoder = _ENCODERS.get(type(value))
    return encoder(value) if encoder is not None else _encode_from_library(value)


def dumps(message: object) -> bytes:
    """A message whose values are already encoded, as bytes."""
    return _json(message).encode("ascii")


def loads(data: bytes) -> Any:
    """The tree of a message that a program may have forged.

    Raises:
        ValueError: not JSON; as ``TooDeepError``, nested too deeply; as ``FrameTooLongError``, more than
            ``MAX_VALUES``, of which each takes up much more memory than room in the message.
    """
    if len(data) > MAX_VALUES and data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_VALUES:
        raise FrameTooLongError(f"a message of more than {MAX_VALUES} values")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise TooDeepError("nested too deep") from error


_DECODERS: dict[str, Callable[[Any], Any]] = {
    "int": lambda body: int(body, 16),
    "tuple": lambda body: tuple(map(decode, body)),
    "set": lambda body: set(hashable(map(decode, body))),
    "frozenset": lambda body: frozenset(hashable(map(decode, body))),
    "deque": lambda body: deque(map(decode, body)),
    "dict": lambda body: dict(_pairs(body)),
    "defaultdict": lambda body: defaultdict(None if body[0] is None else _TYPES[body[0]], dict(_pairs(body[1]))),
    "type": _TYPES.__getitem__,
    "opaque": lambda body: _refuse(f"object of type {body}", OpaqueError),
    "held": lambda _: _refuse("iterator"),
    "ndarray": lambda _: _refuse("array"),
    "memoryview": lambda body: memoryview(bytes.fromhex(body)),
    "path": lambda body: _library("pathlib").PosixPath(body),
    "purepath": lambda body: _library("pathlib").PurePosixPath(body),
    "uuid": lambda body: _library("uuid").UUID(body),
    "ip": lambda body: getattr(_library("ipaddress"), _IP_TYPES[_IP_TYPES.index(body[0])])(body[1]),
    "array": lambda body: _library("array").array(body[0], decode(body[1])),
    "counter": lambda body: Counter(dict(_pairs(body))),
    "ordered": lambda body: OrderedDict(_pairs(body)),
    "complex": lambda body: complex(float(body[0]), float(body[1])),
    "bytes": bytes.fromhex,
    "bytearray": bytearray.fromhex,
    "range": lambda body: range(*map(decode, body)),
    "keys": lambda body: dict.fromkeys(hashable(map(decode, body))).keys(),
    "values": lambda body: dict(enumerate(map(decode, body))).values(),
    "items": lambda body: dict(_pairs(pair["tuple"] for pair in body)).items(),
    "iterator": lambda body: iter([decode(item) for item in _few(body)]),
    "decimal": lambda body: _library("decimal").Decimal(body),
    "fraction": lambda body: _fraction(*body),
    "date": lambda body: _library("datetime").date.fromisoformat(body),
    "datetime": lambda body: _library("datetime").datetime.fromisoformat(body),
    "time": lambda body: _library("datetime").time.fromisoformat(body),
    "timedelta": lambda body: _library("datetime").timedelta(*body),
}


def register(tag: str, decoder: Callable[[Any], Any]) -> None:
    """Decode this tag so in this process, where more can be done with it than elsewhere."""
    _DECODERS[tag] = decoder


def _refuse(what: str, kind: type[NotPlainError] = NotPlainError) -> Any:
    raise kind(what)


def hashable(values: Iterable[Any]) -> list[Any]:
    """The values, which can make a set or the keys of a dict in time.

    Raises:
        ValueError: so many that differ share a hash that comparing them would take longer than sending them.
    """
    found = list(values)
    hashes = list(map(hash, found))
    if len(set(hashes)) < len(hashes):
        steps, most = 0, STEPS_EACH * len(found) + STEPS_IN_ALL
        sharing: dict[int, list[Any]] = {}
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


def _weight(value: Any) -> int:
    """What comparing a value takes, in comparisons of numbers."""
    if type(value) in (tuple, frozenset):
        return 1 + sum(map(_weight, value))
    return 1 if type(value) in _QUICK else 64


def _pairs(body: Iterable[Any]) -> Iterable[tuple[Any, Any]]:
    keys, items = [], []
    for key, item in body:
        keys.append(decode(key))
        items.append(decode(item))
    return zip(hashable(keys), items, strict=True)


def _few(body: list[Any]) -> list[Any]:
    """What was left in an iterator, if it is no more than ``encode`` takes."""
    if len(body) > MAX_DRAINED:
        raise ValueError("an iterator of too many values")
    return body


def _fraction(numerator: str, denominator: str) -> Any:
    """Cancelling two numbers of a million digits would cost a program's judge seconds."""
    if max(len(numerator), len(denominator)) > MAX_FRACTION_DIGITS:
        raise ValueError("a fraction of too many digits")
    return _library("fractions").Fraction(int(numerator, 16), int(denominator, 16))


def _library(name: str) -> Any:
    """A module that the zygote does not want to carry."""
    return importlib.import_module(name)


_CONTAINERS = frozenset((list, dict))


def decode(tree: Any) -> Any:
    """The built-in value of a tree.

    Raises:
        ValueError: the tree is not one that ``encode`` makes.
        NotPlainError: it holds what only another process can decode.
    """
    if type(tree) is list:
        return [decode(item) for item in tree] if not _CONTAINERS.isdisjoint(map(type, tree)) else tree
    if type(tree) is not dict:
        return tree
    try:
        ((tag, body),) = tree.items()
        return _DECODERS[tag](body)
    except NotPlainError:
        raise
    except (LookupError, AttributeError, TypeError, ValueError, ArithmeticError, RecursionError) as error:
        raise ValueError(f"malformed plain data: {error}") from error


def size(tree: Any, limit: int) -> int:
    """Number of values in a tree, counted no further than just above ``limit``.

    Values that are equal are of equal size, so a value of another size than the expected one need not be built: that
    keeps a program from making its judge build sets of a million colliding numbers.
    """
    count, todo = 0, [tree]
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


def numbers_in_ranges(tree: Any) -> int:
    """How many numbers the ranges in a tree stand for: each of them cost nothing to send."""
    total, todo = 0, [tree]
    while todo:
        item = todo.pop()
        if type(item) is list:
            todo.extend(item)
        elif type(item) is dict:
            todo.extend(item.values())
            total += sum(_length(decode({tag: body})) for tag, body in item.items() if tag == "range")
    return total


def _length(found: range) -> int:
    """``len``, which refuses very long ones."""
    return max(0, (found.stop - found.start + found.step - (found.step > 0 or -1)) // found.step)
