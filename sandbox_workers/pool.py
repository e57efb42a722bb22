"""Several sandboxes behind one bounded queue: each belongs to a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from .sandbox import Sandbox

Result = TypeVar("Result")
_Job = tuple[Callable[[Sandbox], Any], "Future[Any]"]


class OverloadedError(RuntimeError):
    """The queue is full: try again later."""


class Pool:
    """Runs jobs on the next free of ``workers`` sandboxes; at most ``queue_size`` jobs wait.

    Raises:
        SandboxUnavailable: the host denies the isolation that was asked for.
    """

    def __init__(self, workers: int, queue_size: int, make_sandbox: Callable[[], Sandbox] = Sandbox) -> None:
        if workers < 1 or queue_size < 1:
            raise ValueError(f"a pool needs a worker and room for a job, not {workers} and {queue_size}")
        self._jobs: queue.Queue[_Job | None] = queue.Queue(queue_size)
        sandboxes = [make_sandbox() for _ in range(workers)]
        self._threads = [threading.Thread(target=self._work, args=(sandbox,), daemon=True) for sandbox in sandboxes]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that wait for a sandbox."""
        return self._jobs.qsize()

    def submit(self, job: Callable[[Sandbox], Result]) -> Future[Result]:
        """Queue a job.

        Raises:
            OverloadedError: the queue is full.
        """
        future: Future[Result] = Future()
        try:
            self._jobs.put_nowait((job, future))
        except queue.Full:
            raise OverloadedError(f"{self._jobs.maxsize} jobs are waiting already") from None
        return future

    def close(self) -> None:
        """End the sandboxes when what they are running is finished; what waits is cancelled."""
        with suppress(queue.Empty):
            while True:
                if (item := self._jobs.get_nowait()) is not None:
                    item[1].cancel()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, sandbox: Sandbox) -> None:
        with sandbox:
            while (item := self._jobs.get()) is not None:
                job, future = item
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    future.set_result(job(sandbox))
                except BaseException as error:
                    future.set_exception(error)
