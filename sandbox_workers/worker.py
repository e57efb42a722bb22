"""A zygote with its compiler and children forked in advance: runs one program, and is replaced when it dies."""

from __future__ import annotations

import math
import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from .compile_service import CompileService
from .errors import SandboxUnavailable
from .inside import protocol, reports
from .inside.child import BROKEN
from .inside.protocol import EXECUTION_MODES
from .languages.language import TOOLCHAIN_PATHS, Language
from .limits import Limits
from .outcome import used_up_cpu
from .program import Program, sealed_file
from .resident import RESERVED_BYTES, ResidentWatch
from .supervise import WIRE_MOST_S, Cause, Child, Handler, Record, Supervision
from .work_slots import WorkSlots
from .zygote_process import ZygoteProcess

CHECK_EVERY = 500
"""Programs between two looks at how large the zygote is."""
LAST_TRY_S = 0.01
"""For sending something to a program that is late already."""
LIGHT_BYTES = 64 << 20
"""Peak memory up to which a program may still be ending while the next one runs: both count in the zygote's group."""
GROWTH_BYTES = 32 << 20
"""Growth at which a zygote is replaced: each fork pays for its size."""


class BrokenChildError(Exception):
    """A child seems to have failed through no fault of its program; a program can feign this by its exit code, or by
    what it answers its judge. ``wall_s`` is how long the run had taken.
    """

    def __init__(self, message: str, wall_s: float) -> None:
        super().__init__(message)
        self.wall_s = wall_s


@dataclass(frozen=True, slots=True)
class Run:
    """Observations of one run: of the program's child, and why we ended it."""

    record: Record
    cause: Cause
    wall_s: float


class Worker:
    """Runs one program at a time. Not thread-safe.

    Every method raises ``ZygoteLostError`` when the zygote dies; ``replace`` then makes the worker whole again.
    """

    def __init__(
        self, isolation: str, packages: Sequence[str], languages: Sequence[Language], recycle_after: int
    ) -> None:
        if isolation == "gvisor" and languages:
            raise SandboxUnavailable("isolation 'gvisor' runs Python only; other languages need isolation='full'")
        self._isolation = isolation
        self._packages = packages
        own = [path for language in languages for path in language.readable()]
        self._readable = (*TOOLCHAIN_PATHS, *own) if languages else ()
        self._may_fork = bool(languages)
        self._recycle_after = recycle_after
        self.start()

    def start(self) -> None:
        """Start a zygote.

        Raises:
            SandboxUnavailable: the host denies the isolation that was asked for.
        """
        self.zygote = ZygoteProcess(self._isolation, self._packages, self._readable, self._may_fork)
        self._compiler = CompileService(self.zygote)
        self._slots = WorkSlots(self.zygote)
        self._runs = 0
        self._first_resident = self.zygote.resident_bytes()

    def replace(self) -> None:
        """End everything and start anew."""
        self.close()
        self.start()

    def close(self) -> None:
        """End everything."""
        self._compiler.close()
        self._slots.close()
        self.zygote.close()

    def compile(self, program: str, wall_s: float, prelude: bytes = b"") -> Program:
        """A program, compiled; ``prelude`` is marshalled code that runs before it.

        Raises:
            CompileFailure: it does not compile.
        """
        if self._runs >= self._recycle_after or (self._runs % CHECK_EVERY == 0 and self._has_grown()):
            self.replace()
        return Program.of(program, self._compiler.compile(program, wall_s), prelude)

    def run(self, program: Program, mode: str, tests: bytes, limits: Limits, stop: bool, handler: Handler) -> Run:
        """Run a program in mode ``values`` or ``shared``; ``handler`` takes its reports.

        In mode ``shared``, ``tests`` is a packed ``protocol.SharedTests`` that the program's process gets once it says
        that the program has been loaded.

        Raises:
            BrokenChildError: the child seems to have failed before the program began.
        """
        child = self._program_child(limits)
        waiting = [tests] if mode == "shared" else []

        def take(report: reports.Report) -> bool:
            if not waiting or not isinstance(report, reports.Loaded):
                return handler(report)
            child.channel.settimeout(supervision.left_s + LAST_TRY_S)  # a program that said so itself may not read
            child.send(waiting.pop())  # and a second time is forged
            child.channel.settimeout(None)
            return False

        job = self._job(program, mode, b"" if mode == "shared" else tests, limits, stop)
        with self._supervised(child, job, limits, take) as (supervision, record):
            self._slots.fill_spares(EXECUTION_MODES[mode].role)
            supervision.run()
        return self._reaped_later(child, supervision, record, limits)

    def run_judged(
        self, program: Program, tests: bytes, secret: str, limits: Limits, stop: bool, handler: Handler
    ) -> Run:
        """Run a program, and its tests in a second child that calls it; ``handler`` takes the reports of the tests."""
        child = self._program_child(limits)
        judge: Child | None = None

        def take(report: reports.Report) -> bool:
            if isinstance(report, reports.WireTime) and report.secret == secret:
                supervision.extend(report.seconds)
                return False
            return handler(report)

        resources = self._judge_resources(limits)
        job = self._job(program, EXECUTION_MODES["judge"].program, b"", limits, stop)
        try:
            with self._supervised(child, job._replace(limits=resources), limits, None) as (supervision, record):
                role = EXECUTION_MODES["judge"].tests_role
                judge = Child.fork(self.zygote, role, [child.channel.fileno()], child.slot, child.number)
                child.channel.close()  # the judge has it now
                judge.send(protocol.pack(protocol.JudgeJob(resources, tests, stop, secret)))
                judge_record = supervision.watch(judge, take)
                supervision.run()
        finally:
            if judge is not None:
                judge.close()
        record.messages = judge_record.messages
        for one in (judge_record, record):
            if _is_over_cpu(one.ended, limits, supervision.extended_s):
                supervision.cause = supervision.cause or "timeout"
                return self._finished(supervision, one)
        if supervision.cause == "" and judge_record.ended is not None and judge_record.ended.status != 0:
            raise BrokenChildError("the judge came down over the program's answer", supervision.wall_s)
        return self._finished(supervision, record, limits if supervision.counts_memory else None)

    def run_script(self, program: Program, stdin: bytes, limits: Limits, handler: Handler) -> Run:
        """Run a program as a script that reads ``stdin``."""
        mode = EXECUTION_MODES["script"]
        source = sealed_file(stdin)
        try:
            role = mode.forking_role if limits.processes > 1 else mode.role
            return self.run_once(role, self._job(program, mode.program, b"", limits, True), limits, handler, [source])
        finally:
            os.close(source)

    def run_once(
        self, role: str, job: tuple[object, ...], limits: Limits, handler: Handler | None, extra: Sequence[int] = ()
    ) -> Run:
        """Run a child made for this job."""
        self._allow(limits)
        child = self._slots.child(role, extra)
        with self._supervised(child, job, limits, handler) as (supervision, record):
            supervision.run()
        counted = limits if supervision.counts_memory else None
        return self._finished(supervision, record, counted)

    @contextmanager
    def _supervised(
        self, child: Child, job: tuple[object, ...], limits: Limits, handler: Handler | None
    ) -> Iterator[tuple[Supervision, Record]]:
        """Send a child its job and watch it; within, ``run`` waits for its end."""
        try:
            child.send(protocol.pack(job))
            watches = self.zygote.shows_children and isinstance(job, protocol.ProgramJob)
            memory = ResidentWatch(self.zygote, self._most_resident(limits)) if watches else None
            supervision = Supervision(self.zygote, limits, memory)
            yield supervision, supervision.watch(child, handler)
        finally:
            child.close()

    def _job(self, program: Program, mode: str, tests: bytes, limits: Limits, stop: bool) -> protocol.ProgramJob:
        looks = program.reads_itself or mode == "shared" or (program.lists_files and mode == "script")
        return protocol.ProgramJob(
            limits=self._resources(limits),
            mode=mode,
            code=program.code,
            prelude=program.prelude,
            tests=tests,
            stop=stop,
            source=program.source if looks else b"",
            dies_of_signals=program.names_signals,
        )

    def _allow(self, limits: Limits) -> None:
        """Prepare for the next program: for the first that may fork, another zygote has to be started."""
        limits.check_host()
        if limits.processes > 1 and not self._may_fork:
            if not self.zygote.ends_descendants:
                raise SandboxUnavailable(
                    "programs of more than one process need isolation='full': without namespaces and without root, "
                    "nothing ends what they leave running"
                )
            self._may_fork = True
            self.replace()
        self.zygote.limit_memory(math.ceil(limits.memory_mb) << 20)

    def _has_grown(self) -> bool:
        return self.zygote.resident_bytes() > self._first_resident + GROWTH_BYTES

    def _program_child(self, limits: Limits) -> Child:
        """A child that waits, unless the program may do what that child can no longer be allowed."""
        self._allow(limits)
        mode = EXECUTION_MODES["values"]
        return self._slots.child(mode.forking_role) if limits.processes > 1 else self._slots.spare(mode.role)

    def _resources(self, limits: Limits) -> tuple[tuple[int, int], ...]:
        reserved = RESERVED_BYTES if self.zygote.shows_children else 0
        return limits.resources(self.zygote.address_space + reserved)

    def _most_resident(self, limits: Limits) -> int:
        """Resident size up to which a program is within its memory: the warm interpreter comes on top."""
        return self._first_resident + (math.ceil(limits.memory_mb) << 20)

    def _judge_resources(self, limits: Limits) -> tuple[tuple[int, int], ...]:
        """Limits of a program and its judge: the time of calls between them is known only afterwards."""
        more = {resource.RLIMIT_CPU: int(WIRE_MOST_S)}
        return tuple((kind, value + more.get(kind, 0)) for kind, value in self._resources(limits))

    def _reaped_later(self, child: Child, supervision: Supervision, record: Record, limits: Limits) -> Run:
        if supervision.pending_exit is not None:
            self._slots.end_later(child.slot, supervision.pending_exit)
            if record.ended is not None and record.ended.peak_bytes > LIGHT_BYTES:
                self._slots.clear(child.slot)
        return self._finished(supervision, record, limits if supervision.counts_memory else None)

    def _finished(self, supervision: Supervision, record: Record, limits: Limits | None = None) -> Run:
        self._runs += 1
        ended = record.ended
        silent = not (record.messages or record.stdout or record.stderr)
        if silent and ended is not None and os.WIFEXITED(ended.status) and os.WEXITSTATUS(ended.status) == BROKEN:
            raise BrokenChildError("the child failed before its program began", supervision.wall_s)
        return Run(record, self._cause(supervision, ended, limits), supervision.wall_s)

    def _cause(self, supervision: Supervision, ended: protocol.Ended | None, limits: Limits | None) -> Cause:
        """Why the run was ended; a program that held too much between two looks has passed its limit too."""
        if limits is None or ended is None or supervision.cause not in ("", "stopped"):
            return supervision.cause
        return "memory" if ended.peak_bytes > self._most_resident(limits) else supervision.cause


def _is_over_cpu(ended: protocol.Ended | None, limits: Limits, extended_s: float) -> bool:
    """Whether a child of two has used more than it may, as the kernel would have said of one."""
    if ended is None:
        return False
    return ended.cpu_s > math.ceil(limits.cpu_s) + extended_s or used_up_cpu(ended, limits, extended_s)
