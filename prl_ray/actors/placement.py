"""Whether a cluster can hold the actors that a config asks for, before anything starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prl_ray.config import ClusterConfig
from prl_ray.errors import ResourceError


@dataclass(frozen=True, slots=True)
class Demand:
    """Actors of one role, and what each needs."""

    role: str
    count: int
    cpus: float
    gpus: float


def demands(cluster: ClusterConfig) -> list[Demand]:
    """What the roles ask for. Stages before PPO use a part of it."""
    return [
        Demand("learner", cluster.learners, cluster.learner_cpus, cluster.learner_gpus),
        Demand("generator", cluster.generators, cluster.generator_cpus, cluster.generator_gpus),
        Demand("scorer", cluster.scorers, cluster.scorer_cpus, cluster.scorer_gpus),
        Demand("verifier", cluster.verifiers, cluster.verifier_cpus, 0.0),
    ]


def check_fits(wanted: Sequence[Demand], nodes: Sequence[Mapping[str, float]]) -> None:
    """Places every actor on a node, greatest need first (first fit).

    ``nodes`` are the resources of each alive node, as Ray names them (``CPU``, ``GPU``). Raises ``ResourceError`` with
    the demand, what there is, and the setting that would fit.
    """
    free = [{"CPU": n.get("CPU", 0.0), "GPU": n.get("GPU", 0.0)} for n in nodes]
    missing: dict[str, int] = {}
    for demand in sorted(wanted, key=lambda d: (-d.gpus, -d.cpus)):
        for _ in range(demand.count):
            node = next((n for n in free if _fits(demand, n)), None)
            if node is None:
                missing[demand.role] = missing.get(demand.role, 0) + 1
                continue
            node["CPU"] -= demand.cpus
            node["GPU"] -= demand.gpus
    if not missing:
        return
    asked = "; ".join(f"{d.count} {d.role}(s) of {d.cpus:g} CPU, {d.gpus:g} GPU" for d in wanted)
    there = "; ".join(f"{n.get('CPU', 0):g} CPU, {n.get('GPU', 0):g} GPU" for n in nodes) or "no nodes"
    short = ", ".join(f"{count} {role}(s)" for role, count in missing.items())
    first = next(iter(missing))
    raise ResourceError(
        f"the cluster has no room for {short}. Asked for: {asked}. Nodes: {there}. Add nodes, or lower "
        f"cluster.{first}s, cluster.{first}_cpus or cluster.{first}_gpus"
    )


def _fits(demand: Demand, node: Mapping[str, float]) -> bool:
    slack = 1e-6  # 0.1 + 0.2 CPUs are 0.3
    return node["CPU"] + slack >= demand.cpus and node["GPU"] + slack >= demand.gpus
