"""Plain data of the standard library's modules, which are imported only where a value of theirs is met."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Never

from .cost import MAX_FRACTION_DIGITS, Json

if TYPE_CHECKING:
    from array import array
    from datetime import date, datetime, time, timedelta
    from fractions import Fraction
    from uuid import UUID

_IP_TYPES = tuple(f"IPv{version}{kind}" for version in (4, 6) for kind in ("Address", "Network", "Interface"))


def _iso(tag: str) -> Callable[[date | datetime | time], Json]:
    return lambda value: {tag: value.isoformat()}


def _text(tag: str) -> Callable[[object], Json]:
    return lambda value: {tag: str(value)}


def _ip(name: str) -> Callable[[object], Json]:
    return lambda value: {"ip": [name, str(value)]}


def _encode_fraction(value: Fraction) -> Json:
    return {"fraction": [hex(value.numerator), hex(value.denominator)]}


def _encode_uuid(value: UUID) -> Json:
    return {"uuid": value.hex}


def _encode_array(value: array[int]) -> Json:
    return {"array": [value.typecode, value.tobytes().hex()]}


def _encode_timedelta(value: timedelta) -> Json:
    return {"timedelta": [value.days, value.seconds, value.microseconds]}


_ENCODERS: tuple[tuple[str, str, Callable[[Never], Json]], ...] = (
    ("decimal", "Decimal", _text("decimal")),
    ("fractions", "Fraction", _encode_fraction),
    ("datetime", "date", _iso("date")),
    ("datetime", "datetime", _iso("datetime")),
    ("datetime", "time", _iso("time")),
    ("pathlib", "PosixPath", _text("path")),
    ("pathlib", "PurePosixPath", _text("purepath")),
    ("uuid", "UUID", _encode_uuid),
    *(("ipaddress", name, _ip(name)) for name in _IP_TYPES),
    ("array", "array", _encode_array),
    ("datetime", "timedelta", _encode_timedelta),
)
"""Module, name of the type, and the encoder of its values."""


def encoder_of(kind: type) -> Callable[[Never], Json] | None:
    """The encoder of values of exactly this type, if it is one of a module that the program loaded."""
    for module, name, encoder in _ENCODERS:
        if kind is getattr(sys.modules.get(module), name, None):
            return encoder
    return None


def _fraction(body: tuple[str, str]) -> Fraction:
    """Cancelling two numbers of a million digits would cost a program's judge seconds."""
    numerator, denominator = body
    if max(len(numerator), len(denominator)) > MAX_FRACTION_DIGITS:
        raise ValueError("a fraction of too many digits")
    found: Fraction = _library("fractions").Fraction(int(numerator, 16), int(denominator, 16))
    return found


def _made_by(module: str, name: str) -> Callable[[str], object]:
    """Makes a value by the type's constructor, or by ``name.method``, of text."""

    def make(body: str) -> object:
        kind, _, method = name.partition(".")
        found: Callable[[str], object] = getattr(_library(module), kind)
        return getattr(found, method)(body) if method else found(body)

    return make


def _library(name: str) -> ModuleType:
    """A module that the zygote does not want to carry."""
    return importlib.import_module(name)


DECODERS: dict[str, Callable[[Never], object]] = {
    "decimal": _made_by("decimal", "Decimal"),
    "fraction": _fraction,
    "path": _made_by("pathlib", "PosixPath"),
    "purepath": _made_by("pathlib", "PurePosixPath"),
    "uuid": _made_by("uuid", "UUID"),
    "ip": lambda body: getattr(_library("ipaddress"), _IP_TYPES[_IP_TYPES.index(body[0])])(body[1]),
    "array": lambda body: _library("array").array(body[0], bytes.fromhex(body[1])),
    "date": _made_by("datetime", "date.fromisoformat"),
    "datetime": _made_by("datetime", "datetime.fromisoformat"),
    "time": _made_by("datetime", "time.fromisoformat"),
    "timedelta": lambda body: _library("datetime").timedelta(*body),
}
"""Tag -> decoder of the body; for a body that no encoder wrote it may raise any of ``decoding.MALFORMED``."""
