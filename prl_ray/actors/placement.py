"""Placement of actors: whether free resources suffice for a config, and placement groups that reserve them.

Ranks are packed on as few nodes as possible and numbered node by node; generators and scorers each have a bundle of
their own, which Ray moves to another node if theirs is lost. What cannot be placed is an error at once that says what
is missing and where; nothing ever hangs on an impossible placement.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import ray
from ray._private.state import available_resources_per_node  # Ray has no public call for one node's free resources
from ray.exceptions import GetTimeoutError
from ray.util.placement_group import PlacementGroup, placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy, PlacementGroupSchedulingStrategy

from prl_ray.config import ClusterConfig
from prl_ray.errors import ResourceError

SETTLE_S = 5.0
"""Seconds until resources that another run has just released are seen as free."""
RESERVE_S = 30.0
"""Seconds for a placement group; one that fits takes far less."""
SLACK = 1e-6
"""0.1 + 0.2 CPUs are 0.3."""


ROLES = ("learner", "generator", "scorer", "verifier")
"""In the order of placement: roles whose actors belong together first."""
_ROLES_OF = {
    "label": {"verifier"},
    "sft": {"learner"},
    "prm": {"learner", "generator", "verifier"},
    "ppo": set(ROLES),
    "evaluate": {"generator", "scorer", "verifier"},
}


def roles_of(stages: Iterable[str]) -> list[str]:
    """Roles whose resources a run of these stages reserves from its start; others are placed when a stage asks for
    them."""
    needed = {role for stage in stages for role in _ROLES_OF[stage]}
    return [role for role in ROLES if role in needed]


@dataclass(frozen=True, slots=True)
class Demand:
    """Actors of one role, and the resources that each needs."""

    role: str
    count: int
    cpus: float
    gpus: float

    @property
    def bundle(self) -> dict[str, float]:
        """One actor's resources as Ray names them; empty if it needs none."""
        return {name: need for name, need in (("CPU", self.cpus), ("GPU", self.gpus)) if need}


@dataclass(frozen=True, slots=True)
class Node:
    """A node and its free resources."""

    name: str
    """Host name and address, for messages."""
    cpus: float
    gpus: float

    def __str__(self) -> str:
        return f"{self.name}: {self.cpus:g} CPU, {self.gpus:g} GPU"

    def holds(self, demand: Demand) -> int:
        """Number of actors of a role for which there is room; all of them if they need no resources."""
        parts = [free / need for free, need in ((self.cpus, demand.cpus), (self.gpus, demand.gpus)) if need]
        return int(min(parts) + SLACK) if parts else demand.count

    def without(self, demand: Demand, count: int) -> Node:
        """The node after so many actors are placed on it."""
        return Node(self.name, self.cpus - count * demand.cpus, self.gpus - count * demand.gpus)


def demands(cluster: ClusterConfig) -> list[Demand]:
    """The demands of the roles, in the order of ``ROLES``."""
    ranks = cluster.generator_ranks
    return [
        Demand("learner", cluster.learners, cluster.learner_cpus, cluster.learner_gpus),
        # A bundle is never divided among nodes: the ranks of one engine are together.
        Demand("generator", cluster.generators, cluster.generator_cpus, ranks * cluster.generator_gpus),
        Demand("scorer", cluster.scorers, cluster.scorer_cpus, cluster.scorer_gpus),
        Demand("verifier", cluster.verifiers, cluster.verifier_cpus, 0.0),
    ]


def check_fits(wanted: Sequence[Demand], nodes: Sequence[Node]) -> None:
    """Places every actor on a node, greatest need first, each role on the nodes with the most room for it.

    Raises ``ResourceError`` with the demand, the free resources of each node, and a setting that would fit.
    """
    free = list(nodes)
    missing: dict[str, int] = {}
    for demand in sorted(wanted, key=lambda d: (-d.gpus, -d.cpus)):
        left = demand.count
        for i in sorted(range(len(free)), key=lambda i: (-free[i].holds(demand), free[i].gpus, i)):
            here = min(left, free[i].holds(demand))
            free[i], left = free[i].without(demand, here), left - here
        if left:
            missing[demand.role] = left
    if not missing:
        return
    asked = "; ".join(f"{d.count} {d.role}(s) of {d.cpus:g} CPU, {d.gpus:g} GPU" for d in wanted)
    there = "; ".join(map(str, nodes)) or "no nodes"
    short = ", ".join(f"{count} {role}(s)" for role, count in missing.items())
    first = next(iter(missing))
    raise ResourceError(
        f"the cluster has no room for {short}. Asked for: {asked}. Free: {there}. Add nodes, end what holds their "
        f"resources (`ray status`), or lower cluster.{first}s, cluster.{first}_cpus or cluster.{first}_gpus"
    )


def free_nodes() -> list[Node]:
    """The nodes that take work, and their free resources."""
    free: Mapping[str, Mapping[str, float]] = available_resources_per_node()
    return [
        Node(node_name(node), free[node["NodeID"]].get("CPU", 0.0), free[node["NodeID"]].get("GPU", 0.0))
        for node in ray.nodes()
        if node["Alive"] and node["NodeID"] in free
    ]


def node_name(node: Mapping[str, object]) -> str:
    """Host name and address of an entry of ``ray.nodes()``."""
    return f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"


def check_free(wanted: Sequence[Demand]) -> None:
    """``check_fits`` on the resources that are free now, or become free within ``SETTLE_S``."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        try:
            return check_fits(wanted, free_nodes())
        except ResourceError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.25)


def on_this_node() -> NodeAffinitySchedulingStrategy:
    """Pins a light actor to the driver's node: the run needs that node anyway."""
    return NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)


@dataclass
class Reservation:
    """Resources for the actors of one role, held until ``release``."""

    demand: Demand
    group: PlacementGroup | None
    order: list[int]
    """Bundles by actor number: those of one node follow each other, the node with most of them first."""

    def strategy(self, number: int) -> str | PlacementGroupSchedulingStrategy:
        """Where actor ``number`` goes, as Ray's ``scheduling_strategy``."""
        if self.group is None:
            return "SPREAD"
        return PlacementGroupSchedulingStrategy(self.group, self.order[number])

    def release(self) -> None:
        """Gives the resources back; actors that still use them are ended."""
        if self.group is not None:
            remove_placement_group(self.group)
            self.group = None


def reserve(demand: Demand, name: str) -> Reservation:
    """Reserves resources for all actors of a role, on as few nodes as possible. Raises ``ResourceError``."""
    if not demand.bundle:
        return Reservation(demand, None, list(range(demand.count)))
    check_free([demand])
    group = placement_group([demand.bundle] * demand.count, strategy="PACK", name=f"{name} {secrets.token_hex(4)}")
    try:
        ray.get(group.ready(), timeout=RESERVE_S)
    except GetTimeoutError as error:
        remove_placement_group(group)
        check_free([demand])
        raise ResourceError(
            f"room for {demand.count} {demand.role}(s) was free and is gone again after {RESERVE_S:g} s: another job "
            "takes resources of this Ray cluster; give the same command again"
        ) from error
    return Reservation(demand, group, by_node(placement_group_table(group)["bundles_to_node_id"]))


def by_node(nodes: Mapping[int, str]) -> list[int]:
    """Bundles in an order in which those of one node follow each other; fuller nodes first."""
    sizes = Counter(nodes.values())
    return sorted(nodes, key=lambda bundle: (-sizes[nodes[bundle]], nodes[bundle], bundle))
