"""The program's side of a judge: calls its functions, looks up its names, reads its iterators, as the judge asks."""

from __future__ import annotations

import marshal
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from .. import plain, wire
from . import protocol
from .entry_point import find_function
from .recursion import allow_deep, restore
from .reporting import Reporter, failure

_UNSHARED = 2
"""Version of marshalled data in which equal values are equal bytes, whoever holds them too."""
_SLOTS = ("filename", "filename2", "name", "path")
"""Attributes of built-in exceptions that are neither in their arguments nor in their dict."""
_held: list[Iterator[Any]] = []


def serve(reporter: Reporter, channel: int, namespace: dict[str, Any]) -> None:
    """Answer a judge until it closes the channel."""
    plain.hold_iterator, plain.name_opaque = _hold, False
    reporter.send(protocol.Loaded())
    allow_deep()
    while True:
        question = wire.read_frame(channel)
        try:
            answer = _answer(read_request(question), question, namespace)
        except plain.NotPlainError as error:
            answer = protocol.CallRaised(plain.NOT_PLAIN, None, str(error), [], None, None)
        except BaseException as error:
            answer = _raised(error)
        reporter.send(answer)


def write_request(request: protocol.Call | protocol.Lookup | protocol.Next) -> bytes:
    """A judge's request as bytes."""
    return marshal.dumps((*request,), _UNSHARED)


def read_request(data: bytes) -> protocol.Call | protocol.Lookup | protocol.Next:
    """The request that ``write_request`` wrote."""
    fields = marshal.loads(data)
    if len(fields) > 1:
        return protocol.Call(*fields)
    return protocol.Next(*fields) if type(fields[0]) is int else protocol.Lookup(*fields)


def _answer(
    request: protocol.Call | protocol.Lookup | protocol.Next, question: bytes, namespace: dict[str, Any]
) -> tuple[Any, ...]:
    if isinstance(request, protocol.Next):
        value = _by_program(next, _held[request.iterator], _held)  # which no iterator of the program's yields
        return protocol.Exhausted() if value is _held else protocol.Returned(plain.encode(value), None)
    if isinstance(request, protocol.Call):
        return _call(request, question, namespace)
    if request.name not in namespace:
        return protocol.Missing()
    found = namespace[request.name]
    return protocol.Callable() if callable(found) else protocol.Returned(plain.encode(found), None)


def _call(request: protocol.Call, question: bytes, namespace: dict[str, Any]) -> tuple[Any, ...]:
    arguments, named = plain.decode(request.arguments), plain.decode(request.named)
    found = _by_program(find_function, request.name, namespace)
    result = plain.encode(_by_program(found, *arguments, **named))
    after = protocol.Call(request.name, plain.encode(arguments), plain.encode(named))
    unchanged = write_request(after) == question
    return protocol.Returned(result, None if unchanged else [after.arguments, after.named])


def _by_program(function: Any, *arguments: Any, **named: Any) -> Any:
    """Call what is the program's, with the recursion limit that is its own."""
    restore()
    try:
        return function(*arguments, **named)
    finally:
        allow_deep()


def _hold(iterator: Iterator[Any]) -> Any:
    _held.append(iterator)
    return {"held": len(_held) - 1}


def _raised(error: BaseException) -> protocol.CallRaised:
    """An exception, with what of its type and contents can be told."""
    types = [[kind.__module__, kind.__qualname__] for kind in type(error).__mro__ if issubclass(kind, BaseException)]
    arguments = attributes = None
    with suppress(Exception):
        arguments = plain.encode(error.args)
    with suppress(Exception):
        held = vars(error) | {name: getattr(error, name) for name in _SLOTS if hasattr(error, name)}
        attributes = plain.encode({name: value for name, value in held.items() if _is_plain(value)})
    return protocol.CallRaised(*failure(error), types, arguments, attributes)


def _is_plain(value: Any) -> bool:
    try:
        plain.encode(value)
    except Exception:
        return False
    return True
