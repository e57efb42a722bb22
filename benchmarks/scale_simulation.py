"""What driver and verifier pool spend on a trajectory as actors become more; writes ``scale_simulation.json``.

The pool and the driver's sampling are the real ones, in real Ray actors; what they talk to is not: verifiers are stubs
inside the pool that answer after the latency of a measured sandbox, generators are streams of ready-made chunks out of
a few actors, ``STREAMS`` a process. So the figures hold the time of our own code and of Ray's calls to the pool, and
neither models nor programs.

``python benchmarks/scale_simulation.py``
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import ray

from benchmarks._results import read_result, write_result
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Sampling
from prl_ray.actors.handles import call, get, put
from prl_ray.actors.verifier import Started, VerifierSetup
from prl_ray.actors.verifier_pool import VerifierPool
from prl_ray.actors.workers import Workers
from prl_ray.config import ClusterConfig, SandboxConfig
from prl_ray.problems.problem import Problem
from prl_ray.sampling import sample
from prl_ray.trajectory import TrajectoryBatch
from sandbox_workers import Status, TestSuite, Verdict

SUITE = TestSuite(tests=("assert f(1) == 2",))
SAMPLES = 4
PROGRAM = "def f(x):\n    y = x + 1\n    return y\n"
TOKENS = 24
STREAMS = 16
"""Generators in one process: 64 processes would need 10 GB, and the driver sees as many streams."""
START_S = 600.0


class StubCall:
    """The ``remote`` of one method of a stub."""

    def __init__(self, latency_s: float, answer: Any) -> None:
        self.latency_s, self.answer = latency_s, answer

    async def remote(self, *args: Any) -> Any:
        """Answers after the latency; a verdict for each program."""
        await asyncio.sleep(self.latency_s * (len(args[0]) if args else 0))
        return self.answer(*args)


class StubVerifier:
    """Answers as a sandbox worker would, after the time that one takes."""

    def __init__(self, number: int, latency_s: float) -> None:
        self.started = StubCall(0.0, lambda: Started(f"host{number % 8}", f"node{number % 8}"))
        self.run = StubCall(latency_s, lambda programs: [Verdict(Status.PASSED, 1, 1) for _ in programs])


class StubWorkers(Workers):
    """Workers without processes."""

    latency_s = 0.0013

    def new(self) -> Any:
        """A stub in the place of an actor."""
        return StubVerifier(len(self.ready) + len(self.starting), self.latency_s)

    async def _leave_draining_nodes(self) -> None:
        """There are no nodes."""


class StubPool(VerifierPool):
    """The real pool over stubs."""

    workers_class = StubWorkers


class StubGenerator:
    """Yields a chunk of samples for each problem."""

    def ready(self) -> str:
        """At once."""
        return "stub"

    def generate(self, problems: Sequence[Problem], numbers: Sequence[int], sampling: Sampling) -> Iterator[Any]:
        """One chunk after the other, as fast as they are taken."""
        for problem, number in zip(problems, numbers, strict=True):
            yield chunk_of(problem.task_id, number, sampling.samples)


def chunk_of(task_id: str, number: int, samples: int) -> TrajectoryBatch:
    """Samples as a generator would give them, all alike."""
    offsets = np.arange(samples + 1, dtype=np.int64)
    lines = np.tile(np.array([7, 15, 23], dtype=np.int32), samples)
    return TrajectoryBatch(
        task_ids=(task_id,) * samples,
        prompt_ids=np.full(samples, number, dtype=np.int64),
        programs=(PROGRAM,) * samples,
        finished=np.ones(samples, dtype=np.bool_),
        prompt_tokens=np.zeros(samples * TOKENS, dtype=np.int32),
        prompt_offsets=offsets * TOKENS,
        tokens=np.zeros(samples * TOKENS, dtype=np.int32),
        token_offsets=offsets * TOKENS,
        logprobs=np.zeros(samples * TOKENS, dtype=np.float32),
        weight_versions=np.zeros(samples * TOKENS, dtype=np.int32),
        line_ends=lines,
        line_offsets=offsets * 3,
        line_neutral=np.zeros(len(lines), dtype=np.bool_),
    )


def measure(verifiers: int, generators: list[Any], chunks: int) -> dict[str, float]:
    """Milliseconds of processor time of driver and pool, and of wall time, for one trajectory."""
    fleet = Fleet(ClusterConfig(), SandboxConfig(), "simulation")
    pool = ray.remote(num_cpus=0, max_concurrency=10_000)(StubPool).remote(VerifierSetup(), verifiers, 0.0)
    fleet.pool, fleet.engines.actors = pool, generators
    ray.get(pool.ready.remote(), timeout=START_S)
    problems = [Problem(f"task/{i}", "", "f", SUITE, (), "train") for i in range(chunks)]
    fleet._suites = [put({p.task_id: SUITE for p in problems})]
    sampling = Sampling(SAMPLES, 1.0, TOKENS, 0)
    sample(fleet, problems[: chunks // 10], sampling, 300)  # warm
    before = get(call(pool, spent), 60), time.process_time(), time.perf_counter()
    sample(fleet, problems, sampling, 300)
    after = get(call(pool, spent), 60), time.process_time(), time.perf_counter()
    ray.kill(pool)
    pool_ms, driver_ms, wall_ms = (1000 * (b - a) / (chunks * SAMPLES) for a, b in zip(before, after, strict=True))
    return {
        "verifiers": verifiers,
        "generators": len(generators),
        "driver_ms": driver_ms,
        "pool_ms": pool_ms,
        "wall_ms": wall_ms,
    }


def spent(pool: object) -> float:
    """Processor seconds of the process so far."""
    return time.process_time()


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--verifiers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--generators", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--chunks", type=int, default=1000)
    options = parser.parse_args()
    StubWorkers.latency_s = latency_s = 1e-3 * read_result("verifier_throughput")["headline"].get("p50_ms", 1.3)
    ray.init(address="local", num_cpus=1, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    actor = ray.remote(num_cpus=0, max_concurrency=STREAMS)(StubGenerator)
    processes = [actor.remote() for _ in range(-(-max(options.generators) // STREAMS))]
    ray.get([process.ready.remote() for process in processes], timeout=START_S)
    stubs = [processes[i % len(processes)] for i in range(max(options.generators))]
    some = sorted(options.generators)[len(options.generators) // 2]
    rows = [measure(count, stubs[:some], options.chunks) for count in options.verifiers]
    rows += [measure(100, stubs[:count], options.chunks) for count in options.generators]
    ray.shutdown()

    def ours(row: dict[str, float]) -> float:
        return row["driver_ms"] + row["pool_ms"]

    start = next(ours(row) for row in rows if row["verifiers"] >= 10)
    headline = {
        "verifiers": max(options.verifiers),
        "generators": max(options.generators),
        "growth": max(ours(row) for row in rows if row["verifiers"] >= 10) / start,
        "driver_ms": max(row["driver_ms"] for row in rows),
        "pool_ms": max(row["pool_ms"] for row in rows),
    }
    config = {"chunks": options.chunks, "samples": SAMPLES, "latency_s": latency_s}
    print(write_result("scale_simulation", headline, config, rows))


if __name__ == "__main__":
    main()
