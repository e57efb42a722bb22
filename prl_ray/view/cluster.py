"""What the run's machines did: actors by node, the verifiers' queue, lost requests, log tails."""

from __future__ import annotations

import json

import numpy as np

from prl_ray.errors import DataError
from prl_ray.view.history import History, short
from prl_ray.view.overview import anatomy, state
from prl_ray.view.runs import Run

SNAPSHOT = "cluster.json"


def cluster(run: Run) -> dict[str, object]:
    """The data of the page. Raises ``DataError`` where ``cluster.json`` cannot be read."""
    history = run.history
    history.refresh()
    path = run.file(SNAPSHOT)
    snapshot: dict[str, object] = {}
    if path is not None:
        try:
            snapshot = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise DataError(f"{run.name}: {SNAPSHOT} is not readable ({error})") from error
    names = [*history.names("perf/"), *history.names("verify/")]
    return {
        "run": run.name,
        **state(run),
        "snapshot": snapshot,
        "verdicts": _verdicts_a_second(history),
        "anatomy": anatomy(history),
        "curves": [{"label": n, "x": history.points(n)[0], "y": history.points(n)[1]} for n in names],
    }


def _verdicts_a_second(history: History) -> dict[str, object]:
    """Samples of each step over the seconds in which they were sampled and verified."""
    seconds: dict[int, float] = {}
    for name in ("timing_s/gen", "timing_s/reward"):
        curve = history.curves.get(name)
        for step, value in zip(curve.steps, curve.values, strict=True) if curve else ():
            seconds[int(step)] = seconds.get(int(step), 0.0) + value
    rows = [(s.step, float(s.samples.sum()) / seconds[s.step]) for s in history.samples if seconds.get(s.step)]
    if not rows:
        return {"x": [], "y": []}
    table = np.array(rows)
    size = max(1, -(-len(table) // 200))
    parts = [table[i : i + size].mean(axis=0) for i in range(0, len(table), size)]
    return {"x": [short(p[0]) for p in parts], "y": [short(p[1]) for p in parts]}
