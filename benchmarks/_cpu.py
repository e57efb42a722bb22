"""CPU seconds that a sandbox has used: those of this process, of its zygote, and of the zygote's children."""

from __future__ import annotations

import os
import time
from pathlib import Path

from sandbox_workers import Sandbox

_CHILDREN_USER, _CHILDREN_SYSTEM = 13, 14
"""Fields of ``/proc/PID/stat`` after the name: of children that have ended and were waited for (``proc(5)``)."""
NANOSECONDS = 1e9


def cpu_s(sandbox: Sandbox) -> float:
    """Seconds until now; a child counts as far as it lives (the compiler, spares) or has been waited for.

    Children that ended are counted in ticks of 10 ms, all together: over a thousand programs that is 10 microseconds.
    """
    zygote = Path(f"/proc/{sandbox.zygote_pid}")
    living = (zygote / "task" / zygote.name / "children").read_text().split()
    own = sum(map(_own_s, [zygote.name, *living]))
    fields = (zygote / "stat").read_text().rpartition(")")[2].split()
    ended = (int(fields[_CHILDREN_USER]) + int(fields[_CHILDREN_SYSTEM])) / os.sysconf("SC_CLK_TCK")
    return time.process_time() + own + ended


def _own_s(pid: str) -> float:
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / NANOSECONDS
    except FileNotFoundError:  # ended between the two looks: the zygote counts it
        return 0.0
