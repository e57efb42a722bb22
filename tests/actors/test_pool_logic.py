"""What the pool decides, with workers that live and die as a script says; real ones are in ``test_verifier_pool``."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayActorError

from prl_ray.actors import workers as workers_module
from prl_ray.actors.placement import Node
from prl_ray.actors.verifier import Started, VerifierSetup
from prl_ray.actors.verifier_pool import DEATHS_TO_FORBID, VerifierPool
from prl_ray.actors.workers import STARTS_TO_GIVE_UP, Workers
from prl_ray.errors import ResourceError
from sandbox_workers import Status, TestSuite, Verdict

SUITE = TestSuite(tests=("assert f(1) == 2",))
NODE_DIED = RayActorError(error_msg="The actor died because its node has died. Node Id: 1f")
WORKER_DIED = RayActorError(error_msg=f"{ActorDiedError.BASE_ERROR_MSG}\nits worker process has died")
UNREACHABLE = ActorUnavailableError("The actor is temporarily unavailable", b"0" * 16)
NO_SANDBOX = RayActorError(
    error_msg="The actor died because of an error raised in its creation task, ray::Verifier()\n"
    "sandbox_workers.errors.SandboxUnavailable: no user namespaces"
)


class Remote:
    def __init__(self, answer: Callable[..., Any]) -> None:
        self.answer = answer

    async def remote(self, *args: Any) -> Any:
        await asyncio.sleep(0)
        return self.answer(*args)


class Scripted:
    """A worker: programs say what becomes of it."""

    numbers = itertools.count()

    def __init__(self, start: Exception | None, node: str) -> None:
        self.number, self.start, self.node = next(self.numbers), start, node
        self.started = Remote(self._start)
        self.run = Remote(self._run)
        self.asked: list[str] = []

    def _start(self) -> Started:
        if self.start is not None:
            raise self.start
        return Started("host", self.node)

    def _run(self, programs: list[tuple[str, TestSuite]]) -> list[Verdict]:
        self.asked += [program for program, _ in programs]
        verdicts = []
        for program, _ in programs:
            if program == "kills":
                raise WORKER_DIED
            if program in ("node dies", "out of reach"):
                raise NODE_DIED if program == "node dies" else UNREACHABLE
            status = Status.SANDBOX_ERROR if program == "breaks" else Status.PASSED
            verdicts.append(Verdict(status, int(status == "passed"), 1))
        return verdicts


class ScriptedWorkers(Workers):
    patience_s = 0.02
    retry_s = 0.01
    tend_s = 0.01

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.made: list[Scripted] = []
        self.starts: Iterator[Exception | None] = itertools.repeat(None)
        self.draining: set[str] = set()

    def new(self) -> Any:
        self.made.append(Scripted(next(self.starts), f"node{len(self.made) % 2}"))
        return self.made[-1]


class ScriptedPool(VerifierPool):
    workers_class = ScriptedWorkers


@pytest.fixture(autouse=True)
def no_ray(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Nodes that drain, by id; workers end without a word."""
    draining: set[str] = set()

    class State:
        def get_draining_nodes(self) -> dict[str, int]:
            return dict.fromkeys(draining, 0)

    monkeypatch.setattr(workers_module, "ray_state", State())
    monkeypatch.setattr(workers_module.ray, "kill", lambda actor: None)
    monkeypatch.setattr(workers_module, "free_nodes", lambda: [Node("a", 2, 0), Node("b", 1, 0)])
    return draining


def on_pool(work: Callable[[Any], Awaitable[Any]], size: int = 2, most: int = 0) -> Any:
    async def all_of_it() -> Any:
        pool = ScriptedPool(VerifierSetup(attempts=3), size, 1.0, most)
        return await asyncio.wait_for(work(pool), 20)

    return asyncio.run(all_of_it())


def statuses(verdicts: list[Verdict]) -> list[str]:
    return [str(verdict.status) for verdict in verdicts]


async def settled(pool: Any) -> None:
    for _ in range(200):
        if len(pool.workers.ready) == pool.workers.wanted and not pool.workers.starting:
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the pool does not reach its size")


def programs_of(*names: str) -> list[tuple[str, TestSuite]]:
    return [(name, SUITE) for name in names]


@given(
    st.lists(
        st.lists(st.sampled_from(["right", "kills", "breaks", "node dies", "out of reach"]), min_size=1, max_size=4),
        min_size=1,
        max_size=6,
    )
)
def test_every_program_gets_one_verdict_and_only_its_own_deeds_are_held_against_it(chunks: list[list[str]]) -> None:
    async def work(pool: Any) -> Any:
        found = await asyncio.gather(*(pool.run(programs_of(*chunk)) for chunk in chunks))
        await settled(pool)
        return found, await pool.report()

    found, report = on_pool(work)
    expected = {"right": "passed", "kills": "forbidden", "breaks": "sandbox_error"}
    for chunk, verdicts in zip(chunks, found, strict=True):
        assert statuses(verdicts) == [expected.get(name, "sandbox_error") for name in chunk]
    assert report.counts.submitted == report.counts.answered == sum(map(len, chunks))
    assert report.counts.forbidden == sum(chunk.count("kills") for chunk in chunks)
    assert report.workers == report.wanted == 2


def test_a_program_that_kills_is_tried_on_different_workers() -> None:
    async def work(pool: Any) -> Any:
        await pool.run(programs_of("right", "kills"))
        return [worker.asked for worker in pool.workers.made]

    asked = [names for names in on_pool(work) if "kills" in names]
    assert len(asked) == 1 + DEATHS_TO_FORBID, "once with its neighbour, then alone"


def test_a_worker_that_is_still_starting_gets_nothing() -> None:
    async def work(pool: Any) -> Any:
        never = asyncio.get_running_loop().create_future()
        await pool.ready()
        new = pool.workers.new

        def pending() -> Any:
            worker = new()
            worker.started = type("Never", (), {"remote": lambda self: never})()
            return worker

        pool.workers.new = pending
        await pool.resize(3, True)
        verdicts = await asyncio.gather(*(pool.run(programs_of("right")) for _ in range(20)))
        report = await pool.report()
        return verdicts, report, pool.workers.made[-1].asked

    verdicts, report, asked = on_pool(work)
    assert all(statuses(v) == ["passed"] for v in verdicts)
    assert (report.workers, report.starting, report.wanted, asked) == (2, 1, 3, [])


def test_a_size_without_room_is_refused_with_the_largest_that_fits() -> None:
    async def work(pool: Any) -> Any:
        await pool.ready()
        with pytest.raises(ResourceError, match=r"verifiers=6: the cluster has room for 5 now \(1 CPU each\)"):
            await pool.resize(6)
        before = await pool.resize(5)
        await settled(pool)
        return before, (await pool.report()).workers

    assert on_pool(work) == (2, 5)


def test_shrinking_ends_idle_workers_now_and_busy_ones_when_they_have_answered() -> None:
    async def work(pool: Any) -> Any:
        await pool.ready()
        await settled(pool)
        lent = await pool.workers.lend()
        await pool.resize(1)
        assert list(pool.workers.ready) == [lent]
        await pool.resize(0)
        assert list(pool.workers.ready) == [lent]
        pool.workers.release(lent)
        return pool.workers.ready

    assert on_pool(work, size=3) == {}


def test_a_sandbox_that_nobody_can_have_is_the_error_of_the_start() -> None:
    async def work(pool: Any) -> None:
        pool.workers.starts = itertools.repeat(NO_SANDBOX)
        await pool.ready()

    with pytest.raises(ResourceError, match="no user namespaces"):
        on_pool(work)


def test_starts_that_fail_now_and_then_are_tried_again() -> None:
    async def work(pool: Any) -> Any:
        await pool.ready()
        pool.workers.starts = iter([WORKER_DIED] * (STARTS_TO_GIVE_UP - 1) + [None] * 9)
        await pool.resize(3, True)
        await settled(pool)
        return (await pool.report()).workers

    assert on_pool(work) == 3


def test_workers_leave_nodes_that_drain(no_ray: set[str]) -> None:
    async def work(pool: Any) -> Any:
        await pool.ready()
        await settled(pool)
        no_ray.add("node0")
        for _ in range(200):
            nodes = {started.node for started in pool.workers.ready.values()}
            if nodes == {"node1"} and len(pool.workers.ready) == 4:
                return True
            await asyncio.sleep(0.01)
        return False

    assert on_pool(work, size=4)


def test_waiting_requests_bring_workers_up_to_the_most() -> None:
    async def work(pool: Any) -> Any:
        await pool.ready()
        lent = [await pool.workers.lend() for _ in range(2)]
        waiting = [asyncio.create_task(pool.run(programs_of("right"))) for _ in range(8)]
        await asyncio.gather(*waiting)
        for worker in lent:
            pool.workers.release(worker)
        return pool.workers.wanted

    assert on_pool(work, most=3) == 3


def test_the_report_reads_well() -> None:
    async def work(pool: Any) -> Any:
        await pool.ready()
        await settled(pool)
        return str(await pool.report())

    assert on_pool(work, size=3) == "3 × full on host × 3"
