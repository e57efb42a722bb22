"""The workers of a verifier pool: started, lent to one request at a time, replaced, and ended."""

from __future__ import annotations

import asyncio
import logging
import math
import time

import ray
from ray._private.state import state as ray_state  # Ray has no public call for nodes that drain
from ray.exceptions import RayActorError

from prl_ray.actors.faults import cause_of_death, failed_to_start, lost_with_its_node, start_error
from prl_ray.actors.handles import Handle, ask
from prl_ray.actors.placement import Demand, free_nodes
from prl_ray.actors.verifier import Started, Verifier, VerifierSetup
from prl_ray.errors import PrlRayError, ResourceError

log = logging.getLogger("prl_ray")

STARTS_TO_GIVE_UP = 3
"""Number of failed starts in a row after which no more are tried until the pool is given another size."""


class Workers:
    """``Verifier`` actors on as many nodes as possible. Only those that are ready get work.

    Each request that has waited ``patience_s`` for a worker brings another one, up to ``most`` and as long as the
    cluster has CPUs for it; idle workers beyond the requested size end after ``linger_s``.
    Lives in an asyncio actor.
    """

    patience_s = 2.0
    linger_s = 60.0
    tend_s = 2.0
    """Seconds between two checks for draining nodes and missing workers."""
    retry_s = 5.0
    """Seconds before a failed start is tried again."""
    verifier = Verifier

    def __init__(self, setup: VerifierSetup, size: int, cpus: float, most: int) -> None:
        self.setup, self.cpus, self.most = setup, cpus, most
        self.least = self.wanted = size
        """The requested size, and the present one, which follows demand."""
        self.last_wait = -math.inf
        self.ready: dict[Handle[Verifier], Started] = {}
        """Idle or busy."""
        self.idle: asyncio.Queue[Handle[Verifier]] = asyncio.Queue()
        self.starting: set[asyncio.Task[None]] = set()
        self.failed_starts = 0
        self.refusal: PrlRayError | None = None
        """The error of the last worker that could not start."""
        self._tending: asyncio.Task[None] | None = None

    async def resize(self, size: int, later: bool) -> None:
        """See ``VerifierPool.resize``."""
        if size > self.wanted and not later:
            for _ in range(50):  # workers that are about to start take the free ones
                if not self.starting:
                    break
                await asyncio.sleep(0.1)
            largest = len(self.ready) + await asyncio.to_thread(self._room)
            if size > largest:
                raise ResourceError(
                    f"verifiers={size}: the cluster has room for {largest} now ({self.cpus:g} CPU each); give --wait "
                    "to have the others start when nodes join"
                )
        self.least = self.wanted = size
        self.failed_starts = 0
        self._tend()

    async def lend(self) -> Handle[Verifier]:
        """A worker that is ready; ``release`` it, or ``end`` it and have another one started.

        Raises the error that keeps workers from starting if there is none and none will come.
        """
        self._tend_from_now_on()
        if not self.idle.empty():
            return self.idle.get_nowait()
        while True:
            self.last_wait = time.monotonic()
            try:
                return await asyncio.wait_for(self.idle.get(), self.patience_s)
            except TimeoutError:
                if self.refusal and not self.ready and not self.starting:
                    raise self.refusal from None
                await self._grow_by_demand()

    def release(self, worker: Handle[Verifier]) -> None:
        """Takes a worker back."""
        if len(self.ready) > self.wanted:
            self._end(worker)
        else:
            self.idle.put_nowait(worker)
            asyncio.get_running_loop().call_later(self.linger_s, self._shrink)

    def replace(self, worker: Handle[Verifier]) -> None:
        """Ends a worker that is broken or out of reach, and starts another one."""
        self._end(worker)
        self._tend()

    def close(self) -> None:
        """Ends all of them."""
        self.least = self.wanted = 0
        for task in self.starting:
            task.cancel()
        for worker in list(self.ready):
            self._end(worker)

    def new(self) -> Handle[Verifier]:
        """An actor that has been asked for."""
        actor = ray.remote(num_cpus=self.cpus, max_restarts=0, max_task_retries=0, scheduling_strategy="SPREAD")
        worker: Handle[Verifier] = actor(self.verifier).remote(self.setup)
        return worker

    def _tend_from_now_on(self) -> None:
        async def tend() -> None:
            while True:
                self._tend()
                await self._leave_draining_nodes()
                await asyncio.sleep(self.tend_s)

        if self._tending is None or self._tending.done():
            self._tending = asyncio.create_task(tend())

    def _tend(self) -> None:
        """Starts missing workers and ends surplus ones, idle workers only."""
        while len(self.ready) + len(self.starting) < self.wanted and self.failed_starts < STARTS_TO_GIVE_UP:
            task = asyncio.create_task(self._start())
            self.starting.add(task)
            task.add_done_callback(self.starting.discard)
        for task in list(self.starting)[: max(0, len(self.ready) + len(self.starting) - self.wanted)]:
            task.cancel()
        while len(self.ready) > self.wanted and not self.idle.empty():
            self._end(self.idle.get_nowait())

    async def _start(self) -> None:
        """One more worker, which gets work once it is ready: its node may be slow or full, or unfit for a sandbox."""
        worker = self.new()
        try:
            started = await ask(worker, Verifier.started)
        except asyncio.CancelledError:
            ray.kill(worker)
            raise
        except RayActorError as error:
            self.refusal = start_error(error) or ResourceError(f"no verifier can start: {cause_of_death(error)}")
            self.failed_starts += not lost_with_its_node(error)
            log.warning("a verifier could not start: %s", cause_of_death(error))
            if not self.ready and failed_to_start(error):
                self.failed_starts = STARTS_TO_GIVE_UP  # no worker can start: report it now
                return
            await asyncio.sleep(self.retry_s)
        else:
            self.failed_starts, self.refusal = 0, None
            self.ready[worker] = started
            self.release(worker)

    def _end(self, worker: Handle[Verifier]) -> None:
        self.ready.pop(worker, None)
        ray.kill(worker)

    async def _leave_draining_nodes(self) -> None:
        draining = await asyncio.to_thread(ray_state.get_draining_nodes)
        if not draining:
            return
        for _ in range(self.idle.qsize()):
            worker = self.idle.get_nowait()
            if self.ready[worker].node in draining:
                self._end(worker)  # busy ones follow when they have answered
            else:
                self.idle.put_nowait(worker)
        self._tend()

    def _room(self) -> int:
        demand = Demand("verifier", 0, self.cpus, 0.0)
        return sum(node.holds(demand) for node in free_nodes()) if self.cpus else 10**6

    async def _grow_by_demand(self) -> None:
        room = await asyncio.to_thread(self._room)
        # one at a time, though many requests may have asked for room meanwhile
        if room > 0 and 0 < self.wanted < self.most and not self.starting:
            self.wanted += 1
            self._tend()

    def _shrink(self) -> None:
        unwanted = time.monotonic() - self.last_wait >= self.linger_s
        if unwanted and self.wanted > self.least and not self.idle.empty():
            self.wanted -= 1
            self._tend()
