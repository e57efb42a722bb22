"""Quick checks of every node of a cluster, before anything slow starts there.

A probe on each node that may host an actor reports the node's state (``prl_ray.actors.probe``). This module compares it
with the driver's and reports node, fault and remedy of each fault. ``python -m prl_ray.doctor`` runs it alone.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from prl_ray.actors.handles import Handle, Ref, ask
from prl_ray.actors.placement import node_name
from prl_ray.actors.probe import OWN_CODE, PLUGIN, Asked, NodeFacts, Probe, versions
from prl_ray.actors.waiting import wait
from prl_ray.config import Config
from prl_ray.errors import ActorLostError, ResourceError
from prl_ray.remote import RemoteFolder

T = TypeVar("T")

PROBE_S = 60.0
"""Seconds for a worker process to answer, once it has started."""
LEAST_MEMORY = 2 * 2**30
"""Free bytes that every node needs; a model actor needs more."""
LEAST_SHARED_MEMORY = 256 * 2**20
MOST_DISK = 0.95
"""Disk usage above which Ray stores no more objects (its ``local_fs_capacity_threshold``)."""
MOST_CLOCK_ERROR_S = 30.0
"""Seconds between the clocks of two nodes: file times decide which file is newer, and whether the run's lock is
held."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Problems of a node, and how to fix them."""

    node: str
    fault: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.node}: {self.fault}. {self.remedy}"


def preflight(config: Config, runs: Path, model: Path) -> list[NodeFacts]:
    """Checks all nodes of the cluster that this process has joined. ``runs`` is the folder of the runs, ``model`` that
    of the base model. Returns the nodes' facts.

    Raises ``ResourceError`` with every fault that was found.
    """
    nodes = [n for n in ray.nodes() if n["Alive"] and (n["Resources"].get("CPU") or n["Resources"].get("GPU"))]
    with _token_in(runs) as (token_file, token):
        asked = Asked(token_file, token, model, config.cluster.isolation, tuple(config.plugins))
        facts = _ask_all(nodes, asked, config.cluster.start_timeout_s)
    faults = [fault for fact in facts for fault in faults_of(fact, versions(config.plugins), runs, model)]
    if faults:
        lines = "\n".join(f"  {fault}" for fault in faults)
        raise ResourceError(f"{len({f.node for f in faults})} of {len(facts)} nodes cannot take part:\n{lines}")
    return facts


def faults_of(facts: NodeFacts, expected: dict[str, str], runs: Path, model: Path) -> Iterator[Fault]:
    """The faults of a node. ``expected`` holds the driver's versions."""
    node = f"{facts.host} ({facts.address})"
    for name, ours in expected.items():
        theirs = facts.versions.get(name, "missing")
        if theirs != ours:
            yield Fault(node, f"{name} is {theirs}, the driver has {ours}", _install(name))
    yield from _faults_of_folders(node, facts, runs, model)
    if facts.sandbox_error:
        yield Fault(
            node,
            f"the sandbox does not work: {facts.sandbox_error}",
            "`python -m sandbox_workers doctor` there reports what is missing; cluster.isolation selects a weaker kind",
        )
    if facts.address_error:
        yield Fault(node, facts.address_error, "Other nodes cannot reach it by the address that Ray gives them")
    if facts.unreachable:
        yield Fault(
            node,
            f"it cannot connect to {', '.join(facts.unreachable)}",
            "Open all TCP ports between the nodes, and start Ray with --node-ip-address where a node has several",
        )
    yield from _faults_of_space(node, facts)
    if abs(facts.clock_error_s) > MOST_CLOCK_ERROR_S:
        direction = "ahead of" if facts.clock_error_s > 0 else "behind"
        yield Fault(
            node,
            f"its clock is {abs(facts.clock_error_s):.0f} s {direction} the driver's",
            "Set it, for example with chrony: file times decide which file is newer, and whether a run's lock is held",
        )


def _faults_of_folders(node: str, facts: NodeFacts, runs: Path, model: Path) -> Iterator[Fault]:
    if not facts.shares_runs:
        give = "Set XDG_CACHE_HOME, for the driver, to a folder" if RemoteFolder.of(runs) else "Give runs_dir=FOLDER"
        yield Fault(
            node,
            f"the runs folder {runs} is not the driver's",
            f"{give} on a file system that all nodes share: artifacts and checkpoints pass through it",
        )
    if facts.model_error:
        yield Fault(
            node,
            f"the model cannot be copied to it: {facts.model_error}",
            "Install the same packages there, and give the credentials with cluster.env",
        )
    elif not facts.has_model:
        yield Fault(
            node,
            f"the model folder {model} is not there",
            "Give model.path=FOLDER on a file system that all nodes share, or set XDG_CACHE_HOME to such a folder on "
            "the driver and in cluster.env",
        )


def _faults_of_space(node: str, facts: NodeFacts) -> Iterator[Fault]:
    if facts.free_memory < LEAST_MEMORY:
        yield Fault(node, f"only {facts.free_memory >> 20} MB of memory are free", "Free some, or leave this node out")
    if facts.free_shared_memory < LEAST_SHARED_MEMORY:
        yield Fault(
            node,
            f"only {facts.free_shared_memory >> 20} MB are free in /dev/shm",
            "In a container give it more, such as docker run --shm-size=8g; Ray's object store is there",
        )
    if facts.disk_used > MOST_DISK:
        yield Fault(
            node,
            f"the disk of Ray's session folder is {facts.disk_used:.0%} full, and Ray puts nothing there beyond "
            f"{MOST_DISK:.0%}",
            "Free some of it, or start Ray there with --temp-dir on another disk",
        )


def _install(name: str) -> str:
    if name == OWN_CODE or name.startswith(PLUGIN):
        return (
            "Set cluster.ship_code=true, with which all nodes run the driver's code, or install the same on all nodes"
        )
    return "Install the same versions on all nodes: requirements/ has the locked ones"


def _ask_all(nodes: Sequence[Mapping[str, Any]], asked: Asked, start_s: float) -> list[NodeFacts]:
    """Facts of all nodes, including the nodes that each cannot reach. A worker process starts on each in at most
    ``start_s`` seconds, and a model that a URL names is copied there in as many."""
    probes: dict[str, Handle[Probe]] = {}
    for node in nodes:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        probes[node_name(node)] = ray.remote(num_cpus=0, scheduling_strategy=there)(Probe).remote()
    try:
        places = {name: _answer(name, ask(probe, Probe.listening), start_s) for name, probe in probes.items()}
        brought = {name: ask(probe, Probe.bring_model, asked.model) for name, probe in probes.items()}
        copied = {name: _answer(name, ref, start_s) for name, ref in brought.items()}
        verifies = {node_name(n): bool(n["Resources"].get("CPU")) for n in nodes}
        asked_at = time.time()
        asked_facts = {name: ask(probe, Probe.facts, asked, verifies[name]) for name, probe in probes.items()}
        facts = {name: with_clock_error(_answer(name, ref), asked_at) for name, ref in asked_facts.items()}
        others = {name: [place for other, place in places.items() if other != name] for name in probes}
        refused = {name: ask(probe, Probe.cannot_reach, others[name]) for name, probe in probes.items()}
        return [
            replace(facts[name], unreachable=_answer(name, ref), model_error=copied[name])
            for name, ref in refused.items()
        ]
    finally:
        for probe in probes.values():
            ray.kill(probe)


def with_clock_error(facts: NodeFacts, asked_at: float) -> NodeFacts:
    """Adds the smallest clock error consistent with the facts: the node's clock was read between ``asked_at`` and
    now."""
    nearest = min(max(facts.clock, asked_at), time.time())
    return replace(facts, clock_error_s=facts.clock - nearest)


def _answer(name: str, ref: Ref[T], limit_s: float = PROBE_S) -> T:
    try:
        return wait(ref, f"node {name} to be checked", limit_s)
    except ActorLostError as error:
        raise ResourceError(
            f"{name}: no worker of this project starts there ({error}). Are the packages of requirements/ installed "
            "on that node, for the Python that runs Ray?"
        ) from error


@contextmanager
def _token_in(folder: Path) -> Iterator[tuple[Path, str]]:
    """A file with a random token in ``folder``, for the duration of the block."""
    folder.mkdir(parents=True, exist_ok=True)
    token = secrets.token_hex(16)
    file = folder / f".preflight-{token[:8]}"
    file.write_text(token)
    try:
        yield file, token
    finally:
        file.unlink(missing_ok=True)
