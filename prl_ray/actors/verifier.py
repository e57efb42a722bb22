"""The verifier pool: sandbox workers in Ray actors that scale on their own.

``VerifierPool`` is an asyncio actor. It hands each chunk of samples to an idle worker, asks another one when a worker
dies or its sandbox breaks, and grows or shrinks while a run goes on. Nothing that goes wrong here becomes a reward: a
chunk whose sandbox stays broken gets ``sandbox_error`` (masked by every shaping), and only a program that takes its
worker down on three different workers is ``forbidden``. Where it may, the pool also grows by itself while programs
wait.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError

from prl_ray.actors.faults import failed_to_start, start_error
from prl_ray.credit.columns import LineVerdicts
from prl_ray.credit.columns import as_columns as line_columns
from prl_ray.credit.verdicts import LineJudge, LineVerdict
from prl_ray.lines import units
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import STATUSES, Report, TrajectoryBatch, Verdicts
from sandbox_workers import Limits, Sandbox, Status, TestSuite, Verdict

_NEWLINE = re.compile(r"\r\n|\r|\n")
"""What Python counts as the end of a physical line."""
DEATHS_TO_FORBID = 3
"""A program that takes down so many different workers is to blame itself."""


@dataclass(frozen=True, slots=True)
class VerifierSetup:
    """What a worker needs to start."""

    isolation: str = "full"
    wall_s: float = 3.0
    memory_mb: int = 512
    attempts: int = 3


class Verifier:
    """One sandbox worker."""

    def __init__(self, setup: VerifierSetup) -> None:
        self.setup = setup
        self.sandbox = Sandbox(isolation=setup.isolation, limits=Limits(wall_s=setup.wall_s, memory_mb=setup.memory_mb))
        self.lines = LineJudge(self._passes, self.call)

    def ready(self) -> str:
        """Returns the isolation that is in force."""
        return self.setup.isolation

    def run(self, programs: Sequence[tuple[str, TestSuite]], stop_at_first_failure: bool = False) -> list[Verdict]:
        """A verdict a program."""
        return [self.sandbox.run(p, suite, stop_at_first_failure=stop_at_first_failure) for p, suite in programs]

    def locate(self, programs: Sequence[tuple[Problem, str, bool]]) -> list[LineVerdict]:
        """A line verdict for each (problem, program, whether it passes its tests)."""
        return [self.lines.verdict(*program) for program in programs]

    def call(self, program: str, entry_point: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """What the program returns on each argument tuple; see ``Sandbox.call``."""
        return self.sandbox.call(program, entry_point, arguments)

    def _passes(self, program: str, suite: TestSuite) -> bool:
        return self.sandbox.run(program, suite, stop_at_first_failure=True).ok


class VerifierPool:
    """Routes work to ``Verifier`` actors. ``submitted = answered + waiting`` at all times.

    Each request that has waited ``patience_s`` for a worker brings another one, up to ``most`` and as long as the
    cluster has CPUs for it; what nobody has waited for in ``linger_s`` goes again, down to ``size``.
    """

    patience_s = 2.0
    linger_s = 60.0

    def __init__(self, setup: VerifierSetup, size: int, cpus: float, most: int = 0) -> None:
        self.setup, self.cpus = setup, cpus
        self.least, self.most = size, most
        self.last_wait = -math.inf
        self.joining: set[asyncio.Task[None]] = set()
        self.suites: dict[str, TestSuite] = {}
        self.problems: dict[str, Problem] = {}
        self.idle: asyncio.Queue[Any] = asyncio.Queue()
        self.size = 0
        self.to_retire = 0
        self.counts = {"submitted": 0, "answered": 0, "retried": 0, "restarted": 0, "forbidden": 0}
        self._grow(size)

    async def ready(self) -> str:
        """Waits for one worker and returns the isolation in force; raises what kept it from starting."""
        worker = await self.idle.get()  # the first one: to wait for it is no reason to grow
        try:
            return str(await worker.ready.remote())
        except RayActorError as error:
            raise start_error(error) or error from None
        finally:
            self.idle.put_nowait(worker)

    async def learn(self, suites: Mapping[str, TestSuite]) -> None:
        """Takes the tests of problems, by task id, which ``verify`` then finds."""
        self.suites.update(suites)

    async def verify(self, chunk: Sequence[Any]) -> Verdicts:
        """Verdicts of a chunk, given as the ref of its ``TrajectoryBatch`` in a list."""
        batch: TrajectoryBatch = await chunk[0]
        verdicts = await self.run([(p, self.suites[t]) for p, t in zip(batch.programs, batch.task_ids, strict=True)])
        return as_columns(batch, verdicts)

    async def learn_problems(self, problems: Mapping[str, Problem]) -> None:
        """Takes problems with their references, by task id, which ``locate`` then finds."""
        self.problems.update(problems)

    async def locate(self, chunk: Sequence[Any], verdicts: Sequence[Any]) -> LineVerdicts:
        """Line verdicts of a chunk, given as the refs of its ``TrajectoryBatch`` and its ``Verdicts``, each in a list.

        A sample without a verdict, or one that takes its worker down, has no line verdict either.
        """
        batch: TrajectoryBatch = await chunk[0]
        found: Verdicts = await verdicts[0]
        valid = np.flatnonzero(found.valid)
        programs = [(self.problems[batch.task_ids[i]], batch.programs[i], bool(found.ok[i])) for i in valid]
        answers = await self._ask("locate", programs)
        if answers is None:
            single = [await self._ask("locate", [program]) for program in programs]
            answers = [answer[0] if answer else None for answer in single]
        known = dict(zip(valid.tolist(), answers, strict=True))
        return line_columns(batch, [known.get(i) for i in range(len(batch))])

    async def whole(self, chunk: Sequence[Any]) -> None:
        """Raises the error that stands in the place of a chunk (the ref of a ``TrajectoryBatch``, in a list)."""
        await chunk[0]

    async def run(self, programs: Sequence[tuple[str, TestSuite]]) -> list[Verdict]:
        """Verdicts of any programs, all tests of each."""
        self.counts["submitted"] += len(programs)
        verdicts = await self._ask("run", list(programs))
        if verdicts is None:  # some program of the chunk takes workers down: find out which
            verdicts = [await self._alone(p) for p in programs]
        for i, verdict in enumerate(verdicts):
            if verdict.status == "sandbox_error":
                verdicts[i] = await self._again(programs[i], verdict)
        self.counts["answered"] += len(programs)
        return verdicts

    async def call(self, program: str, entry_point: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any] | None:
        """See ``Verifier.call``; None where the program takes its worker down."""
        return await self._ask("call", program, entry_point, arguments)

    async def resize(self, size: int) -> int:
        """Grows or shrinks to ``size`` workers, which takes effect as workers become idle. Returns the old size."""
        before = self.size
        self.least = size
        if size > self.size:
            self._grow(size - self.size)
        else:
            self.to_retire += self.size - size
            self.size = size
            await self._retire_idle()
        return before

    async def stats(self) -> dict[str, int]:
        """Counters: submitted, answered, retried, restarted, forbidden, and the pool's size."""
        return {**self.counts, "workers": self.size, "waiting": self.counts["submitted"] - self.counts["answered"]}

    def _new_worker(self) -> Any:
        return ray.remote(num_cpus=self.cpus, max_restarts=0, max_task_retries=0)(Verifier).remote(self.setup)

    def _grow(self, count: int) -> None:
        for _ in range(count):
            self.idle.put_nowait(self._new_worker())
        self.size += count

    async def _idle_worker(self) -> Any:
        if not self.idle.empty():
            return self.idle.get_nowait()
        while True:
            self.last_wait = time.monotonic()
            try:
                return await asyncio.wait_for(self.idle.get(), self.patience_s)
            except TimeoutError:
                self._grow_by_demand()

    def _grow_by_demand(self) -> None:
        if 0 < self.size < self.most and ray.available_resources().get("CPU", 0.0) >= self.cpus:
            self.size += 1
            task = asyncio.create_task(self._join())
            self.joining.add(task)
            task.add_done_callback(self.joining.discard)

    async def _join(self) -> None:
        """A further worker, which gets work once it can do it: its node may be slow, or be no place for a sandbox."""
        worker = self._new_worker()
        try:
            await worker.ready.remote()
        except RayActorError:
            self.size -= 1
        else:
            self._release(worker)

    def _shrink(self) -> None:
        unwanted = time.monotonic() - self.last_wait >= self.linger_s
        if unwanted and self.size > self.least and not self.idle.empty():
            self.size -= 1
            ray.kill(self.idle.get_nowait())

    async def _retire_idle(self) -> None:
        while self.to_retire and not self.idle.empty():
            ray.kill(self.idle.get_nowait())
            self.to_retire -= 1

    async def _ask(self, method: str, *args: Any) -> Any:
        """The answer of an idle worker, or None where the worker died; a new one takes its place."""
        worker = await self._idle_worker()
        try:
            answer = await getattr(worker, method).remote(*args)
        except RayActorError as error:
            self.size -= 1
            self._grow(1)
            self.counts["restarted"] += 1
            if failed_to_start(error):
                raise start_error(error) or error from None
            return None
        except BaseException:
            self._release(worker)
            raise
        self._release(worker)
        return answer

    def _release(self, worker: Any) -> None:
        if self.to_retire:
            self.to_retire -= 1
            ray.kill(worker)
        else:
            self.idle.put_nowait(worker)
            asyncio.get_running_loop().call_later(self.linger_s, self._shrink)

    async def _alone(self, program: tuple[str, TestSuite]) -> Verdict:
        for _ in range(DEATHS_TO_FORBID):
            answer = await self._ask("run", [program])
            if answer is not None:
                return answer[0]
            self.counts["retried"] += 1
        self.counts["forbidden"] += 1
        return Verdict(
            Status.FORBIDDEN, total=program[1].total, message=f"took down {DEATHS_TO_FORBID} different verifiers"
        )

    async def _again(self, program: tuple[str, TestSuite], first: Verdict) -> Verdict:
        verdict = first
        for _ in range(self.setup.attempts - 1):
            self.counts["retried"] += 1
            answer = await self._ask("run", [program])
            if answer is not None and answer[0].status != "sandbox_error":
                return answer[0]
        return verdict


def as_columns(batch: TrajectoryBatch, verdicts: Sequence[Verdict]) -> Verdicts:
    """Verdicts as columns; line numbers of the program become indices of the sample's own scored lines."""
    return Verdicts(
        status=np.array([STATUSES.index(v.status) for v in verdicts], dtype=np.uint8),
        passed=np.array([v.passed for v in verdicts], dtype=np.int32),
        total=np.array([v.total for v in verdicts], dtype=np.int32),
        error_line=np.array([_error_line(batch, i, v.line) for i, v in enumerate(verdicts)], dtype=np.int32),
        reports=_reports(verdicts),
    )


def _reports(verdicts: Sequence[Verdict]) -> np.ndarray:
    reports = np.empty(len(verdicts), dtype=object)  # np.array would make columns of the tuples
    for i, verdict in enumerate(verdicts):
        message = ": ".join(part for part in (verdict.error, verdict.message) if part)
        reports[i] = Report(verdict.tests, verdict.answers, message)
    return reports


def _error_line(batch: TrajectoryBatch, sample: int, line: int | None) -> int:
    """Index, on the sample's line axis, of the line that physical line ``line`` (from 1) belongs to; -1 if none."""
    if line is None:
        return -1
    program = batch.programs[sample]
    lines = units(program, batch.unit)
    scored = int(np.diff(batch.line_offsets)[sample]) - int(batch.finished[sample])
    in_prefix = len(lines) - scored
    for index, span in enumerate(lines):
        first = len(_NEWLINE.findall(program, 0, span.start)) + 1
        last = len(_NEWLINE.findall(program, 0, span.end)) + 1
        if first <= line <= last:
            return index - in_prefix if index >= in_prefix else -1
    return -1
