"""The program's side of a judge: calls its functions, looks up its names, reads its iterators, as the judge asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeVar

from .. import arrays, decoding, plain, wire
from ..cost import Json
from . import carried, process_state, protocol, reports
from .entry_point import Namespace, find_function
from .recursion import allow_deep, restore
from .reporting import Reporter, failure

_SLOTS = ("filename", "filename2", "name", "path")
"""Attributes of built-in exceptions that are neither in their arguments nor in their dict."""
_LONGEST_TEXT = 1 << 16
"""Characters of an exception's text that tests see."""
_COMMON_TEXTS = BaseException.__repr__, BaseExceptionGroup.__repr__
_held: list[Iterator[object]] = []
Result = TypeVar("Result")
_Asked = protocol.Call | protocol.Lookup | protocol.Next


def serve(reporter: Reporter, channel: int, namespace: Namespace) -> None:
    """Answer a judge until it closes the channel."""
    plain.hold_iterator, plain.name_opaque, plain.name_subclass = _hold, False, carried.name_subclass
    decoding.register("scalar", arrays.scalar)
    reporter.send(reports.Loaded())
    allow_deep()
    state: process_state.ProgramState | None = None
    while True:
        question = wire.read_frame(channel)
        request = protocol.unpack_question(question)
        if isinstance(request, protocol.Carry):
            state = _entered(request)
            continue
        if isinstance(request, protocol.Collect):
            reporter.send(state.leave() if state else reports.Left("", 0, "the directory"))
            continue
        try:
            answer = _answer(request, question, namespace)
        except plain.NotPlainError as error:
            answer = reports.CallRaised(plain.NOT_PLAIN, None, str(error), [], None, None)
        except BaseException as error:
            answer = _raised(error)
        reporter.send(answer)


def _entered(carry: protocol.Carry) -> process_state.ProgramState | None:
    try:
        return process_state.ProgramState(carry)
    except OSError:
        return None


def _answer(request: _Asked, question: bytes, namespace: Namespace) -> reports.Answer:
    if isinstance(request, protocol.Next):
        value = _by_program(next, _held[request.iterator], _held)  # which no iterator of the program's yields
        return reports.Exhausted() if value is _held else reports.Returned(plain.encode(value), None)
    if isinstance(request, protocol.Call):
        return _call(request, question, namespace)
    if request.name not in namespace:
        return reports.Missing()
    found = namespace[request.name]
    return reports.Callable() if callable(found) else reports.Returned(plain.encode(found), None)


def _call(request: protocol.Call, question: bytes, namespace: Namespace) -> reports.Answer:
    arguments = decoding.decode_as(tuple, request.arguments)
    named = decoding.decode_as(dict, request.named)
    found = _by_program(find_function, request.name, namespace)
    value = _by_program(found, *arguments, **named)
    result = _result(value, [*arguments, *named.values()])
    after = protocol.Call(request.name, plain.encode_deep(arguments), plain.encode_deep(named))
    unchanged = protocol.pack_question(after) == question
    return reports.Returned(result, None if unchanged else [after.arguments, after.named])


def _result(value: object, given: list[object]) -> Json:
    """An encoded result; one of the arguments itself by its place.

    Raises:
        NotPlainError: a copy of it would behave in another way.
    """
    if isinstance(value, (list, dict, set)):
        for place, argument in enumerate(given):
            if argument is value:
                return {"argument": place}
    tree = plain.encode_deep(value)
    if carried.occurs_twice(value, set()):
        raise plain.NotPlainError("a value that holds the same list twice")
    return tree


def _by_program(function: Callable[..., Result], *arguments: object, **named: object) -> Result:
    """Call the program's function, with the program's recursion limit."""
    restore()
    try:
        return function(*arguments, **named)
    finally:
        allow_deep()


def _hold(iterator: Iterator[object]) -> Json:
    _held.append(iterator)
    return {"held": len(_held) - 1}


def _raised(error: BaseException) -> reports.CallRaised:
    """An exception, with what of its type and contents can be told."""
    types: list[Json] = [
        [kind.__module__, kind.__qualname__] for kind in type(error).__mro__ if issubclass(kind, BaseException)
    ]
    arguments: Json = None
    attributes: Json = None
    with suppress(Exception):
        arguments = plain.encode(error.args)
    with suppress(Exception):
        held = vars(error) | {name: held for name in _SLOTS if (held := getattr(error, name, None)) is not None}
        if type(error).__repr__ not in _COMMON_TEXTS:
            held["__repr__"] = repr(error)
        attributes = plain.encode({name: value for name, value in held.items() if _is_plain(value)})
    kind, line, message = failure(error, _LONGEST_TEXT)
    return reports.CallRaised(kind, line, message, types, arguments, attributes)


def _is_plain(value: object) -> bool:
    try:
        plain.encode(value)
    except Exception:
        return False
    return True
