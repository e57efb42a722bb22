"""A zygote with its compiler and children forked in advance: what runs one program, and is replaced when it dies."""

from __future__ import annotations

import base64
import fcntl
import math
import os
import re
import resource
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from .compile_service import CompileFailure, CompileService
from .errors import SandboxUnavailable
from .inside import protocol, reports
from .inside.child import BROKEN
from .inside.protocol import EXECUTION_MODES
from .languages.language import ARTIFACT, TOOLCHAIN_PATHS, Language
from .limits import Limits
from .outcome import used_up_cpu
from .resident import RESERVED_BYTES, ResidentWatch
from .supervise import GRACE_S, WIRE_MOST_S, Cause, Child, Handler, Record, Supervision
from .zygote_process import ZygoteProcess

BUILD_LIMITS = Limits(wall_s=30, cpu_s=30, memory_mb=2048, processes=16, file_mb=64, output_kb=1 << 16)
COMPLAINT_LENGTH = 2000
CHECK_EVERY = 500
"""Programs between two looks at how large the zygote is."""
SPARES = 2
"""Children that wait for their program: one prepares itself while the other, ready already, is given one."""
LAST_TRY_S = 0.01
"""For sending something to a program that is late already."""
LIGHT_BYTES = 64 << 20
"""Peak memory up to which a program may still be ending while the next one runs: both count in the zygote's group."""
_READS_ITSELF = re.compile(r"__file__|\b(?:inspect|linecache|traceback|argv|runpy|importlib|program)\b")
_LISTS_FILES = re.compile(r"\b(?:listdir|scandir|glob|walk|iterdir|exists|isfile|stat)\b")
"""What programs name that look for their own file; a script finds it too where it lists its directory."""
_NAMES_SIGNALS = re.compile(r"\b(?:signal|kill|killpg|alarm|setitimer)\b")
GROWTH_BYTES = 32 << 20
"""Growth at which a zygote is replaced: each fork pays for its size."""


class BrokenChildError(Exception):
    """A child seems to have failed through no fault of its program; a program can feign this by its exit code, or by
    what it answers its judge. ``wall_s`` is how long the run had taken.
    """

    def __init__(self, message: str, wall_s: float) -> None:
        super().__init__(message)
        self.wall_s = wall_s


Files = Sequence[tuple[str, bytes]]
"""Names and contents."""


class Program(NamedTuple):
    """A compiled program, and what its text says that it needs."""

    code: bytes
    """Marshalled, never to be read outside the jail."""
    prelude: bytes
    """Marshalled code that runs before it, or nothing."""
    source: bytes
    reads_itself: bool
    lists_files: bool
    names_signals: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What was seen of one run: of the program's child, and why we ended it."""

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
        self._spares: deque[Child] = deque()
        self._pending_exits: dict[int, int] = {}  # slot -> child that is ending there
        self._turn = 0
        self._runs = 0
        self._first_resident = self.zygote.resident_bytes()

    def replace(self) -> None:
        """End everything and start anew."""
        self.close()
        self.start()

    def close(self) -> None:
        """End everything."""
        self._compiler.close()
        while self._spares:
            self._spares.pop().close()
        self.zygote.close()

    def compile(self, program: str, wall_s: float, prelude: bytes = b"") -> Program:
        """A program, compiled; ``prelude`` is marshalled code that runs before it.

        Raises:
            CompileFailure: it does not compile.
        """
        if self._runs >= self._recycle_after or (self._runs % CHECK_EVERY == 0 and self._has_grown()):
            self.replace()
        code = self._compiler.compile(program, wall_s)
        source = program.encode("utf-8", "surrogateescape")
        reads, lists, names = (bool(mark.search(program)) for mark in (_READS_ITSELF, _LISTS_FILES, _NAMES_SIGNALS))
        return Program(code, prelude, source, reads, lists, names)

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
            while len(self._spares) < SPARES:
                self._spares.append(Child(self.zygote, EXECUTION_MODES[mode].role, slot=self._next_slot()))
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
                judge = Child(self.zygote, role, [child.channel.fileno()], child.slot, child.number)
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
            raise BrokenChildError("the judge came down over what the program answered", supervision.wall_s)
        return self._finished(supervision, record, limits if supervision.counts_memory else None)

    def run_script(self, program: Program, stdin: bytes, limits: Limits, handler: Handler) -> Run:
        """Run a program as a script that reads ``stdin``."""
        mode = EXECUTION_MODES["script"]
        source = _sealed_file(stdin)
        try:
            role = mode.forking_role if limits.processes > 1 else mode.role
            return self._run_once(role, self._job(program, mode.program, b"", limits, True), limits, handler, [source])
        finally:
            os.close(source)

    def build(self, language: Language, program: str, files: Files = ()) -> bytes:
        """The artifact of a program of another language, empty where the source itself is run; ``files`` lie next to
        the source.

        Raises:
            CompileFailure: it does not compile.
        """
        if not language.build:
            return b""
        built: list[tuple[int, bytes]] = []

        def take(report: reports.Report) -> bool:
            if not isinstance(report, reports.Built):
                raise ValueError(report)
            built.append((report.exit_code, base64.b64decode(report.artifact)))
            return True

        source = program.encode("utf-8", "replace")
        resources = BUILD_LIMITS.resources(data_only=language.reserves_address_space)
        present = [*files, (language.source_name, source)]
        job = protocol.BuildJob(resources, present, language.build_command(), ARTIFACT)
        run = self._run_once("build", job, BUILD_LIMITS, take)
        complaint = run.record.stderr.decode("utf-8", "replace")
        if not built:
            raise CompileFailure("CompilerCrash", None, run.cause or complaint[-COMPLAINT_LENGTH:])
        exit_code, artifact = built[0]
        if exit_code != 0:
            raise CompileFailure("CompileError", language.line_of(complaint), complaint[:COMPLAINT_LENGTH])
        return artifact

    def run_native(
        self,
        language: Language,
        program: str,
        artifact: bytes,
        stdin: bytes,
        limits: Limits,
        files: Files = (),
        arguments: Sequence[str] = (),
    ) -> Run:
        """Run a program of another language, as its artifact or from its source, with ``files`` in its directory."""
        command = language.run_command(limits.memory_mb, limits.stack_mb)
        limits = replace(limits, memory_mb=limits.memory_mb + language.runtime_mb)
        resources = limits.resources(data_only=language.reserves_address_space)
        source = artifact if language.build else program.encode("utf-8", "replace")
        name = ARTIFACT if language.build else language.source_name
        present = [*files, (name, source)] if command else list(files)
        job = protocol.NativeJob(resources, limits.processes > 1, present, command, list(arguments))
        with ExitStack() as stack:
            descriptors = [_sealed_file(data) for data in (stdin, artifact)]
            for descriptor in descriptors:
                stack.callback(os.close, descriptor)
            return self._run_once(EXECUTION_MODES["native"].role, job, limits, None, descriptors)

    def _run_once(
        self, role: str, job: tuple[object, ...], limits: Limits, handler: Handler | None, extra: Sequence[int] = ()
    ) -> Run:
        """Run a child made for this job."""
        self._allow(limits)
        child = self._child(role, extra)
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
        """Prepare for what the next program may do: for the first that may fork, another zygote has to be started."""
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
        if limits.processes > 1:
            return self._child(EXECUTION_MODES["values"].forking_role)
        if not self._spares:
            return self._child(EXECUTION_MODES["values"].role)
        self._clear(self._spares[0].slot)
        return self._spares.popleft()

    def _child(self, role: str, extra: Sequence[int] = ()) -> Child:
        """A child in a clear work slot."""
        slot = self._next_slot()
        self._clear(slot)
        return Child(self.zygote, role, extra, slot)

    def _next_slot(self) -> int:
        self._turn = (self._turn + 1) % self.zygote.slots
        return self._turn

    def _clear(self, slot: int) -> None:
        """From here on nothing is left in this work slot of the program before: neither its process nor its files."""
        if (number := self._pending_exits.pop(slot, None)) is not None:
            self.zygote.await_end(number, GRACE_S)

    def _resources(self, limits: Limits) -> tuple[tuple[int, int], ...]:
        reserved = RESERVED_BYTES if self.zygote.shows_children else 0
        return limits.resources(self.zygote.address_space + reserved)

    def _most_resident(self, limits: Limits) -> int:
        """Resident size up to which a program is within its memory: the warm interpreter comes on top."""
        return self._first_resident + (math.ceil(limits.memory_mb) << 20)

    def _judge_resources(self, limits: Limits) -> tuple[tuple[int, int], ...]:
        """Limits of a program and its judge: what calls between them take is known only afterwards."""
        more = {resource.RLIMIT_CPU: int(WIRE_MOST_S)}
        return tuple((kind, value + more.get(kind, 0)) for kind, value in self._resources(limits))

    def _reaped_later(self, child: Child, supervision: Supervision, record: Record, limits: Limits) -> Run:
        if supervision.pending_exit is not None:
            self._pending_exits[child.slot] = supervision.pending_exit
            if record.ended is not None and record.ended.peak_bytes > LIGHT_BYTES:
                self._clear(child.slot)
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


def _sealed_file(data: bytes) -> int:
    """A descriptor of a sealed file in memory that holds ``data``."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
