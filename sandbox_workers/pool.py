"""Several sandboxes behind one bounded queue: each belongs to a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from .fair_queue import FairQueue, FullError
from .sandbox import Sandbox

Result = TypeVar("Result")
_Job = tuple[Callable[[Sandbox], Any], "Future[Any]"]


class OverloadedError(RuntimeError):
    """The queue is full: try again later."""


class Pool:
    """Runs jobs on the next free of ``workers`` sandboxes; at most ``queue_size`` jobs wait, clients take turns.

    Raises:
        SandboxUnavailable: the host denies the isolation that was asked for.
    """

    def __init__(self, workers: int, queue_size: int, make_sandbox: Callable[[], Sandbox] = Sandbox) -> None:
        if workers < 1 or queue_size < 1:
            raise ValueError(f"a pool needs a worker and room for a job, not {workers} and {queue_size}")
        self._jobs: FairQueue[_Job] = FairQueue(queue_size)
        self._sandboxes = [make_sandbox() for _ in range(workers)]
        self._busy = 0
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(sandbox,), daemon=True) for sandbox in self._sandboxes
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """Jobs that wait for a sandbox."""
        return len(self._jobs)

    @property
    def clients(self) -> int:
        """Clients that have jobs waiting."""
        return self._jobs.clients

    @property
    def workers(self) -> int:
        """Sandboxes."""
        return len(self._sandboxes)

    @property
    def busy(self) -> int:
        """Sandboxes that run a job."""
        return self._busy

    @property
    def restarts(self) -> int:
        """Zygotes that died and were replaced."""
        return sum(sandbox.restarts for sandbox in self._sandboxes)

    def submit(self, job: Callable[[Sandbox], Result], client: str = "") -> Future[Result]:
        """Queue a job of a client. Where the queue is full, one of a client that has more waiting may have to go.

        Raises:
            OverloadedError: the queue is full.
        """
        future: Future[Result] = Future()
        try:
            lost = self._jobs.put(client, (job, future))
        except FullError:
            raise OverloadedError(f"{self._jobs.size} jobs are waiting already") from None
        if lost is not None and lost[1].set_running_or_notify_cancel():
            lost[1].set_exception(OverloadedError("others were waiting with fewer jobs"))
        return future

    def close(self) -> None:
        """End the sandboxes after their present programs; waiting programs are cancelled."""
        for _, future in self._jobs.close():
            future.cancel()
        for thread in self._threads:
            thread.join()

    def withdraw(self, job: Callable[[Sandbox], Result], future: Future[Result], client: str = "") -> bool:
        """Take a job back that has not begun; whether that was so."""
        return self._jobs.remove(client, (job, future)) and future.cancel()

    def _work(self, sandbox: Sandbox) -> None:
        with sandbox:
            while (item := self._jobs.get()) is not None:
                job, future = item
                if not future.set_running_or_notify_cancel():
                    continue
                self._count_busy(1)
                try:
                    future.set_result(job(sandbox))
                except BaseException as error:
                    future.set_exception(error)
                finally:
                    self._count_busy(-1)

    def _count_busy(self, change: int) -> None:
        with self._lock:
            self._busy += change
