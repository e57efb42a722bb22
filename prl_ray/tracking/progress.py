"""Progress of long work: bars that share one live display, or plain lines."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console as RichConsole
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

SILENT_LIMIT_S = 60.0
"""Without a terminal, work that makes progress prints at least this often, in seconds."""


def duration(seconds: float) -> str:
    """Seconds in readable form: ``8.2 s``, ``3:07``, ``1:02:45``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Advance(Protocol):
    """Reports that ``n`` more items are done."""

    def __call__(self, n: int = 1, note: str = "") -> None:
        """Adds ``n`` to the count, and shows ``note`` next to it until the next call."""
        ...


class Bars:
    """The progress bars of one terminal. The live display starts with the first task and ends with the last."""

    def __init__(self, console: RichConsole) -> None:
        self._console = console
        self._progress: Progress | None = None
        self._open = 0
        self._lock = threading.Lock()

    @contextmanager
    def task(self, label: str, total: int | None) -> Iterator[Advance]:
        """One bar; it is replaced by one plain line when the work is done."""
        with self._lock:
            if self._progress is None:
                self._progress = _new_progress(self._console)
                self._progress.start()
            self._open += 1
            progress = self._progress
            task = progress.add_task(label, total=total, note="")
        done, last, start = 0, "", time.monotonic()

        def advance(n: int = 1, note: str = "") -> None:
            nonlocal done, last
            done, last = done + n, note or last
            progress.update(task, advance=n, note=last)

        try:
            yield advance
        finally:
            with self._lock:
                progress.remove_task(task)
                self._open -= 1
                if not self._open:
                    progress.stop()
                    self._progress = None
            self._console.print(Text(_ended(label, done, total, time.monotonic() - start, last), style="dim"))


def _new_progress(console: RichConsole) -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console,
        transient=True,
        refresh_per_second=4,
    )


@contextmanager
def plain_progress(say: Callable[[str], None], label: str, total: int | None, interval_s: float) -> Iterator[Advance]:
    """Progress as lines: at most one per ``interval_s``, and only if a tenth of the work was done or a minute
    has passed since the last one. A line at the end gives the duration."""
    done, last, start = 0, "", time.monotonic()
    said_at, said_done = start, 0
    lock = threading.Lock()

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last, said_at, said_done
        with lock:
            done, last = done + n, note or last
            now = time.monotonic()
            quiet = now - said_at
            far = total is not None and done - said_done >= total / 10
            if quiet >= interval_s and (far or quiet >= SILENT_LIMIT_S) and done != total:
                said_at, said_done = now, done
                say(_under_way(label, done, total, now - start, last))

    try:
        yield advance
    finally:
        say(_ended(label, done, total, time.monotonic() - start, last))


def _under_way(label: str, done: int, total: int | None, seconds: float, note: str) -> str:
    if not total:
        return f"  {label}  {done}  {duration(seconds)}  {note}".rstrip()
    left = seconds * (total - done) / done if done else float("nan")
    eta = f"ETA {duration(left)}" if done else "ETA ?"
    return f"  {label}  {done}/{total} ({done / total:.0%})  {duration(seconds)}, {eta}  {note}".rstrip()


def _ended(label: str, done: int, total: int | None, seconds: float, note: str) -> str:
    count = f"{done}" if total is None or done == total else f"{done}/{total}"
    rate = f", {done / seconds:.3g}/s" if done > 1 and seconds > 0.5 else ""
    return f"  {label}  {count} in {duration(seconds)}{rate}  {note}".rstrip()
