"""One process at a time per run folder: a lock that records its holder and is released when that process ends.

Two processes in one run folder would delete each other's half-written checkpoints and interleave their metrics. The
lock is the kernel's (``flock``), which is released however its process ends. Some network file systems keep such locks
per host: the holder also touches the file every ``HEARTBEAT_S`` seconds, and the lock of another host counts as held
until it is ``STALE_S`` seconds old.
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from prl_ray.errors import RunLockedError

NAME = ".lock"
HEARTBEAT_S = 20.0
STALE_S = 90.0


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a lock."""

    host: str
    process: int
    started: float
    """Seconds since the epoch."""


class RunLock:
    """Context manager: creates the run folder and holds its lock.

    Raises:
        RunLockedError: another process uses this run; the message names its host, process and age.
    """

    def __init__(self, folder: Path, warn: Callable[[str], None] = print) -> None:
        self.folder, self._warn = folder, warn
        self._stop = threading.Event()

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._file = (self.folder / NAME).open("a+", encoding="utf-8")
        except OSError as error:
            raise RunLockedError(
                f"the lock {self.folder / NAME} cannot be opened ({error.strerror or error}): give a run folder that "
                "can be written (runs_dir=…, name=…)"
            ) from error
        try:
            self._take()
        except BaseException:
            self._file.close()
            raise
        self._heart = threading.Thread(target=self._beat, name="run-lock", daemon=True)
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._heart.join()
        self._write("")  # the file stays: removing it would let two processes lock two files of this name
        self._file.close()

    def _take(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked_elsewhere = False
        except BlockingIOError:
            locked_elsewhere = True
        holder = self._holder()
        age = time.time() - os.fstat(self._file.fileno()).st_mtime
        on_other_host = holder is not None and holder.host != socket.gethostname()
        if locked_elsewhere or (on_other_host and age < STALE_S):
            raise RunLockedError(
                f"another process works on the run {self.folder}: {described(holder)}. Wait for it, stop it, or give "
                "this run another name (name=…)"
            )
        if holder:
            self._warn(f"an earlier process of this run was killed ({described(holder)}); its lock is taken over")
        self._write(json.dumps(asdict(Holder(socket.gethostname(), os.getpid(), time.time()))) + "\n")

    def _holder(self) -> Holder | None:
        """The process that wrote the lock file; None if it exited normally or was killed while writing it."""
        self._file.seek(0)
        try:
            found = json.loads(self._file.read() or "null")
            return Holder(host=str(found["host"]), process=int(found["process"]), started=float(found["started"]))
        except (ValueError, TypeError, KeyError):  # not JSON, or not what a holder writes
            return None

    def _write(self, text: str) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(OSError):  # a file system that fails for a while: the next beat may succeed
                os.utime(self._file.fileno())


def described(holder: Holder | None) -> str:
    """The process that holds a lock, with its age."""
    if not holder:
        return "it has just started"
    age = max(0.0, time.time() - holder.started)
    return f"process {holder.process} on {holder.host}, started {age / 60:.0f} minutes ago"
