"""Commands of this package in child processes, which end when this process is told to end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Lock, current_thread, main_thread
from types import FrameType, TracebackType
from typing import Self

from prl_ray.errors import PrlRayError

_ENDING = signal.SIGTERM, signal.SIGHUP
_INTERRUPTING = signal.SIGINT, *_ENDING
INTERRUPTED = 130
"""Exit code of a command that was told to end."""


class ChildCommands:
    """Runs ``python -m`` commands, from any thread.

    As a context it ends what still runs where its block ends by an exception, Ctrl-C included. Within the block,
    signals that would end this process at once (SIGTERM, SIGHUP) interrupt it as Ctrl-C does. Each command has a
    process group of its own: a terminal's Ctrl-C reaches this process alone, which tells every command once.
    """

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = Lock()
        self._ended = False
        self._replaced: list[signal.Signals] = []

    def run(self, module: str, arguments: Sequence[str]) -> int:
        """Runs one command and returns its exit code.

        Raises:
            PrlRayError: the context has ended.
        """
        with self._lock:
            if self._ended:
                raise PrlRayError("not started: the command that would have started it was interrupted")
            with _signals_later():
                process = subprocess.Popen([sys.executable, "-m", module, *arguments], process_group=0)
                self._running.add(process)
        try:
            return process.wait()
        finally:
            if process.returncode is not None:
                self._running.discard(process)

    def end(self) -> None:
        """Ends the running commands, and waits for them. Later commands are refused."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            process.terminate()
        for process in running:
            process.wait()

    def __enter__(self) -> Self:
        if current_thread() is main_thread():
            self._replaced = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
        for number in self._replaced:
            signal.signal(number, signal.default_int_handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if error is not None:
                self.end()
        finally:
            for number in self._replaced:
                signal.signal(number, signal.SIG_DFL)


@contextmanager
def _signals_later() -> Iterator[None]:
    """Handles the signals that interrupt this process after the block: an interruption between the start of a child and
    the note of it would leave the child behind. Only the main thread is interrupted by signals."""
    if current_thread() is not main_thread():
        yield
        return
    handlers = {number: found for number in _INTERRUPTING if callable(found := signal.getsignal(number))}
    came: list[tuple[int, FrameType | None]] = []
    for number in handlers:
        signal.signal(number, lambda *arrived: came.append(arrived))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for sent, frame in came:
            handlers[signal.Signals(sent)](sent, frame)
