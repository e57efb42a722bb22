"""Messages that a program's process may send, or forge: JSON, of fields whose types are declared.

``write`` writes them. A report that ``read`` returns has the fields and the types that its class declares, and nothing
else is believed of it. Each is one frame of ``sandbox_workers.wire``. Reports of a judge, and of tests in the program's
process, carry a secret.
"""

from __future__ import annotations

from types import NoneType
from typing import NamedTuple

from .. import plain
from ..cost import Json


class Loaded(NamedTuple):
    """Program to parent or judge: the program has been loaded."""


class Done(NamedTuple):
    """Program or judge to parent: nothing follows."""


class Value(NamedTuple):
    """Program to parent, mode ``values``: the values of one test's calls, encoded by ``plain``."""

    test: int
    values: list[Json]


class Raised(NamedTuple):
    """Program to parent: a test, the setup or the program itself raised; ``line`` is the program's innermost one."""

    test: int
    kind: str
    line: int | None
    message: str


class Passed(NamedTuple):
    """Judge, or program in mode ``shared``, to parent."""

    secret: str
    test: int


class Failed(NamedTuple):
    """Judge, or program in mode ``shared``, to parent."""

    secret: str
    test: int
    kind: str
    line: int | None
    message: str
    by_program: bool
    """Whether the program raised it, and not a comparison of the tests."""


class NotLoaded(NamedTuple):
    """Judge to parent: the program, or the setup, raised before the first test."""

    secret: str
    kind: str
    line: int | None
    message: str


class NeedsObjects(NamedTuple):
    """Judge to parent: tests and program share values that are not plain data."""

    secret: str
    by_program: bool
    """Whether the program has given the tests a value before: then it may have had a hand in it."""
    what: str


class WireTime(NamedTuple):
    """Judge to parent: seconds that calls have spent between the processes, for which no program is charged."""

    secret: str
    seconds: float


class Built(NamedTuple):
    """Build to parent."""

    exit_code: int
    artifact: str
    """In base64; empty if it failed."""


class Returned(NamedTuple):
    """Program to judge: a value, and how the arguments look afterwards (None: unchanged), encoded by ``plain``."""

    value: Json
    arguments: Json


class CallRaised(NamedTuple):
    """Program to judge: a call raised."""

    kind: str
    line: int | None
    message: str
    types: list[Json]
    """``[module, name]`` of the types that it is of, the nearest first, without the program's own."""
    arguments: Json
    attributes: Json
    """Encoded by ``plain``; None where they are no plain data."""


class Callable(NamedTuple):
    """Program to judge: the name is a function's."""


class Missing(NamedTuple):
    """Program to judge: there is no such name."""


class Exhausted(NamedTuple):
    """Program to judge: the iterator has no further value."""


class Left(NamedTuple):
    """Program to judge: the state that a call under a ``Carry`` has left."""

    written: str
    """To standard output, where it was kept."""
    read_to: int
    """Position in standard input, where it was given."""
    changed: str
    """State that it set itself, which the tests would have to see."""


Report = (
    Loaded
    | Done
    | Value
    | Raised
    | Passed
    | Failed
    | NotLoaded
    | NeedsObjects
    | WireTime
    | Built
    | Returned
    | CallRaised
    | Callable
    | Missing
    | Exhausted
    | Left
)
Answer = Returned | CallRaised | Callable | Missing | Exhausted | Left
"""An answer of a program to a judge."""

_Types = type | tuple[type, ...]
_LINE = int, NoneType
_REPORTS: dict[str, tuple[type[Report], tuple[_Types, ...]]] = {
    "loaded": (Loaded, ()),
    "end": (Done, ()),
    "value": (Value, (int, list)),
    "raised": (Raised, (int, str, _LINE, str)),
    "pass": (Passed, (str, int)),
    "fail": (Failed, (str, int, str, _LINE, str, bool)),
    "not loaded": (NotLoaded, (str, str, _LINE, str)),
    "objects": (NeedsObjects, (str, bool, str)),
    "wire": (WireTime, (str, float)),
    "built": (Built, (int, str)),
    "returned": (Returned, (object, object)),
    "call raised": (CallRaised, (str, _LINE, str, list, object, object)),
    "callable": (Callable, ()),
    "missing": (Missing, ()),
    "exhausted": (Exhausted, ()),
    "left": (Left, (str, int, str)),
}
_CHECKS = {
    tag: (kind, tuple(() if t is object else t if isinstance(t, tuple) else (t,) for t in types))
    for tag, (kind, types) in _REPORTS.items()
}
"""Tag -> its class, and for each field the types that it may be of; none: of any."""
_TAGS = {kind: tag for tag, (kind, _) in _REPORTS.items()}


def write(report: Report) -> bytes:
    """A report as bytes."""
    return plain.dumps([_TAGS[type(report)], *report])


def read(data: bytes) -> Report:
    """The report in ``data``, of the fields and types that its class declares.

    Raises:
        ValueError: it is none.
    """
    tree = plain.loads(data)
    if type(tree) is list and tree and type(tree[0]) is str and tree[0] in _CHECKS:
        kind, allowed = _CHECKS[tree[0]]
        fields = tree[1:]
        if len(fields) == len(allowed):
            for field, types in zip(fields, allowed, strict=True):
                if types and type(field) not in types:  # exactly, so that ``True`` is no number
                    break
            else:
                return kind._make(fields)
    raise ValueError("not a report")
