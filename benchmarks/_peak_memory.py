"""The most memory that a measurement took: of the processes below this one by role, or on a GPU."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from threading import Event, Thread
from types import TracebackType
from typing import Self

import psutil

GB = 1e9
_ROLE = re.compile(r"ray::(?:\S*:)?(\w+)")
OTHERS = "others"
"""The driver, Ray's own processes and the sandboxes."""


class _Watch:
    """Looks again and again while its block runs."""

    every_s: float

    def __init__(self) -> None:
        self.total_gb = 0.0
        """Most in use at one time, in 10⁹ bytes."""
        self._done = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(self.every_s):
            self._look()

    def _look(self) -> None:
        raise NotImplementedError


class PeakMemory(_Watch):
    """Main memory of all child processes and theirs.

    A page that several processes share counts once, in equal parts (proportional set size).
    """

    every_s = 3.0

    def __init__(self) -> None:
        super().__init__()
        self.gb: dict[str, float] = {}
        """Most of each role, in 10⁹ bytes."""

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


class PeakGpuMemory(_Watch):
    """Memory of the first GPU that is in use by any process. Raises ``OSError`` or ``CalledProcessError`` where
    ``nvidia-smi`` does not work."""

    every_s = 0.5

    def _look(self) -> None:
        command = ["nvidia-smi", "--id=0", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
        self.total_gb = max(self.total_gb, float(answer.stdout) * (1 << 20) / GB)
