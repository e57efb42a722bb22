"""A child of the zygote: gives up what it has, waits for its job on its channel, does it, and ends.

Roles: ``run`` executes one program, ``script`` one that reads standard input, ``judge`` runs tests that call a program
in another child, ``compile`` compiles sources for the others as long as it lives; ``build`` and ``program`` are for
other languages. ``protocol.EXECUTION_MODES`` says which of them a suite's mode uses.
"""

# Without pathlib: its pages would be copied at every fork.
# ruff: noqa: PTH123
from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from functools import partial
from os import chdir, chroot, setresuid, setsid
from typing import NamedTuple, TypeVar

from .. import wire
from . import compiler, judge, native, protocol, runner, seccomp, syscalls
from .jail import WorkSlot
from .syscalls import PreparedCall, set_capabilities

UIDS = 1000
"""User ids that one zygote deals out in turn."""
CHANNEL = 3
"""Descriptor of the channel in every child; 0 to 2 are standard input, output and error."""
BROKEN = 70
"""Exit code of a child that failed before or after its job: ours to answer for."""
COMPILER_MEMORY = 1 << 30
COMPILER_LIMITS = ((resource.RLIMIT_NPROC, 1), (resource.RLIMIT_NOFILE, CHANNEL + 1), (resource.RLIMIT_FSIZE, 1 << 20))
_HIGH = 128  # above every descriptor that a zygote has
_close_none = syscalls.close_from(1 << 30)
_die_with_zygote = syscalls.die_with_parent(int(signal.SIGKILL))
ENOUGH = 64
"""Rehearsals after which the interpreter has specialised our code: it does so by writing into it, page by page."""

LimitedJob = TypeVar("LimitedJob", protocol.ProgramJob, protocol.JudgeJob, protocol.BuildJob)

address_space = 0
"""Bytes of address space of the warm interpreter, on top of which limits count; set by ``warm_up``."""


class Place(NamedTuple):
    """The place in which a child runs."""

    slot: WorkSlot
    filtered: bool
    """Whether the zygote's filter is all that is needed."""
    capabilities: tuple[int, ...] = ()
    """Capabilities of the zygote that a child keeps."""


def warm_up() -> None:
    """Do once in the zygote whatever the first child would otherwise pay for."""
    global address_space
    compiler.warm_up()
    runner.warm_up()
    main = sys.modules["__main__"]
    for _ in range(ENOUGH):
        rehearse()
    sys.modules["__main__"] = main
    del sys.modules[runner.MODULE]  # of the last rehearsal: no script shall find it
    for may_fork in (False, True):
        seccomp.child_filter(1, may_fork=may_fork, may_exec=False)
    for kind in (resource.RLIMIT_CORE, resource.RLIMIT_MEMLOCK):
        resource.setrlimit(kind, (0, 0))
    with open("/proc/self/statm") as file:
        address_space = int(file.read().split()[0]) * resource.getpagesize()


def rehearse() -> None:
    """Rehearse the work of every child, except steps that cannot be undone."""
    source, sink = os.pipe()
    _take_over([source], (source,), _close_none)
    _prepare(Place(WorkSlot("", "/"), True))
    limits = tuple((kind, resource.getrlimit(kind)[1]) for kind in (resource.RLIMIT_CPU, resource.RLIMIT_NOFILE))
    wire.send_frame(sink, protocol.pack(runner.rehearsal(limits)))
    runner.perform(sink, _next_job(protocol.ProgramJob, source))
    os.read(source, 1 << 16)
    os.close(source)
    os.close(sink)


def run(role: str, descriptors: list[int], uid: int, place: Place) -> None:
    """Become the child of this role. Does not return."""
    try:
        action, targets, close_others = _ROLES[role]
        _become(descriptors, targets, close_others, uid, place)
        action(place)
    except EOFError:
        os._exit(0)  # the parent ended before it had a job
    except BaseException:
        os._exit(BROKEN)
    os._exit(0)


def _become(
    descriptors: list[int], targets: tuple[int, ...], close_others: PreparedCall, uid: int, place: Place
) -> None:
    """Take over the descriptors, a root and a directory, a session and an identity; die with the zygote.

    Steps without a rehearsal are called by plain names: first looks into a module's attributes write to many pages.
    """
    if len(targets) > len(_STANDARD):  # numbers that an arriving descriptor may have
        descriptors = [os.dup2(descriptor, _HIGH + number) for number, descriptor in enumerate(descriptors)]
    _take_over(descriptors, targets, close_others)
    if place.slot.root:
        chroot(place.slot.root)
    chdir(place.slot.work)  # else the way up from the directory we came from would still be open
    setsid()
    if uid:
        setresuid(uid, uid, uid)  # the group is the unprivileged one that the zygote has already
    if place.capabilities or not uid:
        set_capabilities(*place.capabilities)
    _die_with_zygote()


def _take_over(descriptors: list[int], targets: tuple[int, ...], close_others: PreparedCall) -> None:
    for place, descriptor in enumerate(descriptors):
        os.dup2(descriptor, targets[place])
    close_others()


def _run(place: Place, *, may_fork: bool = False) -> None:
    """Prepare, wait for a program, run it. All that does not depend on the job comes before the wait."""
    _prepare(place, may_fork=may_fork)
    runner.run(CHANNEL, _next_job(protocol.ProgramJob))


def _prepare(place: Place, *, may_fork: bool = False) -> None:
    _seed()
    _forbid(place, may_fork=may_fork)


def _seed() -> None:
    """Generators that the zygote has imported, for a package: all its children would draw the same numbers."""
    for name in ("random", "numpy.random"):
        if module := sys.modules.get(name):
            module.seed()


def _next_job(kind: type[LimitedJob], channel: int = CHANNEL) -> LimitedJob:
    """Wait for a job, take its limits on."""
    job = protocol.unpack(kind, wire.read_only_frame(channel))
    limit(job.limits)
    return job


def _judge(place: Place) -> None:
    _forbid(place)
    judge.run(CHANNEL, _next_job(protocol.JudgeJob))


def _build(place: Place) -> None:
    _forbid(place, may_fork=True, may_exec=True)
    native.build(CHANNEL, _next_job(protocol.BuildJob))


def _become_program(place: Place) -> None:
    job = protocol.unpack(protocol.NativeJob, wire.read_frame(CHANNEL))
    _forbid(place, may_fork=job.may_fork, may_exec=True)
    limit(job.limits)
    native.become(CHANNEL, job)


def _compile(place: Place) -> None:
    compiler.prepare()
    _forbid(place)
    limit(COMPILER_LIMITS)
    resource.setrlimit(resource.RLIMIT_AS, (address_space + COMPILER_MEMORY,) * 2)
    while True:
        source = wire.read_frame(CHANNEL)
        wire.send_frame(CHANNEL, compiler.compile_source(source))


def _forbid(place: Place, *, may_fork: bool = False, may_exec: bool = False) -> None:
    """Install the child's filter, unless the zygote's own forbids it all already."""
    if not place.filtered:
        syscalls.seccomp(seccomp.child_filter(os.getpid(), may_fork=may_fork, may_exec=may_exec))


def limit(limits: Iterable[tuple[int, int]]) -> None:
    """Set limits, soft and hard: pairs of a resource and a value."""
    for kind, value in limits:
        resource.setrlimit(kind, (value, value))


def _role(
    action: Callable[[Place], None], *targets: int
) -> tuple[Callable[[Place], None], tuple[int, ...], PreparedCall]:
    return action, targets, syscalls.close_from(max(targets) + 1)


_STANDARD = (CHANNEL, 1, 2)
_ROLES = {
    "run": _role(_run, *_STANDARD),
    "run_forking": _role(partial(_run, may_fork=True), *_STANDARD),
    "script": _role(_run, *_STANDARD, 0),
    "script_forking": _role(partial(_run, may_fork=True), *_STANDARD, 0),
    "judge": _role(_judge, *_STANDARD, judge.PROGRAM_CHANNEL),
    "compile": _role(_compile, *_STANDARD),
    "build": _role(_build, *_STANDARD),
    "program": _role(_become_program, *_STANDARD, 0, native.ARTIFACT_DESCRIPTOR),
}
"""The action of a child of each role, the numbers that its descriptors get, in the order in which they arrive, and the
call that closes all above these.
"""
STARTERS = frozenset({"run_forking", "script_forking", "build", "program"})
"""Roles in which a child may start other processes."""
