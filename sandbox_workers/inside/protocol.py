"""Messages of trusted sides: from the parent, the zygote and judges to children, and between them.

They are marshalled (``pack`` and ``unpack``, one frame of ``sandbox_workers.wire`` each). What a program's process
sends is in ``reports``, because its reader must survive lies.
"""

from __future__ import annotations

import marshal
import struct
from collections.abc import Sequence
from types import CodeType
from typing import NamedTuple, TypeVar

from ..cost import Json

Job = TypeVar("Job", bound=tuple[object, ...])


class ExecutionMode(NamedTuple):
    """How a suite is run: the action of the program's process, and the roles of its processes."""

    program: str
    """Action of ``inside.runner`` on the program."""
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
    """Parent to zygote: start a child. Answered by ``Ended`` when it ended.

    A request holds one or several, with as many descriptors attached for each of them.
    """

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
MAX_REQUEST = 512
"""Most bytes of a request: of ``MAX_FORKS`` forks, or of a ``Kill``."""
MAX_FORKS = 4


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


NamedCall = tuple[str, tuple[object, ...]]
"""Name of a function, and its arguments."""


class ValueTests(NamedTuple):
    """Calls to make, by code or by name; one list per test."""

    setup: CodeType | None
    tests: Sequence[Sequence[CodeType | NamedCall]]


class SharedTests(NamedTuple):
    """Parent to a program's process in mode ``shared``, after ``Loaded``."""

    secret: str
    tests: bytes
    """Packed ``SharedCode``."""


class SharedCode(NamedTuple):
    """Tests that run in the program's namespace."""

    setup: CodeType | None
    tests: list[CodeType]
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

    prelude: CodeType | None
    setup: CodeType | None
    tests: list[CodeType]
    names: list[str]
    """Names that the tests expect of the program."""
    called: list[str]
    """Those of them that they call."""
    entry_point: str
    state: list[str]
    """Kinds of the process's state that they set, by the names of ``inside.process_state``."""


class BuildJob(NamedTuple):
    """Parent to a child of role ``build``: compile a program of another language."""

    limits: tuple[tuple[int, int], ...]
    files: list[tuple[str, bytes]]
    """Names and contents of the files in its directory: the source, and the files that it includes."""
    command: list[str]
    artifact: str


class NativeJob(NamedTuple):
    """Parent to a child of role ``program``: become a program of another language."""

    limits: tuple[tuple[int, int], ...]
    may_fork: bool
    files: list[tuple[str, bytes]]
    """Names and contents of the files in its directory."""
    command: list[str]
    """Empty where the artifact itself is run."""
    arguments: list[str]


class Call(NamedTuple):
    """Judge to program: call a function. Answered by ``Returned`` or ``CallRaised``."""

    name: str
    arguments: Json
    """Encoded by ``plain``, as ``named``."""
    named: Json


class Lookup(NamedTuple):
    """Judge to program: the value of a name. Answered by ``Returned``, ``Callable``, ``Missing`` or ``CallRaised``."""

    name: str


class Next(NamedTuple):
    """Judge to program: the next value of an iterator. Answered by ``Returned``, ``Exhausted`` or ``CallRaised``."""

    iterator: int


RandomState = tuple[object, ...]
"""The value of ``random.getstate``."""


class Carry(NamedTuple):
    """Judge to program, not answered: state of the process that the tests have set, for the next call."""

    captures: bool
    """Keep the text written to standard output."""
    stdin: tuple[str, int] | None
    """Standard input's text, and the position in it; None: as it was. The rest is None where it has not changed."""
    seed: RandomState | None
    environment: dict[str, str] | None
    directory: str | None


class Collect(NamedTuple):
    """Judge to program, after a call under a ``Carry``: end it. Answered by ``Left``."""


Question = Call | Lookup | Next | Carry | Collect
"""A question of a judge to a program."""
_QUESTIONS: dict[int, type[Question]] = {0: Collect, 3: Call, 5: Carry}
"""Those whose number of fields says which they are."""
_UNSHARED = 2
"""Version of marshalled data in which equal values are equal bytes, whoever holds them too."""


def pack(message: tuple[object, ...]) -> bytes:
    """A job as bytes."""
    return marshal.dumps((*message,))  # type: ignore[arg-type]  # its fields are what marshal knows


def unpack(kind: type[Job], data: bytes) -> Job:
    """The job of this kind that ``pack`` wrote; never of bytes that a program may have written."""
    return tuple.__new__(kind, marshal.loads(data))  # past the Python code of its own: pages of it would be copied


def pack_request(request: Kill | Sequence[Fork]) -> bytes:
    """A request to a zygote as bytes."""
    if isinstance(request, Kill):
        return marshal.dumps(request.number)
    return marshal.dumps([(*fork,) for fork in request])


def unpack_request(data: bytes) -> Kill | list[Fork]:
    """The request that ``pack_request`` wrote."""
    request = marshal.loads(data)
    if type(request) is int:
        return Kill(request)
    return [tuple.__new__(Fork, fields) for fields in request]  # as in ``unpack``


def pack_ended(ended: Ended) -> bytes:
    """The end of a child as bytes."""
    return _ENDED.pack(*ended)


def unpack_ended(data: bytes) -> Ended:
    """The end of a child that ``pack_ended`` wrote."""
    return Ended(*_ENDED.unpack(data))


def pack_question(question: Question) -> bytes:
    """A judge's question as bytes; equal questions are equal bytes."""
    return marshal.dumps((*question,), _UNSHARED)


def unpack_question(data: bytes) -> Question:
    """The question that ``pack_question`` wrote."""
    fields = marshal.loads(data)
    if (kind := _QUESTIONS.get(len(fields))) is not None:
        return kind(*fields)
    return Next(*fields) if type(fields[0]) is int else Lookup(*fields)
