"""A control group for the memory of one zygote and its children, where the host lets us make one.

Limits of address space bound each process; the group bounds their sum: several processes of one program,
files in the memory-backed directory, and the kernel's own memory for them. Works with both versions of control groups.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from itertools import count
from pathlib import Path

from .held import hold, left_behind

_ROOT = Path("/sys/fs/cgroup")
_PREFIX = "sandbox_workers"
_REMOVAL_TIMEOUT_S = 1.0
_numbers = count()


class MemoryGroup:
    """One group. Removed by ``close``; one that a killed parent left behind is removed by the next parent."""

    def __init__(self, path: Path, limit_file: str) -> None:
        self._path = path
        self._limit_file = path / limit_file
        self._limit = 0
        self._held = hold(path)

    @classmethod
    def make(cls) -> MemoryGroup | None:
        """A new group within our own, or None where that is not allowed."""
        for parent, limit_file in _own_groups():
            if (parent / limit_file).exists() or limit_file == "memory.max":
                _remove_orphans(parent)
                path = parent / f"{_PREFIX}-{os.getpid()}-{next(_numbers)}"
                with suppress(OSError):
                    while path.exists():  # of another container, where a process has the same id
                        path = parent / f"{_PREFIX}-{os.getpid()}-{next(_numbers)}"
                    path.mkdir()
                    if os.access(path / limit_file, os.W_OK):
                        return cls(path, limit_file)
                    path.rmdir()
        return None

    def add(self, pid: int) -> None:
        """Put a process, and all that it will start, into the group."""
        (self._path / "cgroup.procs").write_text(str(pid))

    def limit(self, limit_bytes: int) -> None:
        """Bound the group; costs nothing where the bound stays the same."""
        if limit_bytes != self._limit:
            with suppress(OSError):  # lower than the present use: the bound from before stays
                self._limit_file.write_text(str(limit_bytes))
                self._limit = limit_bytes

    def close(self) -> None:
        """Remove the group, as soon as its last process is gone."""
        if self._held >= 0:
            os.close(self._held)
            self._held = -1
        deadline = time.monotonic() + _REMOVAL_TIMEOUT_S
        while self._path.exists() and time.monotonic() < deadline:
            with suppress(OSError):
                self._path.rmdir()
                return
            time.sleep(0.002)


def _own_groups() -> list[tuple[Path, str]]:
    """Our own group in each hierarchy that may account for memory, and the name of the file with the bound."""
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            found.append((_ROOT / "memory" / path.lstrip("/"), "memory.limit_in_bytes"))
        elif not controllers:
            found.append((_ROOT / path.lstrip("/"), "memory.max"))
    return [(parent, limit_file) for parent, limit_file in found if parent.is_dir()]


def _remove_orphans(parent: Path) -> None:
    for path in parent.glob(f"{_PREFIX}-*-*"):
        if left_behind(path):
            with suppress(OSError):
                path.rmdir()
