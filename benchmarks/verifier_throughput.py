"""Programs per second of one worker at full isolation, compared with the machine's own limit and other verifiers.

    python benchmarks/verifier_throughput.py [--repeats 5] [--programs 300] [--soak 100000]

Every repeat times all of them one after the other on the same programs, so that a busy moment of the machine affects
all alike; headlines are medians, ratios are formed inside a repeat. ``cpu_ms_per_program`` is the CPU of all processes
of one worker, ours too; ``per_second_2_cores`` are the programs of two workers. ``soak_growth_*`` is what an endurance
run added after its first twentieth, in our process and the zygote's. The result is stored after every repeat and at
every twentieth of the endurance run, so that an interrupted run still has a result. ``benchmarks/readme_tables.py``
draws its layers.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import sandbox_workers
from benchmarks._cpu import cpu_s
from benchmarks._http import http_figures
from benchmarks._results import RESULTS, write_result
from benchmarks._soak import soak
from benchmarks.verifier_peers import available, comparable
from benchmarks.verifier_workload import Reference
from sandbox_workers import Sandbox
from sandbox_workers.plan import plan

HERE = Path(__file__).resolve().parent

WARM_UP = 30
ROUNDS = 5
"""Passes over the programs in one repeat: of a single one, 99 of 100 would hang on three verdicts."""
HEADLINES = (
    *("per_second", "ratio_bubblewrap", "ratio_evalplus", "ratio_human_eval", "share_of_raw_fork"),
    *("p50_ms", "p99_ms", "raw_p99_ms", "cpu_ms_per_program", "per_second_2_cores", "scaling_2_workers"),
    *("http_per_second", "http_p50_ms", "http_p99_ms", "http_fairness"),
)
PEER_SHARE = 0.9
"""Of the references, that a peer must pass: one that cannot even start is fast."""
RAW = "clone, exit, wait"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    work = comparable(options.programs)
    for reference in work:
        plan(reference.suite)
    peers = list(available())
    print(f"{len(work)} programs; peers: {', '.join(peers) or 'none is installed'}", flush=True)
    repeats: list[dict[str, Any]] = []
    for number in range(options.repeats):
        repeats.append(_repeat(work, peers, options.programs))
        print(f"repeat {number + 1} of {options.repeats}: {_headline(repeats, {})}", flush=True)
        _store(repeats, {}, options, peers)
    for state in soak(work, options.soak) if options.soak else ():
        print(f"endurance: {state}", flush=True)
        _store(repeats, state, options, peers)
    print(json.dumps(_headline(repeats, {}), indent=1))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--soak", type=int, default=100_000, help="programs of the endurance run; 0 leaves it out")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def _repeat(work: list[Reference], peers: Sequence[str], programs: int) -> dict[str, Any]:
    package = Path(sandbox_workers.__file__).parent
    by_layer = _json(sys.executable, "-I", "-S", "-B", HERE / "verifier_raw.py", package, programs)
    ours = _ours(work)
    full = {"layers_per_second": by_layer["per_second"], "layers_p99_ms": by_layer["p99_ms"], **ours}
    full |= {"raw_per_second": by_layer["per_second"][RAW], "raw_p99_ms": by_layer["p99_ms"][RAW]}
    full["share_of_raw_fork"] = ours["per_second"] / full["raw_per_second"]
    full["peers"] = {name: _json(sys.executable, HERE / "verifier_peers.py", name, programs) for name in peers}
    for name, figures in full["peers"].items():
        if figures["passed"] < PEER_SHARE * figures["programs"]:
            raise RuntimeError(f"{name} passes {figures['passed']} of {figures['programs']} references: not a rival")
        full[f"ratio_{name.replace('-', '_')}"] = ours["per_second"] / figures["per_second"]
    one, two = (_workers(count, programs) for count in (1, 2))
    full |= http_figures(work)
    return {**full, "one_worker": one, "per_second_2_cores": two, "scaling_2_workers": two / one}


def _json(*command: object) -> Any:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=HERE, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{Path(str(command[-3])).name} {command[-2]}: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def _ours(work: list[Reference]) -> dict[str, float]:
    with Sandbox() as sandbox:
        for reference in work[:WARM_UP]:
            sandbox.run(reference.program, reference.suite)
        times, passed, cpu_before = [], 0, cpu_s(sandbox)
        for reference in work * ROUNDS:
            started = time.perf_counter()
            passed += sandbox.run(reference.program, reference.suite).ok
            times.append(time.perf_counter() - started)
        cpu_used = cpu_s(sandbox) - cpu_before
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1000 for share in (0.5, 0.99))
    return {
        "per_second": len(times) / sum(times),
        "p50_ms": p50,
        "p99_ms": p99,
        "cpu_ms_per_program": cpu_used * 1000 / len(times),
        "verdicts": len(times),
        "passed": passed,
    }


def _workers(count: int, programs: int, seconds: float = 3.0) -> float:
    """Programs a second of several workers, each in a process of its own."""
    context = get_context("spawn")
    start, results = context.Barrier(count), context.Queue()
    processes = [context.Process(target=_worker, args=(start, results, seconds, programs)) for _ in range(count)]
    for process in processes:
        process.start()
    total = sum(results.get() for _ in processes)
    for process in processes:
        process.join()
    return total / seconds


def _worker(start: Any, results: Any, seconds: float, programs: int) -> None:
    work = comparable(programs)
    done = 0
    with Sandbox() as sandbox:
        for reference in work:
            plan(reference.suite)
        start.wait()
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            reference = work[done % len(work)]
            sandbox.run(reference.program, reference.suite)
            done += 1
    results.put(done)


def _headline(repeats: Sequence[dict[str, Any]], endurance: dict[str, Any]) -> dict[str, float]:
    found = {name: statistics.median(repeat[name] for repeat in repeats) for name in HEADLINES if name in repeats[0]}
    return {**found, **{f"soak_{key}": value for key, value in endurance.items()}}


def _store(
    repeats: Sequence[dict[str, Any]], endurance: dict[str, Any], options: argparse.Namespace, peers: Sequence[str]
) -> None:
    config = {
        "programs": options.programs,
        "isolation": "full",
        "suites": "parsed once a problem, before the timing",
        "peers": list(peers),
        "repeats": options.repeats,
        "load_average": os.getloadavg()[0],
    }
    write_result("verifier_throughput", _headline(repeats, endurance), config, repeats, folder=options.results)


if __name__ == "__main__":
    main()
