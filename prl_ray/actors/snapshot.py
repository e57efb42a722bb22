"""``cluster.json`` of a run folder: where its actors are, the verifiers' queue, and the end of the actors' logs."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path

import ray
from ray._private import state, worker

from prl_ray.actors.fleet import Fleet
from prl_ray.tracking.metrics_file import replace_text

NAME = "cluster.json"
LOGS, LOG_LINES, LOG_BYTES = 8, 40, 1 << 14
EVERY_S = 5.0


class SnapshotFile:
    """Writes the file after a step, at most every ``EVERY_S`` seconds."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / NAME
        self._written = 0.0

    def update(self, fleet: Fleet) -> None:
        """Writes the present state."""
        if time.monotonic() - self._written >= EVERY_S:
            replace_text(self.path, json.dumps(snapshot(fleet)) + "\n")
            self._written = time.monotonic()


def snapshot(fleet: Fleet) -> dict[str, object]:
    """The run's part of the cluster now, as JSON."""
    report = fleet.verifier_report()
    counts = {**asdict(report.counts), "waiting": report.waiting, "workers": report.workers}
    logs = Path(worker.global_worker.node.get_logs_dir_path())
    return {
        "time": time.time(),
        "nodes": _nodes(),
        "verifiers": counts,
        "lost": dict(fleet.lost),
        "logs": tails(logs),
    }


def _nodes() -> list[dict[str, object]]:
    job = ray.get_runtime_context().get_job_id()
    actors: dict[str, list[dict[str, object]]] = {}
    for actor in state.actors(job_id=worker.global_worker.current_job_id).values():
        if actor["State"] != "DEAD" and actor["JobID"] == job:
            role = actor["ActorClassName"].rpartition(".")[2]
            row = {"role": role, "state": actor["State"].lower(), "pid": actor["Pid"]}
            row["restarts"] = int(actor.get("NumRestarts") or 0)
            actors.setdefault(actor["Address"]["NodeID"], []).append(row)
    return [
        {
            "name": node["NodeManagerHostname"],
            "alive": node["Alive"],
            "cpus": node["Resources"].get("CPU", 0.0),
            "gpus": node["Resources"].get("GPU", 0.0),
            "memory_gb": round(node["Resources"].get("memory", 0.0) / 2**30, 1),
            "actors": sorted(actors.get(node["NodeID"], []), key=lambda row: (row["role"], row["pid"])),
        }
        for node in ray.nodes()
    ]


def tails(folder: Path) -> list[dict[str, object]]:
    """The last lines of the newest error streams of this machine's workers; empty ones are left out."""
    written = [path for path in folder.glob("worker-*.err") if path.stat().st_size]
    newest = sorted(written, key=lambda path: path.stat().st_mtime, reverse=True)[:LOGS]
    return [{"name": path.name, "lines": _last_lines(path)} for path in newest]


def _last_lines(path: Path) -> list[str]:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - LOG_BYTES))
        return file.read().decode("utf-8", "replace").splitlines()[-LOG_LINES:]
