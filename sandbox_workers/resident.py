"""Memory by resident size: used memory counts, not reserved memory (thread stacks, arenas, maps)."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from .zygote_process import ZygoteProcess

FIRST_LOOK_S = 0.02
"""Most programs have ended by then, and are looked at when they end only."""
LOOK_EVERY_S = 0.01
RESERVED_BYTES = 1 << 30
"""Address space beyond the limit that a program may reserve; also the most that it can use up between two looks."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
_PIECE = 1 << 12


class ResidentWatch:
    """Looks now and then at how much the processes of one zygote hold."""

    def __init__(self, zygote: ZygoteProcess, limit_bytes: int) -> None:
        self._pid = zygote.pid
        self._limit_pages = limit_bytes // _PAGE
        self._next = time.monotonic() + FIRST_LOOK_S

    def wait_s(self) -> float:
        """Seconds until the next look."""
        return max(0.0, self._next - time.monotonic())

    def is_over(self) -> bool:
        """Whether a child of the zygote, or a process below it, holds more than the limit, if it is time to look.

        What several processes hold together, a control group bounds: here, pages that they share would count for each.
        """
        if time.monotonic() < self._next:
            return False
        over = any(_most_pages(child) > self._limit_pages for child in _children(self._pid))
        self._next = time.monotonic() + LOOK_EVERY_S
        return over


def _most_pages(pid: int) -> int:
    """Resident pages of the largest of a process and its descendants; 0 for one that has ended."""
    own = 0
    with suppress(OSError, IndexError):
        own = int(_read(f"/proc/{pid}/statm").split()[1])
    return max([own, *map(_most_pages, _children(pid))])


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(child) for child in _read(f"/proc/{pid}/task/{pid}/children").split()]
    return []


def _read(path: str) -> bytes:
    """A file of ``/proc``, by four system calls; Python's own files take nine."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = b""
        while piece := os.read(descriptor, _PIECE):
            text += piece
        return text
    finally:
        os.close(descriptor)
