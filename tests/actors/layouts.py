"""Replays layouts on fake nodes: reserves the roles of a layout in an order, and prints where each actor would go.

Run as a program of its own, since it starts a Ray cluster of several nodes: ``python layouts.py`` prints one JSON line
for each layout and order.
"""

from __future__ import annotations

import itertools
import json
import time
from typing import TypedDict

import ray
from ray.cluster_utils import Cluster
from ray.util.placement_group import placement_group_table

from prl_ray import compose
from prl_ray.actors.placement import check_free, demands, reserve

NODES = [(48, 8), (48, 8), (48, 8)]
"""CPUs and GPUs of the fake nodes; a layout uses the first ones."""
LAYOUTS: dict[str, tuple[int, list[str]]] = {
    "one node": (1, ["+cluster=single_gpu"]),
    "two nodes": (2, ["+cluster=multi_node", "cluster.generators=4", "cluster.learners=8", "cluster.verifiers=64"]),
    "three nodes": (3, ["+cluster=multi_node", "cluster.generators=6", "cluster.learners=16", "cluster.verifiers=64"]),
}
COUNTS = {
    "one node": {"learner": 1, "generator": 1, "scorer": 1},
    "two nodes": {"learner": 8, "generator": 4, "scorer": 1},
    "three nodes": {"learner": 16, "generator": 6, "scorer": 1},
}
SETTLE_S = 10.0


class Placed(TypedDict):
    """Where the actors of a layout would go."""

    layout: str
    order: list[str]
    """The roles, in the order in which they were placed."""
    nodes: dict[str, list[str]]
    """Role -> the node of each actor; ranks in their order."""


def right(placed: Placed) -> bool:
    """Every actor has a place, and ranks do not alternate between nodes; they are on the fewest nodes where they were
    placed first."""
    ranks = placed["nodes"]["learner"]
    runs = [node for node, _ in itertools.groupby(ranks)]
    fewest = -(-len(ranks) // NODES[0][1])
    return (
        {role: len(nodes) for role, nodes in placed["nodes"].items()} == COUNTS[placed["layout"]]
        and len(runs) == len(set(ranks))
        and (placed["order"][0] != "learner" or len(runs) == fewest)
    )


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": NODES[0][0], "num_gpus": NODES[0][1]})
    ray.init(address=cluster.address, logging_level="ERROR", log_to_driver=False)
    there = 1
    for name, (count, overrides) in LAYOUTS.items():
        for cpus, gpus in NODES[there:count]:
            cluster.add_node(num_cpus=cpus, num_gpus=gpus)
        cluster.wait_for_nodes()
        there = count
        roles = demands(compose(overrides).cluster)
        for order in itertools.permutations([d for d in roles if d.role != "verifier"]):
            check_free(roles)
            held = [reserve(demand, demand.role) for demand in order]
            check_free([d for d in roles if d.role == "verifier"])
            nodes: dict[str, list[str]] = {}
            for reservation in held:
                table = placement_group_table(reservation.group)["bundles_to_node_id"]
                nodes[reservation.demand.role] = [table[bundle] for bundle in reservation.order]
            row: Placed = {"layout": name, "order": [d.role for d in order], "nodes": nodes}
            print(json.dumps(row), flush=True)
            for reservation in held:
                reservation.release()
            deadline = time.monotonic() + SETTLE_S
            while ray.available_resources().get("GPU", 0) < sum(gpus for _, gpus in NODES[:count]):
                assert time.monotonic() < deadline, "what was released is not free"
                time.sleep(0.05)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main()
