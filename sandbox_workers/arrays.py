"""Values of numpy as plain data: arrays of numbers, and single numbers with their type where tests may ask for it."""

from __future__ import annotations

import importlib
import math
import re
import sys
from types import ModuleType
from typing import TYPE_CHECKING, cast

from .cost import Json

if TYPE_CHECKING:
    from typing import Protocol

    class Dtype(Protocol):
        """The part of numpy's ``dtype`` that this module reads."""

        kind: str
        itemsize: int
        str: str

    class Array(Protocol):
        """The part of numpy's ``ndarray`` and its scalars that this module reads."""

        dtype: Dtype
        ndim: int
        shape: tuple[int, ...]

        def ravel(self) -> Array:
            """All of it in one dimension."""

        def tolist(self) -> Json:
            """Its numbers as lists."""

        def item(self) -> object:
            """Its only number."""


_KINDS = frozenset("biuf")
_NUMBERS = re.compile(r"[<>=|]?[biuf][1248]", re.A)
"""The types of numbers, as numpy writes them."""
_MOST_BYTES = 8


class NoArrayError(TypeError):
    """An array of elements that are no plain data."""


def encoded_array(value: object) -> Json:
    """An array with one dimension at least; None for any other value.

    Raises:
        NoArrayError: an array of something else than numbers.
    """
    if type(value) is not getattr(sys.modules.get("numpy"), "ndarray", None):
        return None
    array = cast("Array", value)
    if not array.ndim:
        return None
    if not _is_plain(array.dtype):
        raise NoArrayError(f"array of {array.dtype}")
    return {"ndarray": [array.dtype.str, list(array.shape), array.ravel().tolist()]}


def is_scalar(value: object) -> bool:
    """Whether a value of numpy's is a single one."""
    return hasattr(value, "item") and getattr(value, "ndim", 1) == 0


def typed(value: object, item: Json) -> Json:
    """A scalar by its type and its encoded ``item``; the item alone where its type is not told."""
    dtype = cast("Array", value).dtype
    return {"scalar": [dtype.str, item]} if _is_plain(dtype) else item


def _is_plain(dtype: Dtype) -> bool:
    return dtype.kind in _KINDS and dtype.itemsize <= _MOST_BYTES


def array(body: tuple[str, list[int], list[float]]) -> object:
    """The array of an encoded one. For a judge only: what arithmetic makes of two arrays can be very large."""
    kind, shape, values = body
    return _numpy().array(values, dtype=_kind(kind)).reshape(shape)


def scalar(body: tuple[str, float | dict[str, str]]) -> object:
    """The scalar of an encoded one."""
    kind, item = body
    value = int(item["int"], 16) if isinstance(item, dict) and "int" in item else item
    if isinstance(item, dict) and "nan" in item:
        value = math.nan
    return _numpy().dtype(_kind(kind)).type(value)


def _kind(kind: str) -> str:
    if not _NUMBERS.fullmatch(kind):
        raise ValueError(f"an array of {kind}")
    return kind


def _numpy() -> ModuleType:
    """The module, which is not installed with this package."""
    return importlib.import_module("numpy")
