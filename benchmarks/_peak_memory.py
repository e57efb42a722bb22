"""The most memory that the processes below this one took, by role."""

from __future__ import annotations

import re
from collections import Counter
from threading import Event, Thread
from types import TracebackType
from typing import Self

import psutil

EVERY_S = 3.0
GB = 1e9
_ROLE = re.compile(r"ray::(?:\S*:)?(\w+)")
OTHERS = "others"
"""The driver, Ray's own processes and the sandboxes."""


class PeakMemory:
    """Looks every few seconds, while its block runs, at all child processes and theirs.

    A page that several processes share counts once, in equal parts (proportional set size).
    """

    def __init__(self) -> None:
        self.gb: dict[str, float] = {}
        """Most of each role, in 10⁹ bytes."""
        self.total_gb = 0.0
        """Most of all together, at one time."""
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(EVERY_S):
            self._look()

    def _look(self) -> None:
        found: Counter[str] = Counter()
        for process in psutil.Process().children(recursive=True):
            try:
                role = _ROLE.match(" ".join(process.cmdline()))
                found[role[1] if role else OTHERS] += process.memory_full_info().pss
            except psutil.Error:  # it has ended
                continue
        self.total_gb = max(self.total_gb, found.total() / GB)
        self.gb |= {role: max(self.gb.get(role, 0.0), size / GB) for role, size in found.items()}
