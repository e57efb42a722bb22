"""Plain data: the closed set of exact built-in types that crosses from a program to its judge, as JSON.

``encode`` runs in the program's process and refuses every other type. Of a subclass (a named tuple, an ``IntEnum``) it
sends what it holds as its built-in type, unless it says itself what it equals; of an iterator, what is left in it.
``decoding`` is the other direction. Types of the standard library's modules are in ``libraries``, bounds in ``cost``.
"""

from __future__ import annotations

import json
import math
import sys
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Never, cast

from . import arrays, libraries
from .cost import MAX_DRAINED, Json
from .wire import FrameTooLongError

MAX_VALUES = 1 << 21
"""Values in one message, strings with as many commas included: each takes up much more memory than room in it."""
NOT_PLAIN = "NotPlain"
"""Kind of error of a value that is not plain data, in reports and verdicts."""
_WRITTEN_AS_THEY_ARE = frozenset((bool, str, float, type(None)))


def _json_writer() -> Callable[[object], str]:
    """As ``JSONEncoder.encode``, without making its parts anew for each message."""
    encoder = json.JSONEncoder(separators=(",", ":"))
    make = getattr(json.encoder, "c_make_encoder", None)  # CPython's
    if make is None:
        return encoder.encode
    write = make(None, encoder.default, json.encoder.encode_basestring_ascii, None, ":", ",", False, False, True)
    return lambda tree: "".join(write(tree, 0))


_json = _json_writer()
_from_json = json.JSONDecoder(parse_constant=float).raw_decode  # each ``nan`` another one, as it is elsewhere
_SMALL = 1 << 63  # larger integers travel as hexadecimal text: JSON readers refuse very long decimal ones


class NotPlainError(TypeError):
    """A value is not plain data; the message names its type."""


class OpaqueError(NotPlainError):
    """A value is an object that equals nothing but itself, of which only the type is known here."""


class TooDeepError(ValueError):
    """A message is nested too deeply to be read here."""


def _encode_int(value: int) -> Json:
    return value if -_SMALL < value < _SMALL else {"int": hex(value)}


def _same(value: bool | str | None) -> Json:
    return value


def _encode_float(value: float) -> Json:
    return value if value == value else _encode_nan(value)


def _encode_nan(value: float) -> Json:
    """One that modules hold, by its module: in a list it equals itself, and no other one."""
    if value is math.nan:
        return {"nan": "math"}
    return {"nan": "numpy"} if value is _nan_of_numpy() else value


def _nan_of_numpy() -> object:
    return getattr(sys.modules.get("numpy"), "nan", None)


def _encode_list(value: list[Json]) -> Json:
    kinds = set(map(type, value))
    if kinds <= _WRITTEN_AS_THEY_ARE and not (float in kinds and (math.nan in value or _nan_of_numpy() in value)):
        return value
    if kinds == {int} and min(value) > -_SMALL and max(value) < _SMALL:  # type: ignore[type-var, operator]
        return value
    return [encode(item) for item in value]


def _sequence(tag: str) -> Callable[[Iterable[object]], Json]:
    return lambda value: {tag: [encode(item) for item in value]}


def _encoded_pairs(value: dict[object, object]) -> list[Json]:
    return [[encode(key), encode(item)] for key, item in dict.items(value)]


def _encode_deque(value: deque[object]) -> Json:
    if value.maxlen is not None and name_subclass is not None:  # where it may be asked for more than its values
        raise NotPlainError("deque with a largest length")
    return {"deque": [encode(item) for item in value]}


def _encode_dict(value: dict[object, object]) -> Json:
    return {"dict": _encoded_pairs(value)}


def _encode_counter(value: Counter[object]) -> Json:
    return {"counter": [[encode(key), encode(item)] for key, item in dict.items(value)]}


def _encode_ordered(value: OrderedDict[object, object]) -> Json:
    return {"ordered": [[encode(key), encode(item)] for key, item in OrderedDict.items(value)]}


def _encode_defaultdict(value: defaultdict[object, object]) -> Json:
    factory = value.default_factory
    if factory is not None and type(factory) is not type:
        raise NotPlainError(type(factory).__name__)
    return {"defaultdict": [None if factory is None else _name_of_plain(factory), _encoded_pairs(value)]}


def _name_of_plain(value: type) -> str:
    name: str = type.__dict__["__name__"].__get__(value)
    if TYPES.get(name) is not value:
        raise NotPlainError(f"class {name}")
    return name


def _encode_type(value: type) -> Json:
    return {"type": _name_of_plain(value)}


def _encode_memoryview(value: memoryview) -> Json:
    if value.format != "B" or value.ndim != 1:
        raise NotPlainError("memoryview of other elements than bytes")
    return {"memoryview": bytes(value).hex()}


def _encode_range(value: range) -> Json:
    return {"range": [_encode_int(value.start), _encode_int(value.stop), _encode_int(value.step)]}


def _encode_complex(value: complex) -> Json:
    return {"complex": [value.real, value.imag]}


def _hex(tag: str) -> Callable[[bytes | bytearray], Json]:
    return lambda value: {tag: value.hex()}


TYPES: dict[str, type] = {
    kind.__name__: kind
    for kind in (int, float, bool, str, bytes, complex, list, tuple, set, frozenset, dict, bytearray, range, type(None))
}
"""Types that are plain data themselves."""
_ENCODERS: dict[type, Callable[[Never], Json]] = {
    type(None): _same,
    bool: _same,
    str: _same,
    float: _encode_float,
    int: _encode_int,
    list: _encode_list,
    tuple: _sequence("tuple"),
    set: _sequence("set"),
    frozenset: _sequence("frozenset"),
    deque: _encode_deque,
    dict: _encode_dict,
    defaultdict: _encode_defaultdict,
    type: _encode_type,
    memoryview: _encode_memoryview,
    Counter: _encode_counter,
    OrderedDict: _encode_ordered,
    complex: _encode_complex,
    bytes: _hex("bytes"),
    bytearray: _hex("bytearray"),
    range: _encode_range,
    type({}.keys()): _sequence("keys"),
    type({}.values()): _sequence("values"),
    type({}.items()): _sequence("items"),
}
"""Type -> encoder of values of exactly this type."""


def _items_of(base: type) -> Callable[[object], object]:
    return lambda value: base(base.__iter__(value))  # type: ignore[attr-defined]


_CONTENTS: dict[type, Callable[[Never], object]] = {
    int: int.__pos__,
    float: float.__pos__,
    str: str.__str__,
    dict: lambda value: dict(dict.items(value)),
    **{base: _items_of(base) for base in (list, tuple, set, frozenset, deque)},
}
"""The contents of a subclass's value, past whatever the subclass makes of it."""


def _encode_unusual(value: object) -> Json:
    """Values of modules that are loaded only if the program loaded them, of subclasses, and iterators."""
    kind = type(value)
    encoder = libraries.encoder_of(kind)
    if encoder is not None:
        return encoder(value)  # type: ignore[arg-type]  # it is the one of this type
    if kind.__module__ == "numpy":
        try:
            if (array := arrays.encoded_array(value)) is not None:
                return array
        except arrays.NoArrayError as error:
            raise NotPlainError(str(error)) from error
        if arrays.is_scalar(value):
            item = encode(cast("arrays.Array", value).item())
            return arrays.typed(value, item) if name_subclass else item
    for base in kind.__mro__:
        if base in _CONTENTS and kind.__eq__ is base.__eq__:  # type: ignore[comparison-overlap]
            contents = encode(_CONTENTS[base](value))  # type: ignore[arg-type]  # as above
            return name_subclass(kind, base, contents) if name_subclass else contents
    if hasattr(kind, "__next__"):
        values = cast("Iterator[object]", value)
        return hold_iterator(values) if hold_iterator else drained(values)
    if name_opaque and getattr(kind, "__eq__", None) is object.__eq__:
        return {"opaque": kind.__name__}
    raise NotPlainError(kind.__name__)


hold_iterator: Callable[[Iterator[object]], Json] | None = None
"""Encodes an iterator, where its values are read later instead of now."""
name_subclass: Callable[[type, type, Json], Json] | None = None
"""Encodes a value of a subclass of a built-in type, where tests may ask for more than its built-in value."""
name_opaque = False
"""Encode objects that equal themselves only by the name of their type: enough to say that they equal no plain data."""


def drained(iterator: Iterator[object]) -> Json:
    """An iterator by the values that are left in it.

    Raises:
        NotPlainError: there are too many.
    """
    found = list(islice(iterator, MAX_DRAINED + 1))
    if len(found) > MAX_DRAINED:
        raise NotPlainError(f"{type(iterator).__name__} with more than {MAX_DRAINED} values")
    return {"iterator": [encode(item) for item in found]}


def encode(value: object) -> Json:
    """A tree that ``json`` can write.

    Raises:
        NotPlainError: something in ``value`` is of another type than those of the closed set.
    """
    encoder = _ENCODERS.get(type(value))
    return encoder(value) if encoder is not None else _encode_unusual(value)  # type: ignore[arg-type]


def encode_deep(value: object) -> Json:
    """``encode`` of a program's value, which may be nested more deeply than the stack is.

    Raises:
        NotPlainError: as ``encode``, or it is.
    """
    try:
        return encode(value)
    except RecursionError as error:
        raise NotPlainError("deeply nested value") from error


def dumps(message: object) -> bytes:
    """A message whose values are already encoded, as bytes."""
    return _json(message).encode("ascii")


def loads(data: bytes) -> Json:
    """The tree of a message that a program may have forged.

    Raises:
        ValueError: not JSON; as ``TooDeepError``, nested too deeply; as ``FrameTooLongError``, more than
            ``MAX_VALUES``.
    """
    if len(data) > MAX_VALUES and data.count(b",") + data.count(b"[") + data.count(b"{") > MAX_VALUES:
        raise FrameTooLongError(f"a message of more than {MAX_VALUES} values")
    try:
        text = data.decode()
        found: tuple[Json, int] = _from_json(text)
    except RecursionError as error:
        raise TooDeepError("nested too deep") from error
    tree, end = found
    if end != len(text):
        raise ValueError("more than one message in a frame")
    return tree
