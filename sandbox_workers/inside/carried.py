"""Properties that copies of values lose, and how the tests' own objects show changes of the program's copies.

Tests and program have copies of each other's values. That is told apart from the values themselves by who else holds a
list that was changed, and by what a subclass adds to what it holds: where it would be, tests and program share objects.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from .. import decoding, plain
from ..cost import Json

_CHANGEABLE = list, dict, set, deque, bytearray
_PARTED = frozenset((*_CHANGEABLE, tuple))
_WATCHABLE = int, float, str, list, tuple, dict, set, frozenset, deque
_OWN_REFERENCES = 3
"""Of an item, while ``sys.getrefcount`` counts: its container's, the variable's here, the argument's there."""
_HARMLESS = frozenset(
    f"__{name}__"
    for name in (
        *("module", "doc", "dict", "weakref", "slots", "annotations", "qualname", "match_args", "orig_bases", "hash"),
        *("new", "init", "init_subclass", "getnewargs", "reduce", "reduce_ex", "dir", "class_getitem", "parameters"),
        *("repr", "str", "format", "set_name", "signature", "static_attributes", "firstlineno"),
    )
)
"""Names that a subclass may define without its values calculating or comparing in another way."""
_TEXTS = "__repr__", "__str__", "__format__"


def name_subclass(kind: type, base: type, contents: Json) -> Json:
    """The encoded value of a subclass of a built-in type, with the subclass's name.

    Raises:
        NotPlainError: its values calculate in another way.
    """
    own = {name for part in kind.__mro__[: kind.__mro__.index(base)] for name in vars(part)}
    if any(name.startswith("__") and name not in _HARMLESS for name in own):
        raise plain.NotPlainError(kind.__name__)
    return {"sub": [kind.__name__, contents, not own.isdisjoint(_TEXTS)]}


def refuse_subclass(kind: type, base: type, contents: Json) -> NoReturn:
    """Tests give the program a value of a subclass, which the program may ask for more than it holds."""
    raise plain.NotPlainError(kind.__name__)


def watching(share: Callable[[str], NoReturn]) -> Callable[[tuple[str, Json, bool]], object]:
    """A decoder of what ``name_subclass`` wrote: a value that calls ``share`` when it is asked for what was lost."""

    def decode(body: tuple[str, Json, bool]) -> object:
        name, contents, has_own_text = body
        value = decoding.decode(contents)
        base = type(value)
        if base not in _WATCHABLE:
            raise ValueError(f"a subclass of {base.__name__}")

        def lost(_: object, *asked: object) -> NoReturn:
            share(f"{name}: {asked}")

        texts = dict.fromkeys(_TEXTS, lost) if has_own_text else {}
        return type(name, (base,), {"__getattr__": lost, **texts})(value)

    return decode


def drain_unless_held(share: Callable[[str], NoReturn]) -> Callable[[Iterator[object]], Json]:
    """Encodes an iterator among arguments by its values, if the tests cannot meet it again."""

    def encode(iterator: Iterator[object]) -> Json:
        if sys.getrefcount(iterator) > _references_in_encode:
            share("an iterator that the tests hold")
        return plain.drained(iterator)

    _references_in_encode = _count_in_encode()
    return encode


def _count_in_encode() -> int:
    """References to an iterator that nothing else holds, where ``encode`` counts them."""
    counts: list[int] = []

    def count(iterator: Iterator[object]) -> Json:
        counts.append(sys.getrefcount(iterator))
        return None

    before, plain.hold_iterator = plain.hold_iterator, count
    try:
        _Called()(iter(()))
    finally:
        plain.hold_iterator = before
    return counts[0]


class _Called:
    """Called as a proxy of a function is."""

    def __call__(self, *arguments: object, **_: object) -> Json:
        return plain.encode(arguments)


def update(arguments: Sequence[object], after: Sequence[object]) -> bool:
    """Apply the program's changes of its copies to the tests' own lists, sets and dicts. Returns whether those are all.

    It is not where a list that was changed is held by something else too, which would show the change as well.
    """
    seen: set[int] = set()
    if any(occurs_twice(argument, seen) for argument in arguments):
        return False
    pairs = list(zip(arguments, after, strict=False))
    if any(_is_seen_elsewhere(old, new) for old, new in pairs):
        return False
    for old, new in pairs:
        _show(old, new)
    return True


def occurs_twice(value: object, seen: set[int]) -> bool:
    """Whether a list, set or dict is in a value twice: a change would show in both places. ``seen``: their ids."""
    if isinstance(value, _CHANGEABLE):
        if id(value) in seen:
            return True
        seen.add(id(value))
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple, deque)) else ()
    if _PARTED.isdisjoint(map(type, items)):
        return False
    return any(occurs_twice(item, seen) for item in items)


def _is_seen_elsewhere(old: object, new: object) -> bool:
    """Whether something that was changed within a value is held by something else too."""
    keys: Sequence[object]
    if isinstance(old, (list, tuple, deque)):
        keys = range(len(old))
    elif isinstance(old, dict):
        keys = list(old)
    else:
        return False
    if old == new:
        return False
    for key in keys:
        item = old[key]  # type: ignore[index, call-overload]  # one of its own keys
        if not isinstance(item, (*_CHANGEABLE, tuple)):
            continue
        try:
            now = new[key]  # type: ignore[index]  # of the same type, or caught
        except (LookupError, TypeError):
            now = None
        if now == item:
            continue
        if isinstance(item, _CHANGEABLE) and sys.getrefcount(item) > _OWN_REFERENCES:
            return True
        if _is_seen_elsewhere(item, now):
            return True
    return False


def _show(argument: object, after: object) -> None:
    if type(argument) is not type(after) or argument == after:
        return
    if isinstance(argument, tuple):
        for old, new in zip(argument, after, strict=False):  # type: ignore[call-overload]  # it is a tuple too
            _show(old, new)
    elif isinstance(argument, (list, bytearray)):
        argument[:] = after  # type: ignore[call-overload]  # it is of the same type
    elif isinstance(argument, deque):
        argument.clear()
        argument.extend(after)  # type: ignore[arg-type]
    elif isinstance(argument, (dict, set)):
        argument.clear()
        argument.update(after)  # type: ignore[arg-type, call-overload]
