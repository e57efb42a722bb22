"""Requests a second of the sandbox's HTTP server, asked by many clients at one time."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from benchmarks.verifier_workload import Reference

ROOT = Path(__file__).resolve().parents[1]
CLIENTS, WORKERS, SECONDS, WARM_UP_S = 16, 2, 5.0, 1.0


def http_figures(work: list[Reference], clients: int = CLIENTS, seconds: float = SECONDS) -> dict[str, float]:
    """What ``clients`` connections, each asking for one verdict after the other, get from a server of two workers.

    ``http_per_second``: verdicts; ``http_p50_ms`` and ``http_p99_ms``: from a request to its answer; ``http_fairness``:
    verdicts of the client that got fewest over those of the one that got most. Server and clients share the machine.
    """
    command = [sys.executable, "-m", "sandbox_workers", "serve", "--port", "0", "--workers", str(WORKERS)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            port = int(server.stdout.readline().rpartition(":")[2])
            bodies = [
                json.dumps({"program": reference.program, "suite": reference.suite.to_json()}) for reference in work
            ]
            with get_context("spawn").Pool(1) as process:  # clients do not wait for the server's interpreter lock
                times = process.apply(ask_together, (port, bodies, clients, seconds))
        finally:
            server.terminate()
            server.wait()
    return _figures(times, seconds)


def ask_together(port: int, bodies: list[str], clients: int, seconds: float) -> list[list[float]]:
    """Seconds of each client's requests."""
    times: list[list[float]] = [[] for _ in range(clients)]
    start = threading.Barrier(clients)
    askers = [
        threading.Thread(target=_ask, args=(port, bodies[number::clients] or bodies, number, start, seconds, times))
        for number in range(clients)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    return times


def _ask(
    port: int, bodies: list[str], number: int, start: threading.Barrier, seconds: float, times: list[list[float]]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"X-Client-Id": str(number), "Content-Type": "application/json"}
    start.wait()
    began = time.monotonic() + WARM_UP_S
    asked = 0
    while (now := time.monotonic()) < began + seconds:
        connection.request("POST", "/verify", bodies[asked % len(bodies)], headers)
        answer: dict[str, Any] = json.load(connection.getresponse())
        if answer["status"] != "passed":
            raise RuntimeError(f"a reference did not pass: {answer}")
        asked += 1
        if now >= began:
            times[number].append(time.monotonic() - now)


def _figures(times: list[list[float]], seconds: float) -> dict[str, float]:
    every = sorted(taken for own in times for taken in own)
    counts = [len(own) for own in times]
    p50, p99 = (every[int(len(every) * share)] * 1000 for share in (0.5, 0.99))
    return {
        "http_per_second": len(every) / seconds,
        "http_p50_ms": p50,
        "http_p99_ms": p99,
        "http_fairness": min(counts) / max(counts),
    }
