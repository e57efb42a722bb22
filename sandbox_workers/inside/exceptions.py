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
_MOST_TYPES = 64
_KNOWN = _LIBRARIES | sys.stdlib_module_names | {"builtins"}


def rebuilt(
    answer: reports.CallRaised, decode: Callable[[Json], object], share: Callable[[str], NoReturn]
) -> BaseException:
    """The exception that the program raised, as the nearest type that the tests know, with its plain attributes.

    ``decode`` makes values of the sent trees; ``share`` is called if tests ask for a value that was not sent.
    """

    attributes = decode(answer.attributes)
    if not isinstance(attributes, dict):
        attributes = {}
    given = decode(answer.arguments)
    kind = _class(answer, attributes, given is None, share)
    error: BaseException = RuntimeError(answer.message)
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


def _class(
    answer: reports.CallRaised, attributes: dict[object, object], lost_arguments: bool, share: Callable[[str], NoReturn]
) -> type[BaseException]:
    """The type of an exception: a known one, or one of the same name that is made of those that it is of."""

    def lost(_: object, name: str = "args") -> NoReturn:
        if name.startswith("__"):  # asked by whatever prints it
            raise AttributeError(name)
        share(f"an exception with {name}")

    told = map(_known_type, answer.types[:_MOST_TYPES])
    known = [found for found in told if found is not None and _may_be_raised(found)]
    kind = next(iter(known), RuntimeError)
    if answer.kind == kind.__name__:
        return kind
    members: dict[str, object] = {"__str__": lambda _: answer.message, "__getattr__": lost, "__module__": "program"}
    if "__repr__" in attributes:
        members["__repr__"] = lambda _: str(attributes["__repr__"])
    if lost_arguments:
        members["args"] = property(lost)
    name = answer.kind if answer.kind.isidentifier() else "Error"
    bases = [found for found in known if not any(other is not found and issubclass(other, found) for other in known)]
    with suppress(TypeError):  # built-in ones whose objects are made in different ways
        return type(name, (*bases,) or (kind,), members)
    return type(name, (kind,), members)


def _may_be_raised(kind: type[BaseException]) -> bool:
    return not issubclass(kind, _ENDS_A_LOOP) and issubclass(kind, (Exception, SystemExit))


def _known_type(name: Json) -> type[BaseException] | None:
    """A type that is built in, or of a module that the tests have loaded, of the standard library or such a package."""
    match name:
        case [str(module), str(attribute)] if _is_known(module) and module in sys.modules:
            found = vars(sys.modules[module]).get(attribute)
            if isinstance(found, type) and issubclass(found, BaseException) and _is_known(found.__module__):
                return found
    return None


def _is_known(module: str) -> bool:
    """Whether exceptions of a module are rebuilt: those of ``unittest``, by which a test says that it is skipped or
    over, are not, and some modules have them as well.
    """
    package = module.split(".")[0]
    return package in _KNOWN and package != "unittest"


def _made(kind: type[BaseException], arguments: tuple[object, ...]) -> BaseException:
    """Built-in exceptions by their constructor; others past it: what it would do the attributes say."""
    if kind.__module__ in ("builtins", "program"):
        return kind(*arguments)
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    return error
