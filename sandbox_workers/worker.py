"""A zygote with its compiler and children forked in advance: what runs one program, and is replaced when it dies."""

from __future__ import annotations

import base64
import fcntl
import marshal
import math
import os
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from .compile_service import CompileFailure, CompileService
from .errors import SandboxUnavailable
from .inside.child import BROKEN
from .languages.language import ARTIFACT, TOOLCHAIN_PATHS, Language
from .limits import Limits
from .outcome import CPU_ACCURACY
from .supervise import GRACE_S, Cause, Child, Handler, Record, Supervision
from .zygote_process import Ended, ZygoteProcess

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
        self._parting: dict[int, int] = {}  # desk -> child that is ending there
        self._turn = 0
        self._runs = 0
        self._first_resident = 0

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

    def compile(self, program: str, wall_s: float) -> bytes:
        """Marshalled code of a program.

        Raises:
            CompileFailure: it does not compile.
        """
        if self._runs >= self._recycle_after or (self._runs % CHECK_EVERY == 0 and self._has_grown()):
            self.replace()
        return self._compiler.compile(program, wall_s)

    def run(self, mode: str, code: bytes, body: bytes, limits: Limits, stop: bool, handler: Handler) -> Run:
        """Run a program in mode ``values``; ``handler`` takes its messages.

        Raises:
            BrokenChildError: the child seems to have failed before the program began.
        """
        child = self._program_child(limits)
        try:
            child.send(marshal.dumps((self._resources(limits), mode, code, body, stop)))
            while len(self._spares) < SPARES:
                self._spares.append(Child(self.zygote, "run", desk=self._next_desk()))
            supervision = Supervision(self.zygote, limits)
            record = supervision.watch(child, handler)
            supervision.run()
        finally:
            child.close()
        return self._parted(child, supervision, record)

    def run_shared(self, code: bytes, tests: bytes, limits: Limits, stop: bool, handler: Handler) -> Run:
        """Run a program and, once it says ``loaded``, send it its tests."""
        child = self._program_child(limits)
        waiting = [tests]

        def hand_over(message: list[object]) -> bool:
            if message == ["loaded"]:
                child.channel.settimeout(supervision.left_s + LAST_TRY_S)  # a program that said so itself may not read
                child.send(waiting.pop())  # and a second time is forged
                child.channel.settimeout(None)
                return False
            return handler(message)

        supervision = Supervision(self.zygote, limits)
        try:
            child.send(marshal.dumps((self._resources(limits), "shared", code, b"", stop)))
            record = supervision.watch(child, hand_over)
            supervision.run()
        finally:
            child.close()
        return self._parted(child, supervision, record)

    def run_judged(self, code: bytes, setup: bytes, tests: bytes, limits: Limits, stop: bool, handler: Handler) -> Run:
        """Run a program, after it its part of the setup, and its tests in a second child that calls it; ``handler``
        takes the messages of the tests.
        """
        child = self._program_child(limits)
        judge: Child | None = None
        try:
            child.send(marshal.dumps((self._resources(limits), "serve", code, setup, stop)))
            supervision = Supervision(self.zygote, limits)
            record = supervision.watch(child, None)
            judge = Child(self.zygote, "judge", [child.channel.fileno()], child.desk)
            child.channel.close()  # the judge has it now
            judge.send(marshal.dumps((self._resources(limits), tests, stop)))
            judge_record = supervision.watch(judge, handler)
            supervision.run()
            record.messages = judge_record.messages
            if _is_over_cpu(judge_record.ended, limits):
                return self._finished(supervision, judge_record)
            if supervision.cause == "" and judge_record.ended is not None and judge_record.ended.status != 0:
                raise BrokenChildError("the judge came down over what the program answered", supervision.wall_s)
        finally:
            child.close()
            if judge is not None:
                judge.close()
        return self._finished(supervision, record)

    def run_script(self, code: bytes, stdin: bytes, limits: Limits, handler: Handler) -> Run:
        """Run a program as a script that reads ``stdin``."""
        role = "script_forking" if limits.processes > 1 else "script"
        source = _sealed_file(stdin)
        try:
            return self._run_once(role, (self._resources(limits), "script", code, b"", True), limits, handler, [source])
        finally:
            os.close(source)

    def build(self, language: Language, program: str) -> bytes:
        """The artifact of a program of another language; empty where the source itself is run.

        Raises:
            CompileFailure: it does not compile.
        """
        if not language.build:
            return b""
        built: list[tuple[int, bytes]] = []

        def take(message: list[Any]) -> bool:
            built.append((message[1], base64.b64decode(message[2])))
            return True

        job = language.source_name, program.encode("utf-8", "replace"), language.build_command(), ARTIFACT
        resources = BUILD_LIMITS.resources(data_only=language.reserves_address_space)
        run = self._run_once("build", (resources, *job), BUILD_LIMITS, take)
        complaint = run.record.stderr.decode("utf-8", "replace")
        if not built:
            raise CompileFailure("CompilerCrash", None, run.cause or complaint[-COMPLAINT_LENGTH:])
        exit_code, artifact = built[0]
        if exit_code != 0:
            raise CompileFailure("CompileError", language.line_of(complaint), complaint[:COMPLAINT_LENGTH])
        return artifact

    def run_foreign(self, language: Language, program: str, artifact: bytes, stdin: bytes, limits: Limits) -> Run:
        """Run a program of another language, as its artifact or from its source."""
        command = language.run_command(limits.memory_mb, limits.stack_mb)
        limits = replace(limits, memory_mb=limits.memory_mb + language.runtime_mb)
        resources = limits.resources(data_only=language.reserves_address_space)
        source = artifact if language.build else program.encode("utf-8", "replace")
        name = ARTIFACT if language.build else language.source_name
        job = resources, limits.processes > 1, name, source, command
        with ExitStack() as stack:
            files = [_sealed_file(data) for data in (stdin, artifact)]
            for file in files:
                stack.callback(os.close, file)
            return self._run_once("program", job, limits, None, files)

    def _run_once(
        self, role: str, job: tuple[Any, ...], limits: Limits, handler: Handler | None, extra: Sequence[int] = ()
    ) -> Run:
        """Run a child made for this job."""
        self._allow(limits)
        child = self._child(role, extra)
        try:
            child.send(marshal.dumps(job))
            supervision = Supervision(self.zygote, limits)
            record = supervision.watch(child, handler)
            supervision.run()
        finally:
            child.close()
        return self._finished(supervision, record)

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
        resident = self.zygote.resident_bytes()
        self._first_resident = self._first_resident or resident
        return resident > self._first_resident + GROWTH_BYTES

    def _program_child(self, limits: Limits) -> Child:
        """A child that waits, unless the program may do what that child can no longer be allowed."""
        self._allow(limits)
        if limits.processes > 1:
            return self._child("run_forking")
        if not self._spares:
            return self._child("run")
        self._clear(self._spares[0].desk)
        return self._spares.popleft()

    def _child(self, role: str, extra: Sequence[int] = ()) -> Child:
        """A child at a clear desk."""
        desk = self._next_desk()
        self._clear(desk)
        return Child(self.zygote, role, extra, desk)

    def _next_desk(self) -> int:
        self._turn = (self._turn + 1) % self.zygote.desks
        return self._turn

    def _clear(self, desk: int) -> None:
        """From here on nothing is left on this desk of the program before: neither its process nor its files."""
        if (number := self._parting.pop(desk, None)) is not None:
            self.zygote.await_end(number, GRACE_S)

    def _resources(self, limits: Limits) -> tuple[tuple[int, int], ...]:
        return limits.resources(self.zygote.address_space)

    def _parted(self, child: Child, supervision: Supervision, record: Record) -> Run:
        if supervision.parting is not None:
            self._parting[child.desk] = supervision.parting
            if record.ended is not None and record.ended.peak_bytes > LIGHT_BYTES:
                self._clear(child.desk)
        return self._finished(supervision, record)

    def _finished(self, supervision: Supervision, record: Record) -> Run:
        self._runs += 1
        ended = record.ended
        silent = not (record.messages or record.stdout or record.stderr)
        if silent and ended is not None and os.WIFEXITED(ended.status) and os.WEXITSTATUS(ended.status) == BROKEN:
            raise BrokenChildError("the child failed before its program began", supervision.wall_s)
        return Run(record, supervision.cause, supervision.wall_s)


def _is_over_cpu(ended: Ended | None, limits: Limits) -> bool:
    return ended is not None and os.WIFSIGNALED(ended.status) and ended.cpu_s >= limits.cpu_s * CPU_ACCURACY


def _sealed_file(data: bytes) -> int:
    """A descriptor of a file in memory that holds ``data`` and that nobody can change any more."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    with open(descriptor, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
