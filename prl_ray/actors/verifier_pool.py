"""The verifier pool: routes programs to ``Verifier`` actors that scale on their own.

``VerifierPool`` is an asyncio actor on the driver's node. It hands each chunk of samples to a worker that is ready, and
asks another one when a worker dies or its sandbox breaks. No failure here becomes a reward: a chunk whose
sandbox stays broken gets ``sandbox_error`` (masked by every shaping), and only a program that takes its worker down on
three different workers is ``forbidden``; a worker that is lost together with its node does not count.

``locate`` is asked for a chunk together with ``verify``, so that both await its ref at the same time: seen with Ray
2.60, an await of a ref that another request has awaited and released sometimes never ends in an asyncio actor.

All of its state can be rebuilt: tests come with each request, by reference. If it dies, Ray restarts it and
sends it the requests that it had not answered.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Concatenate, Generic, ParamSpec, TypeVar

import numpy as np
from ray.exceptions import RayActorError

from prl_ray.actors import gauges
from prl_ray.actors.completions import Completions, LineValues, line_values
from prl_ray.actors.faults import lost_with_its_node
from prl_ray.actors.handles import Handle, Ref, ask, restarted
from prl_ray.actors.line_plan import LineRequest
from prl_ray.actors.verifier import Suites, Verifier, VerifierSetup, as_columns
from prl_ray.actors.workers import Workers
from prl_ray.credit.columns import LineVerdicts
from prl_ray.credit.columns import as_columns as line_columns
from prl_ray.credit.verdicts import LineVerdict
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import TrajectoryBatch, Verdicts
from sandbox_workers import UNDECIDED, CallResult, Status, TestSuite, Verdict

P = ParamSpec("P")
T = TypeVar("T")

DEATHS_TO_FORBID = 3
"""Number of different workers that a program must take down to count as the cause."""


SLOW_S = 20.0
"""A request to a worker is a few programs, each with a limit of seconds."""


class WorkerLostError(Exception):
    """A worker died, or its node cannot be reached. ``by_program``: only the program that it ran can be the cause."""

    def __init__(self, by_program: bool) -> None:
        super().__init__(by_program)
        self.by_program = by_program


@dataclass(slots=True)
class Counts:
    """Counts since the pool started; ``submitted = answered + waiting``, in programs."""

    submitted: int = 0
    answered: int = 0
    retried: int = 0
    restarted: int = 0
    """Workers that died and were replaced."""
    forbidden: int = 0


@dataclass(frozen=True, slots=True)
class PoolReport:
    """Counts and sizes of a pool."""

    counts: Counts
    wanted: int
    workers: int
    """Workers that are ready: only these get work."""
    starting: int
    hosts: Counter[str] = field(default_factory=Counter)
    isolation: str = ""
    restored: bool = False
    """Ray restarted the pool, and it has not been resized since."""

    @property
    def waiting(self) -> int:
        """Programs without an answer."""
        return self.counts.submitted - self.counts.answered

    def __str__(self) -> str:
        missing = f" of {self.wanted}" if self.workers != self.wanted else ""
        where = ", ".join(f"{host} × {count}" if count > 1 else host for host, count in sorted(self.hosts.items()))
        return f"{self.workers}{missing} × {self.isolation} on {where}"


@dataclass(slots=True)
class Newest(Generic[T]):
    """The value of the newest ref of a kind: nearly all requests give the same one."""

    read: tuple[Ref[T], T] | None = None

    async def of(self, ref: Ref[T]) -> T:
        """The value of ``ref``."""
        if self.read is not None and self.read[0] == ref:
            return self.read[1]
        value = await ref
        self.read = ref, value
        return value


class VerifierPool:
    """Routes requests to workers."""

    workers_class = Workers

    def __init__(self, setup: VerifierSetup, size: int, cpus: float, most: int = 0) -> None:
        self.setup = setup
        self.workers = self.workers_class(setup, size, cpus, most)
        self.counts = Counts()
        self.suites: Newest[Suites] = Newest()
        self.problems: Newest[Mapping[str, Problem]] = Newest()
        """Those of ``locate``."""
        self.busy: dict[Handle[Verifier], float] = {}
        """When each worker got the request that it works on."""
        self.restored = restarted()

    async def ready(self) -> PoolReport:
        """Waits for one worker, and shortly for the others. Raises the error that kept them from starting."""
        worker = await self.workers.lend()
        self.workers.release(worker)
        for _ in range(50):
            if len(self.workers.ready) >= self.workers.wanted:
                break
            await asyncio.sleep(0.1)
        return await self.report()

    async def verify(self, chunk: Sequence[Ref[TrajectoryBatch]], suites: Sequence[Ref[Suites]]) -> Verdicts:
        """Verdicts of a chunk, by the tests of its problems; each given as one ref in a list."""
        tests, batch = await self.suites.of(suites[0]), await chunk[0]
        verdicts = await self.run([(p, tests[t]) for p, t in zip(batch.programs, batch.task_ids, strict=True)])
        return as_columns(batch, verdicts)

    async def line_values(self, completions: Sequence[Ref[Completions]], suites: Sequence[Ref[Suites]]) -> LineValues:
        """Values of lines, from the verdicts on completions; each given as one ref in a list."""
        tests, made = await self.suites.of(suites[0]), await completions[0]
        verdicts = await self.run([(program, tests[made.task_id]) for program in made.programs])
        ok, valid = np.array([v.ok for v in verdicts]), np.array([v.status not in UNDECIDED for v in verdicts])
        return line_values(made, ok.astype(np.bool_), valid.astype(np.bool_))

    async def locate(
        self, chunk: Sequence[Ref[TrajectoryBatch]], verdicts: Sequence[Ref[Verdicts]], request: LineRequest
    ) -> LineVerdicts:
        """Line verdicts of one prompt's samples, given as one ref in a list, as are their verdicts.

        A sample without a verdict, or one that takes its worker down, has no line verdict either.
        """
        batch, found = await chunk[0], await verdicts[0]
        if not request.asks_for(batch, found):
            return LineVerdicts.unknown(batch)
        of_task = await self.problems.of(request.problems[0])
        valid = np.flatnonzero(found.valid)
        programs = [(of_task[batch.task_ids[i]], batch.programs[i], bool(found.ok[i])) for i in valid]
        answers = await self.located(programs)
        of_sample = dict(zip(valid.tolist(), answers, strict=True))
        return line_columns(batch, [of_sample.get(i) for i in range(len(batch))])

    async def located(self, programs: list[tuple[Problem, str, bool]]) -> list[LineVerdict | None]:
        """Line verdicts of (problem, program, whether it passes); None for one that takes its worker down."""
        try:
            return [*await self._ask(Verifier.locate, programs)]
        except WorkerLostError:
            self._retried(len(programs))
        answers: list[LineVerdict | None] = []
        for program in programs:
            try:
                answers += await self._ask(Verifier.locate, [program])
            except WorkerLostError:
                answers.append(None)
        return answers

    async def run(self, programs: Sequence[tuple[str, TestSuite]]) -> list[Verdict]:
        """Verdicts of any programs, all tests of each."""
        self.counts.submitted += len(programs)
        try:
            verdicts = await self._ask(Verifier.run, list(programs))
        except WorkerLostError:  # some program of the chunk may take workers down: find it
            self._retried(len(programs))
            verdicts = [await self._alone(p) for p in programs]
        for i, verdict in enumerate(verdicts):
            if verdict.status == Status.SANDBOX_ERROR:
                verdicts[i] = await self._again(programs[i], verdict)
        self.counts.answered += len(programs)
        gauges.count("verifier_programs", len(programs))
        gauges.show("verifier_waiting", self.counts.submitted - self.counts.answered)
        gauges.show("verifier_workers", len(self.workers.ready))
        return verdicts

    async def call(
        self, program: str, entry_point: str, arguments: Sequence[tuple[object, ...]]
    ) -> list[CallResult] | None:
        """See ``Verifier.call``; None where the program takes its worker down."""
        for _ in range(self.setup.attempts):
            try:
                return await self._ask(Verifier.call, program, entry_point, arguments)
            except WorkerLostError as lost:
                self._retried()
                if lost.by_program:
                    return None
        return None

    async def resize(self, size: int, later: bool = False) -> int:
        """Grows or shrinks to ``size`` workers; a busy one that is surplus ends once it has answered. Returns the
        size before.

        Raises ``ResourceError`` with the largest size that fits where the cluster has no room now, unless the missing
        workers may start ``later``, when nodes join.
        """
        before = self.workers.wanted
        await self.workers.resize(size, later)
        self.restored = False
        return before

    async def report(self) -> PoolReport:
        """Counters and sizes."""
        workers = self.workers
        hosts = Counter(started.host for started in workers.ready.values())
        sizes = workers.wanted, len(workers.ready), len(workers.starting)
        return PoolReport(self.counts, *sizes, hosts, self.setup.isolation, self.restored)

    async def slow(self, least_s: float = SLOW_S) -> str:
        """The workers that have worked on one request for so long: ``Verifier on w1 for 31 s, …``."""
        now = time.monotonic()
        ages = {worker: now - since for worker, since in self.busy.items()}
        hosts = {worker: started.host for worker, started in self.workers.ready.items()}
        return ", ".join(
            f"Verifier on {hosts[w]} for {s:.0f} s" for w, s in ages.items() if s >= least_s and w in hosts
        )

    async def close(self) -> None:
        """Ends all workers."""
        self.workers.close()

    async def _ask(self, method: Callable[Concatenate[Verifier, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of an idle worker. Raises ``WorkerLostError`` where it died; a new one takes its place."""
        worker = await self.workers.lend()
        self.busy[worker] = time.monotonic()
        try:
            answer = await ask(worker, method, *args, **kwargs)
        except RayActorError as error:
            self.counts.restarted += 1
            gauges.count("verifier_restarts")
            self.workers.replace(worker)
            raise WorkerLostError(by_program=not lost_with_its_node(error)) from error
        except BaseException:
            self.workers.release(worker)
            raise
        finally:
            del self.busy[worker]
        self.workers.release(worker)
        return answer

    def _retried(self, programs: int = 1) -> None:
        self.counts.retried += programs
        gauges.count("verifier_retries", programs)

    async def _alone(self, program: tuple[str, TestSuite]) -> Verdict:
        deaths = 0
        for _ in range(DEATHS_TO_FORBID + self.setup.attempts):
            try:
                return (await self._ask(Verifier.run, [program]))[0]
            except WorkerLostError as lost:
                self._retried()
                deaths += lost.by_program
            if deaths == DEATHS_TO_FORBID:
                self.counts.forbidden += 1
                message = f"took down {DEATHS_TO_FORBID} different verifiers"
                return Verdict(Status.FORBIDDEN, total=program[1].total, message=message)
        return Verdict(Status.SANDBOX_ERROR, total=program[1].total, message="its verifiers were lost with their nodes")

    async def _again(self, program: tuple[str, TestSuite], first: Verdict) -> Verdict:
        for _ in range(self.setup.attempts - 1):
            self._retried()
            try:
                verdict = (await self._ask(Verifier.run, [program]))[0]
            except WorkerLostError:
                continue
            if verdict.status != Status.SANDBOX_ERROR:
                return verdict
        return first
