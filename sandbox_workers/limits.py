"""Limits of one run of one program."""

from __future__ import annotations

import math
import resource
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache

_MOST = 10**6  # seconds beyond what poll(2) can wait for start at twice as many
_WHOLE = ("processes", "threads", "open_files")
_MAY_BE_ZERO = ("stack_mb", "cpu_s")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one run. A ``stdio`` suite runs the program once a case; every other kind runs it once in all.

    Passing a limit has a status of its own: ``timeout`` (wall, cpu), ``out_of_memory``, ``output_limit``. The defaults
    are those of programming contests, or above them.
    """

    wall_s: float = 3.0
    """Seconds from the moment the program is handed to its process; queueing and compiling do not count."""
    cpu_s: float = 0.0
    """Seconds of CPU, user and system, of the program and its threads; 0: as many as ``wall_s``."""
    memory_mb: int = 256
    """MiB that the program may add to the warm interpreter's own address space."""
    processes: int = 1
    """Processes, counting the first. 1 forbids every fork and leaves threads."""
    threads: int = 128
    """Threads and processes together."""
    open_files: int = 1024
    """Open file descriptors."""
    file_mb: int = 64
    """MiB of the largest file the program may write into its directory."""
    output_kb: int = 32 << 10
    """KiB of standard output and error together, and of the values that the tests get back."""
    stack_mb: int = 0
    """MiB of the main thread's stack; 0: as much as the memory allows."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise ValueError(f"Limits.{name} must be a number, not {value!r}")
            if not 0 < value <= _MOST and not (value == 0 and name in _MAY_BE_ZERO):
                raise ValueError(f"Limits.{name} must be above 0 and at most {_MOST}, not {value!r}")
            if name in _WHOLE and value != int(value):
                raise ValueError(f"Limits.{name} must be a whole number, not {value!r}")
            object.__setattr__(self, name, int(value) if name in _WHOLE else value)
        if not self.cpu_s:
            object.__setattr__(self, "cpu_s", self.wall_s)

    @classmethod
    def from_json(cls, record: object) -> Limits:
        """The limits that an object of a request names; the others are the defaults.

        Raises:
            ValueError: a name is unknown, or a value is none that a limit may have.
        """
        known = [field.name for field in fields(cls)]
        if not isinstance(record, Mapping) or set(record) - set(known):
            raise ValueError(f"limits are an object with some of {', '.join(known)}, not {record!r:.80}")
        return cls(**record)

    @lru_cache(maxsize=256)  # noqa: B019 - limits are few and small
    def check_host(self) -> None:
        """Refuse what this host would not let a process have, before a program is blamed for it.

        Raises:
            ValueError: a limit is above the hard limit of this process.
        """
        for kind, value in self.resources():
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY and not 0 <= value <= hard:
                names = [name for name in dir(resource) if getattr(resource, name) == kind and "LIMIT_" in name]
                raise ValueError(f"{self} asks for {value} of {names[0]}, of which this process may give {hard}")

    def resources(self, base_bytes: int = 0, *, data_only: bool = False) -> tuple[tuple[int, int], ...]:
        """Limits of a process for ``setrlimit``: pairs of a resource and a value.

        ``base_bytes`` of address space are the interpreter's own; ``data_only`` limits written memory instead.
        """
        memory = resource.RLIMIT_DATA if data_only else resource.RLIMIT_AS
        return (
            (resource.RLIMIT_CPU, math.ceil(self.cpu_s)),
            (memory, base_bytes + (math.ceil(self.memory_mb) << 20)),
            (resource.RLIMIT_NPROC, max(self.processes, self.threads)),
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_FSIZE, math.ceil(self.file_mb) << 20),
            (resource.RLIMIT_STACK, self._stack_bytes()),
        )

    def _stack_bytes(self) -> int:
        """The stack's bound: for one as large as the memory, none of its own.

        An unlimited stack also keeps the stacks of threads small (2 MiB), which the C library would else make as large.
        """
        return math.ceil(self.stack_mb) << 20 if self.stack_mb else resource.getrlimit(resource.RLIMIT_STACK)[1]
