"""What one run of one program may use."""

from __future__ import annotations

import math
import resource
from dataclasses import dataclass


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
            if not getattr(self, name) > 0:
                raise ValueError(f"Limits.{name} must be above 0, not {getattr(self, name)!r}")

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
