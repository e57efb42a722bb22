"""What one run of one program may use."""

from __future__ import annotations

import math
import resource
from dataclasses import dataclass
from functools import lru_cache

_MOST = 10**6  # seconds beyond what poll(2) can wait for start at twice as many
_WHOLE = ("processes", "threads", "open_files")


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one run. A ``stdio`` suite runs the program once a case; every other kind runs it once in all.

    Passing a limit has a status of its own: ``timeout`` (wall, cpu), ``out_of_memory``, ``output_limit``.
    """

    wall_s: float = 3.0
    """Seconds from the moment the program is handed to its process; queueing and compiling do not count."""
    cpu_s: float = 3.0
    """Seconds of CPU, user and system, of the program and its threads."""
    memory_mb: int = 256
    """MiB that the program may add to the warm interpreter's own address space."""
    processes: int = 1
    """Processes, counting the first. 1 forbids every fork and leaves threads."""
    threads: int = 64
    """Threads and processes together."""
    open_files: int = 64
    """Open file descriptors."""
    file_mb: int = 16
    """MiB of the largest file the program may write into its directory."""
    output_kb: int = 4096
    """KiB of standard output and error together, and of the values that the tests get back."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not 0 < value <= _MOST:
                raise ValueError(f"Limits.{name} must be above 0 and at most {_MOST}, not {value!r}")
            if name in _WHOLE and value != int(value):
                raise ValueError(f"Limits.{name} must be a whole number, not {value!r}")
            object.__setattr__(self, name, int(value) if name in _WHOLE else value)

    @lru_cache(maxsize=256)  # noqa: B019 - limits are few and small
    def check_host(self) -> None:
        """Refuse what this host would not let a process have, before a program is blamed for it.

        Raises:
            ValueError: a limit is above the hard limit of this process.
        """
        for kind, value in self.resources():
            hard = resource.getrlimit(kind)[1]
            if hard != resource.RLIM_INFINITY and value > hard:
                names = [name for name in dir(resource) if getattr(resource, name) == kind and "LIMIT_" in name]
                raise ValueError(f"{self} asks for {value} of {names[0]}, of which this process may give {hard}")

    def resources(self, base_bytes: int = 0, *, data_only: bool = False) -> tuple[tuple[int, int], ...]:
        """What a process is limited to by ``setrlimit``: pairs of a resource and a value.

        ``base_bytes`` of address space are the interpreter's own; ``data_only`` limits what is written to instead.
        """
        memory = resource.RLIMIT_DATA if data_only else resource.RLIMIT_AS
        return (
            (resource.RLIMIT_CPU, math.ceil(self.cpu_s)),
            (memory, base_bytes + (math.ceil(self.memory_mb) << 20)),
            (resource.RLIMIT_NPROC, max(self.processes, self.threads)),
            (resource.RLIMIT_NOFILE, self.open_files),
            (resource.RLIMIT_FSIZE, math.ceil(self.file_mb) << 20),
        )
