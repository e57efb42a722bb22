"""Programs a second of one worker at full isolation, beside the machine's own limit and other verifiers.

    python benchmarks/verifier_throughput.py [--repeats 5] [--soak 100000]

Every repeat times all of them one after the other, so that a busy moment of the machine meets them alike; headlines are
medians, ratios are formed inside a repeat.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from _results import write_result
from verifier_peers import available, splittable
from verifier_workload import TRAIN, Reference, references

import sandbox_workers
from sandbox_workers import Sandbox
from sandbox_workers.plan import plan

HERE = Path(__file__).resolve().parent
PROGRAMS = 300
PEER_PROGRAMS = 60
"""Programs a peer is timed on: they are the first of ours, and slow."""
WARM_UP = 30


def main() -> None:
    options = _options()
    work = [ref for ref in references() if ref.task in TRAIN and splittable(ref)][:PROGRAMS]
    for reference in work:
        plan(reference.suite)
    peers = list(available())
    repeats = [_repeat(work, peers) for _ in range(options.repeats)]
    soak = _soak(work, options.soak) if options.soak else {"programs": 0, "growth_mb": 0.0}
    write_result(
        "verifier_throughput", _headline(repeats, soak), _config(work, peers, options), [*repeats, {"soak": soak}]
    )
    print(json.dumps(_headline(repeats, soak), indent=1))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--soak", type=int, default=100_000, help="programs of the endurance run; 0 leaves it out")
    return parser.parse_args()


def _repeat(work: Sequence[Reference], peers: Sequence[str]) -> dict[str, Any]:
    layers = _json(
        sys.executable, "-I", "-S", "-B", HERE / "verifier_raw.py", Path(sandbox_workers.__file__).parent, 300
    )
    ours = _ours(work)
    full = {"layers_per_second": layers, "raw_per_second": layers["clone, exit, wait"], **ours}
    full["share_of_raw_fork"] = ours["per_second"] / full["raw_per_second"]
    full["peers"] = {name: _json(sys.executable, HERE / "verifier_peers.py", name, PEER_PROGRAMS) for name in peers}
    for name, figures in full["peers"].items():
        full[f"ratio_{name.replace('-', '_')}"] = ours["per_second"] / figures["per_second"]
    one, two = (_workers(count) for count in (1, 2))
    return {**full, "one_worker": one, "two_workers": two, "scaling_2_workers": two / one}


def _json(*command: object) -> Any:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=True, cwd=HERE)
    return json.loads(done.stdout.splitlines()[-1])


def _ours(work: Sequence[Reference]) -> dict[str, float]:
    with Sandbox() as sandbox:
        for reference in work[:WARM_UP]:
            sandbox.run(reference.program, reference.suite)
        times, passed = [], 0
        for reference in work:
            started = time.perf_counter()
            passed += sandbox.run(reference.program, reference.suite).ok
            times.append(time.perf_counter() - started)
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    return {"per_second": len(times) / sum(times), "p50_ms": p50, "p99_ms": p99, "passed": passed}


def _workers(count: int, seconds: float = 3.0) -> float:
    """Programs a second of several workers, each in a process of its own."""
    context = get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_worker, args=(start, results, seconds)) for _ in range(count)]
    for process in processes:
        process.start()
    total = sum(results.get() for _ in processes)
    for process in processes:
        process.join()
    return total / seconds


def _worker(start: Any, results: Any, seconds: float) -> None:
    work = [ref for ref in references() if ref.task in TRAIN and splittable(ref)][:PROGRAMS]
    done = 0
    with Sandbox() as sandbox:
        for reference in work:
            plan(reference.suite)
        start.wait()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reference = work[done % len(work)]
            done += sandbox.run(reference.program, reference.suite).ok
    results.put(done)


def _soak(work: Sequence[Reference], programs: int) -> dict[str, Any]:
    """Growth of memory, processes, mounts and descriptors over many programs, after the first twentieth."""
    with Sandbox(recycle_after=programs * 2) as sandbox:
        before: dict[str, float] = {}
        passed = 0
        for number in range(programs):
            if number == programs // 20:
                before = _footprint(sandbox)
            reference = work[number % len(work)]
            passed += sandbox.run(reference.program, reference.suite).ok
        after = _footprint(sandbox)
    growth = {key: after[key] - before[key] for key in after}
    return {"programs": programs, "passed": passed, **{f"growth_{key}": value for key, value in growth.items()}}


def _footprint(sandbox: Sandbox) -> dict[str, float]:
    pids = [os.getpid(), sandbox.zygote_pid]
    children = Path(f"/proc/{sandbox.zygote_pid}/task/{sandbox.zygote_pid}/children").read_text().split()
    return {
        "mb": sum(_resident_mb(pid) for pid in pids),
        "descriptors": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids),
        "processes": len(children),
        "mounts": sum(len(Path(f"/proc/{pid}/mounts").read_text().splitlines()) for pid in pids),
        "threads": threading.active_count(),
    }


def _resident_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def _headline(repeats: Sequence[dict[str, Any]], soak: dict[str, Any]) -> dict[str, float]:
    def median(key: str) -> float:
        return statistics.median(repeat[key] for repeat in repeats)

    names = ["per_second", "ratio_bubblewrap", "ratio_evalplus", "share_of_raw_fork", "p99_ms", "scaling_2_workers"]
    found = {name: median(name) for name in names if name in repeats[0]}
    return {**found, "soak_programs": soak["programs"], "soak_growth_mb": soak["growth_mb"]}


def _config(work: Sequence[Reference], peers: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    return {
        "programs": len(work),
        "peer_programs": PEER_PROGRAMS,
        "isolation": "full",
        "suites": "parsed once a problem, before the timing",
        "peers": list(peers),
        "repeats": options.repeats,
        "load_average": os.getloadavg()[0],
    }


if __name__ == "__main__":
    main()
