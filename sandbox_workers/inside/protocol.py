"""Every message between the parent, a zygote and its children: what it holds, who writes it, who reads it.

Two encodings. What a trusted side sends (*jobs*: the parent to a child, a judge to the program) is marshalled:
``pack`` and ``unpack``. What a program's process sends (*reports*) is JSON, because its reader must survive lies:
``write`` and ``read``; a report that ``read`` returns has the fields and the types that its class declares, and
nothing else is believed of it. Each message is one frame of ``sandbox_workers.wire``.
"""

from __future__ import annotations

import marshal
import struct
from types import NoneType
from typing import Any, NamedTuple, TypeVar

from .. import plain

Message = TypeVar("Message", bound=tuple[Any, ...])


class ExecutionMode(NamedTuple):
    """How a suite is run: what the program's process does, and which roles its processes have."""

    program: str
    """What ``inside.runner`` does with the program."""
    role: str
    """Role of the program's process."""
    forking_role: str
    """The same for a program that may start processes."""
    tests_role: str = ""
    """Role of the process that runs the tests, where they have one of their own."""


EXECUTION_MODES = {
    "values": ExecutionMode("values", "run", "run_forking"),
    "judge": ExecutionMode("serve", "run", "run_forking", "judge"),
    "shared": ExecutionMode("shared", "run", "run_forking"),
    "script": ExecutionMode("script", "script", "script_forking"),
    "native": ExecutionMode("", "program", "program"),
}
"""``values``: calls inside, comparisons in the parent. ``judge``: tests in a process of their own. ``shared``: tests in
the program's process. ``script``: standard input and output. ``native``: the same for compiled programs.
"""


class Fork(NamedTuple):
    """Parent to zygote, with the child's descriptors attached: start a child. Answered by ``Ended`` when it ended."""

    number: int
    role: str
    slot: int
    user: int
    """Number from which the child's user id follows: a judge has its program's, so that they share files."""


class Kill(NamedTuple):
    """Parent to zygote: end a child."""

    number: int


class Ended(NamedTuple):
    """Zygote to parent: a child has ended."""

    number: int
    status: int
    """As wait(2) gives it."""
    cpu_s: float
    peak_bytes: int


_ENDED = struct.Struct("<QidQ")
ENDED_BYTES = _ENDED.size
MAX_REQUEST = 256
"""Most bytes of a ``Fork`` or ``Kill``."""


class ProgramJob(NamedTuple):
    """Parent to a child of role ``run`` or ``script``."""

    limits: tuple[tuple[int, int], ...]
    mode: str
    code: bytes
    """Marshalled code of the program."""
    prelude: bytes
    """Marshalled code that runs before it, or nothing."""
    tests: bytes
    """``values``: packed ``ValueTests``. Otherwise nothing; in mode ``shared`` they follow as ``SharedTests``."""
    stop: bool
    """Stop at the first test that fails."""
    source: bytes
    """Text of a program that may ask for its own source, or nothing."""
    dies_of_signals: bool
    """The program's text names signals: let those end it that would end a process that is not the first of its
    namespace.
    """


class ValueTests(NamedTuple):
    """Calls to make, each a code object or ``(name, arguments)``; one list per test."""

    setup: Any
    tests: list[list[Any]]


class SharedTests(NamedTuple):
    """Parent to a program's process in mode ``shared``, after ``Loaded``."""

    secret: str
    tests: bytes
    """Packed ``SharedCode``."""


class SharedCode(NamedTuple):
    """Tests that run in the program's namespace."""

    setup: Any
    tests: list[Any]
    entry_point: str


class JudgeJob(NamedTuple):
    """Parent to a child of role ``judge``."""

    limits: tuple[tuple[int, int], ...]
    tests: bytes
    """Packed ``JudgeTests``."""
    stop: bool
    secret: str
    """Comes back with each of its reports: a test may be made to write to any descriptor."""


class JudgeTests(NamedTuple):
    """Tests that run in a process of their own."""

    prelude: Any
    setup: Any
    tests: list[Any]
    names: list[str]
    """Names that the tests expect of the program."""
    called: list[str]
    """Those of them that they call."""
    entry_point: str


class BuildJob(NamedTuple):
    """Parent to a child of role ``build``: compile a program of another language."""

    limits: tuple[tuple[int, int], ...]
    files: list[tuple[str, bytes]]
    """Names and contents of what lies in its directory: the source, and what that includes."""
    command: list[str]
    artifact: str


class NativeJob(NamedTuple):
    """Parent to a child of role ``program``: become a program of another language."""

    limits: tuple[tuple[int, int], ...]
    may_fork: bool
    files: list[tuple[str, bytes]]
    """Names and contents of what lies in its directory."""
    command: list[str]
    """Empty where the artifact itself is run."""
    arguments: list[str]


class Call(NamedTuple):
    """Judge to program: call a function. Answered by ``Returned`` or ``CallRaised``."""

    name: str
    arguments: Any
    """Encoded by ``plain``, as ``named``."""
    named: Any


class Lookup(NamedTuple):
    """Judge to program: the value of a name. Answered by ``Returned``, ``Callable``, ``Missing`` or ``CallRaised``."""

    name: str


class Next(NamedTuple):
    """Judge to program: the next value of an iterator. Answered by ``Returned``, ``Exhausted`` or ``CallRaised``."""

    iterator: int


class Loaded(NamedTuple):
    """Program to parent or judge: the program has been loaded."""


class Done(NamedTuple):
    """Program or judge to parent: nothing follows."""


class Value(NamedTuple):
    """Program to parent, mode ``values``: what the calls of one test returned, encoded by ``plain``."""

    test: int
    values: list[Any]


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

    value: Any
    arguments: Any


class CallRaised(NamedTuple):
    """Program to judge: a call raised."""

    kind: str
    line: int | None
    message: str
    types: list[Any]
    """``[module, name]`` of the types that it is of, the nearest first, without the program's own."""
    arguments: Any
    attributes: Any
    """Encoded by ``plain``; None where they are no plain data."""


class Callable(NamedTuple):
    """Program to judge: the name is a function's."""


class Missing(NamedTuple):
    """Program to judge: there is no such name."""


class Exhausted(NamedTuple):
    """Program to judge: the iterator has no further value."""


_LINE = int, NoneType
_REPORTS: dict[str, tuple[type[Any], tuple[Any, ...]]] = {
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
}
_TAGS = {kind: tag for tag, (kind, _) in _REPORTS.items()}


def pack(message: tuple[Any, ...]) -> bytes:
    """A job as bytes."""
    return marshal.dumps((*message,))


def unpack(kind: type[Message], data: bytes) -> Message:
    """The job of this kind that ``pack`` wrote; never of bytes that a program may have written."""
    return kind(*marshal.loads(data))


def pack_request(request: Fork | Kill) -> bytes:
    """A request to a zygote as bytes."""
    return marshal.dumps((*request,))


def unpack_request(data: bytes) -> Fork | Kill:
    """The request that ``pack_request`` wrote."""
    fields = marshal.loads(data)
    return Kill(*fields) if len(fields) == 1 else Fork(*fields)


def pack_ended(ended: Ended) -> bytes:
    """The end of a child as bytes."""
    return _ENDED.pack(*ended)


def unpack_ended(data: bytes) -> Ended:
    """The end of a child that ``pack_ended`` wrote."""
    return Ended(*_ENDED.unpack(data))


def write(report: tuple[Any, ...]) -> bytes:
    """A report as bytes."""
    return plain.dumps([_TAGS[type(report)], *report])


def read(data: bytes) -> Any:
    """The report in ``data``, of the fields and types that its class declares.

    Raises:
        ValueError: it is none.
    """
    match plain.loads(data):
        case [str(tag), *fields] if tag in _REPORTS:
            kind, types = _REPORTS[tag]
            if len(fields) == len(types) and all(map(_is_of, fields, types)):
                return kind(*fields)
    raise ValueError("not a report")


def _is_of(field: Any, types: Any) -> bool:
    """Of exactly the type, so that ``True`` is no number."""
    return types is object or (type(field) in types if isinstance(types, tuple) else type(field) is types)
