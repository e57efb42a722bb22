"""The parent's end of one zygote: starts it, asks it for children, hears when they ended."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path

from . import gvisor, isolation
from .errors import SandboxUnavailable
from .held import hold, left_behind
from .inside import protocol
from .inside.config import ZygoteConfig
from .inside.protocol import Ended
from .memory_group import MemoryGroup
from .packages import import_paths
from .preload import STANDARD_LIBRARY

START_TIMEOUT_S = 30.0
GROUP_SLACK_MB = 2 * isolation.DIRECTORY_MB + 128
"""Memory of the group in addition to the program's own: its directory, the compiler, the previous program's rest, the
kernel's for all of them.
"""

_DIRECTORY = "sandbox"
_PACKAGE = str(Path(__file__).resolve().parent)
_START = """
import json, sys, types
package = sys.modules["sandbox_workers"] = types.ModuleType("sandbox_workers")
package.__path__ = [sys.argv[2]]
from sandbox_workers.inside import start
start.main(json.loads(sys.argv[1]))
"""
"""Loads the package ``inside`` and nothing else of this package: every page of a zygote is paid for at each fork."""
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/tmp",
    "USER": "program",
    "LOGNAME": "program",
    "TMPDIR": "/tmp",
    "LANG": "C.UTF-8",
    "LD_BIND_NOW": "1",  # else every child would resolve the symbols that the zygote has not called yet
    "MALLOC_ARENA_MAX": "1",  # an arena a thread would count 64 MiB of address space each
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}


class ZygoteLostError(Exception):
    """The zygote died or does not answer: start another one and run the program again."""


def _occupy_standard_descriptors() -> None:
    """Open those of descriptors 0 to 2 that a caller has closed: passed-on descriptors must not have these numbers."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def _make_directory() -> tuple[str, int]:
    """An empty directory in memory, and the descriptor that holds it; those of killed processes are removed."""
    memory = Path("/dev/shm")
    for path in memory.glob(f"{_DIRECTORY}-*-*"):
        with suppress(OSError):
            if path.stat().st_uid == os.getuid() and left_behind(path):
                subprocess.run(["rm", "-rf", str(path)], check=False)
    prefix = f"{_DIRECTORY}-{os.getpid()}-"
    with suppress(OSError):
        made = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=memory))
        held = hold(made)  # before it has a name by which others find it
        final = made.with_name(made.name.removeprefix("."))
        made.rename(final)
        return str(final), held
    made = Path(tempfile.mkdtemp(prefix=prefix))
    return str(made), hold(made)


class ZygoteProcess:
    """One zygote. Not thread-safe."""

    _numbers = count()

    def __init__(
        self, level: str, packages: Sequence[str] = (), more_readable: Sequence[str] = (), may_fork: bool = False
    ) -> None:
        isolation.check_level(level)
        isolation.check_machine()
        self._runsc = gvisor.require() if level == "gvisor" else ""
        _occupy_standard_descriptors()
        self._group = MemoryGroup.make()
        self._base_bytes = 0
        self._process: subprocess.Popen[bytes] | None = None
        self.address_space = 0
        """Bytes of address space that each child has before its program begins."""
        self.slots = 1
        """Work slots: the remains of one are never met in another."""
        self.ends_descendants = True
        """Whether all that a child has started ends with it."""
        self.early_ends: dict[int, Ended] = {}
        """Ends of child processes that were not being watched when they ended."""
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._directory, self._held = _make_directory()
        try:
            self._start(level, theirs, packages, more_readable, may_fork)
        except BaseException:
            self.close()
            raise

    def _start(
        self,
        level: str,
        theirs: socket.socket,
        packages: Sequence[str],
        more_readable: Sequence[str],
        may_fork: bool,
    ) -> None:
        Path(self._directory).chmod(0o755 if self._runsc else 0o1777)
        config = ZygoteConfig(
            jail=isolation.jail_config(level, self._directory, packages, more_readable, may_fork),
            control=gvisor.CONTROL if self._runsc else theirs.fileno(),
            preload=[*STANDARD_LIBRARY, *packages],
            paths=import_paths(packages),
            first_uid=isolation.first_uid(),
        )
        self.ends_descendants = config["jail"]["namespaces"] or config["first_uid"] > 0
        with tempfile.TemporaryFile() as complaints, theirs:
            self._process = subprocess.Popen(
                self._command(config),
                stdin=theirs.fileno() if self._runsc else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                pass_fds=[theirs.fileno()],
                env=_ENVIRONMENT,
                cwd="/",
                start_new_session=True,
            )
            theirs.close()
            self._await_ready(level, complaints.fileno())
        if self._group is not None:
            for pid in self._pids():
                self._group.add(pid)
            self._base_bytes = self.resident_bytes() + (GROUP_SLACK_MB << 20)
        if level == "full":
            Path(self._directory).rmdir()  # the jail's root has been moved off it
            self._directory = ""
            self._let_go()

    @property
    def pid(self) -> int:
        """Process id of the zygote."""
        assert self._process is not None
        return self._process.pid

    @property
    def shows_children(self) -> bool:
        """Whether this process sees each child's use; gVisor's kernel hides it."""
        return not self._runsc

    def limit_memory(self, program_bytes: int) -> None:
        """Bound the sum of all children's use, where the host has control groups for it."""
        if self._group is not None:
            self._group.limit(self._base_bytes + program_bytes)

    def resident_bytes(self) -> int:
        """Resident size of the zygote; 0 where it is gone."""
        try:
            pages = [int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self._pids()]
        except (OSError, IndexError):
            return 0
        return sum(pages) * os.sysconf("SC_PAGE_SIZE")

    def _pids(self) -> list[int]:
        return gvisor.family(self.pid) if self._runsc else [self.pid]

    def _command(self, config: ZygoteConfig) -> list[str]:
        options = ["-I", "-S", "-B", "-X", "utf8", "-c", _START, json.dumps(config), _PACKAGE]
        if not self._runsc:
            return [isolation.interpreter(), *options]
        python = str(Path(isolation.interpreter()).resolve())
        jail = config["jail"]
        jail["readable"] = [*jail["readable"], python, _PACKAGE]
        return gvisor.command(self._runsc, self._directory, [python, *options], _ENVIRONMENT, jail)

    def fileno(self) -> int:
        """Descriptor that is readable when a child ended or the zygote died."""
        return self._control.fileno()

    def fork(self, role: str, descriptors: Sequence[int], slots: Sequence[int], user: int | None = None) -> list[int]:
        """Start a child in each of these slots, ``protocol.MAX_FORKS`` at most; their numbers.

        ``descriptors``: those of the first (its channel, standard output and error, what its role needs), then of the
        next. ``user``: number of the child whose user id they shall have as well.
        """
        numbers = [next(self._numbers) for _ in slots]
        forks = [
            protocol.Fork(number, role, slot, number if user is None else user)
            for number, slot in zip(numbers, slots, strict=True)
        ]
        try:
            socket.send_fds(self._control, [protocol.pack_request(forks)], descriptors)
        except OSError as error:
            raise ZygoteLostError(str(error)) from error
        return numbers

    def kill(self, number: int) -> None:
        """Ask for the end of a child and its descendants."""
        try:
            self._control.send(protocol.pack_request(protocol.Kill(number)))
        except OSError as error:
            raise ZygoteLostError(str(error)) from error

    def kill_quietly(self, number: int) -> None:
        """``kill`` where it does not matter whether the zygote still lives."""
        with suppress(ZygoteLostError):
            self.kill(number)

    def await_end(self, number: int, timeout_s: float) -> Ended:
        """Wait for the end of one child; the ends of others are kept in ``early_ends``.

        Raises:
            ZygoteLostError: the zygote is gone, or says nothing in time.
        """
        deadline = time.monotonic() + timeout_s
        while number not in self.early_ends:
            if not self._is_readable(deadline - time.monotonic()):
                raise ZygoteLostError(f"the zygote did not report the end of a child within {timeout_s} s")
            ended = self.read_ended()
            self.early_ends[ended.number] = ended
        return self.early_ends.pop(number)

    def _is_readable(self, timeout_s: float) -> bool:
        poll = select.poll()  # not select, whose descriptors end at 1024
        poll.register(self._control, select.POLLIN)
        return bool(poll.poll(max(0.0, timeout_s) * 1000))

    def read_ended(self) -> Ended:
        """Wait for the next report of a child's end."""
        try:
            data = self._control.recv(protocol.ENDED_BYTES)
        except OSError as error:
            raise ZygoteLostError(str(error)) from error
        if len(data) != protocol.ENDED_BYTES:
            raise ZygoteLostError("the zygote died")
        return protocol.unpack_ended(data)

    def close(self) -> None:
        """End the zygote and all its children."""
        self._control.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._group is not None:
            self._group.close()
        if self._directory:
            subprocess.run(["rm", "-rf", self._directory], check=False)
            self._directory = ""
        self._let_go()

    def _let_go(self) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _await_ready(self, level: str, complaints: int) -> None:
        assert self._process is not None
        is_there = self._is_readable(START_TIMEOUT_S)
        answer = json.loads(self._control.recv(65536) or b"{}") if is_there else {}
        if "ready" in answer:
            self.address_space, self.slots = int(answer["address_space"]), int(answer["slots"])
            return
        reason = answer.get("failed")
        if reason is None:
            self._process.kill()
            self._process.wait()
            reason = os.pread(complaints, 4000, 0).decode(errors="replace").strip() or "the interpreter did not answer"
        less = list(isolation.LEVELS)[list(isolation.LEVELS).index(level) + 1 :]
        hint = f"; with less isolation: isolation={less[0]!r} ({isolation.LEVELS[less[0]]})" if less else ""
        raise SandboxUnavailable(f"isolation {level!r} is not available on this host: {reason}{hint}")
