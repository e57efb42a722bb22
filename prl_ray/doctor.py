"""``python -m prl_ray.doctor +cluster=…``: checks a cluster for a configuration; starts nothing that outlives the
check."""

from __future__ import annotations

import prl_ray
from prl_ray import cli

DESCRIPTION = """[GROUP=OPTION] [KEY=VALUE] ...

Joins the Ray cluster of the configuration, checks that its free resources suffice, and checks every node: versions,
shared folders, addresses, the sandbox, memory. The same checks run before every run on a cluster.

examples:
  python -m prl_ray.doctor +cluster=multi_node runs_dir=/shared/runs
  python -m prl_ray.doctor +cluster=multi_node cluster.address=10.0.0.1:6379"""


def main(overrides: list[str]) -> None:
    """Prints one line per node, or raises ``ResourceError`` with the faults."""
    config = prl_ray.compose(overrides)
    from prl_ray.actors.fleet import Fleet
    from prl_ray.actors.placement import free_nodes, roles_of
    from prl_ray.inputs import RunInputs
    from prl_ray.preflight import preflight
    from prl_ray.remote import RemoteFolder

    inputs = RunInputs(config)
    if away := RemoteFolder.of(inputs.folder):
        away.check()
        print(f"{config.runs_dir}: in order; it can be written, read and thinned out")
    fleet = Fleet(config.cluster, config.sandbox, config.run_name, plugins=config.plugins)
    try:
        fleet.open(roles_of(config.stages))
        print("room for all roles; left free: " + "; ".join(map(str, free_nodes())))
        for facts in preflight(config, inputs.store.parent, inputs.base):
            memory = f"{facts.free_memory >> 30} GiB of memory, {facts.free_shared_memory >> 20} MB of /dev/shm free"
            print(f"{facts.host} ({facts.address}): in order; Python {facts.versions['python']}, {memory}")
    finally:
        fleet.close()


if __name__ == "__main__":
    cli.run_composed("prl_ray.doctor", DESCRIPTION, main)
