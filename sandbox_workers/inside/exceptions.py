"""Exceptions of the program, rebuilt in the tests' process."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

from ..cost import Json
from . import reports

_ENDS_A_LOOP = StopIteration, StopAsyncIteration
"""Raised in the tests' own process, these would end a loop of the tests early, and what it leaves out would pass."""


_LIBRARIES = frozenset(("numpy", "pandas", "scipy", "sympy", "networkx", "sklearn", "torch"))
"""Packages whose exceptions say nothing to those who run tests, unlike pytest's."""
_KNOWN = _LIBRARIES | sys.stdlib_module_names


def rebuilt(
    answer: reports.CallRaised, decode: Callable[[Json], object], share: Callable[[str], NoReturn]
) -> BaseException:
    """The exception that the program raised, as the nearest type that the tests know, with its plain attributes.

    ``decode`` makes values of what was sent; ``share`` is called if tests ask for what was not.
    """

    def lost(_: object, name: str) -> NoReturn:
        if name.startswith("__"):  # asked by whatever prints it
            raise AttributeError(name)
        share(f"an exception with {name}")

    kind: type[BaseException] = next(filter(None, map(_known_type, answer.types)), RuntimeError)
    if issubclass(kind, _ENDS_A_LOOP) or not issubclass(kind, (Exception, SystemExit)):
        kind = RuntimeError
    attributes = decode(answer.attributes)
    if not isinstance(attributes, dict):
        attributes = {}
    if answer.kind != kind.__name__:  # a class of the program's
        texts = {"__str__": lambda _: answer.message}
        if "__repr__" in attributes:
            texts["__repr__"] = lambda _: str(attributes["__repr__"])
        kind = type(answer.kind, (kind,), {**texts, "__getattr__": lost, "__module__": "program"})
    error: BaseException = RuntimeError(answer.message)
    given = decode(answer.arguments)
    for arguments in (given, (answer.message,)):
        with suppress(Exception):  # such as UnicodeDecodeError, which wants five arguments
            if isinstance(arguments, tuple):
                error = _made(kind, arguments)
                break
    for name, value in attributes.items():
        with suppress(AttributeError, TypeError):
            if not str(name).startswith("__"):
                setattr(error, name, value)
    error.__dict__["_raised_by_program"] = answer.kind, answer.line, answer.message
    return error


def _known_type(name: Json) -> type[BaseException] | None:
    """A type that is built in, or of a module that the tests have loaded, of the standard library or such a package."""
    match name:
        case [str(module), _] if module.split(".")[0] == "unittest":
            return None  # by these a test says that it is skipped or over
        case [str(module), str(attribute)] if module == "builtins" or module.split(".")[0] in _KNOWN:
            found = vars(sys.modules[module]).get(attribute) if module in sys.modules else None
            return found if isinstance(found, type) and issubclass(found, BaseException) else None
    return None


def _made(kind: type[BaseException], arguments: tuple[object, ...]) -> BaseException:
    """Built-in exceptions by their constructor; others past it: what it would do the attributes say."""
    if kind.__module__ in ("builtins", "program"):
        return kind(*arguments)
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    return error
