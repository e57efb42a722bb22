"""The cluster page: actors by node, the verifiers' queue, lost requests, log tails."""

from __future__ import annotations

import numpy as np

from prl_ray.view.anatomy import anatomy
from prl_ray.view.files import named, number, read_json, rows
from prl_ray.view.history import History, short
from prl_ray.view.overview import state
from prl_ray.view.runs import Run

SNAPSHOT = "cluster.json"


def cluster(run: Run) -> dict[str, object]:
    """The data of the page. Raises ``DataError`` if ``cluster.json`` cannot be read."""
    history = run.history
    history.refresh()
    path = run.file(SNAPSHOT)
    names = [*history.names("perf/"), *history.names("verify/")]
    return {
        "run": run.name,
        **state(run),
        "snapshot": _snapshot(read_json(path)) if path else {},
        "verdicts": _verdicts_a_second(history),
        "anatomy": anatomy(history),
        "curves": [{"label": n, "x": history.points(n)[0], "y": history.points(n)[1]} for n in names],
    }


def _snapshot(found: dict[str, object]) -> dict[str, object]:
    """The snapshot of ``prl_ray.actors.snapshot``; of another version, the known parts of it."""
    logs = [(str(log.get("name", "?")), log.get("lines")) for log in rows(found.get("logs"))]
    return {
        "time": number(found.get("time")),
        "nodes": [_node(node) for node in rows(found.get("nodes"))],
        "verifiers": _numbers(found.get("verifiers")),
        "lost": _numbers(found.get("lost")),
        "logs": [{"name": n, "lines": [str(line) for line in lines]} for n, lines in logs if isinstance(lines, list)],
    }


def _node(node: dict[str, object]) -> dict[str, object]:
    return {
        "name": str(node.get("name", "?")),
        "alive": bool(node.get("alive")),
        **{name: number(node.get(name)) for name in ("cpus", "gpus", "memory_gb")},
        "actors": [
            {
                "role": str(actor.get("role", "?")),
                "state": str(actor.get("state", "?")),
                "pid": number(actor.get("pid")),
                "restarts": number(actor.get("restarts")) or 0,
            }
            for actor in rows(node.get("actors"))
        ],
    }


def _numbers(value: object) -> dict[str, float]:
    return {name: value for name, found in named(value).items() if (value := number(found)) is not None}


def _verdicts_a_second(history: History) -> dict[str, object]:
    """Samples of each step, divided by the seconds for sampling and verification."""
    seconds: dict[int, float] = {}
    for name in ("timing_s/gen", "timing_s/reward"):
        curve = history.curves.get(name)
        for step, value in zip(curve.steps, curve.values, strict=True) if curve else ():
            seconds[int(step)] = seconds.get(int(step), 0.0) + value
    rates = [(s.step, float(s.samples.sum()) / seconds[s.step]) for s in history.samples if seconds.get(s.step)]
    if not rates:
        return {"x": [], "y": []}
    table = np.array(rates)
    size = max(1, -(-len(table) // 200))
    parts = [table[i : i + size].mean(axis=0) for i in range(0, len(table), size)]
    return {"x": [short(p[0]) for p in parts], "y": [short(p[1]) for p in parts]}
