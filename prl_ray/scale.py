"""``python -m prl_ray.scale run=NAME verifiers=64``: changes the number of verifiers during a run."""

from __future__ import annotations

import re

from prl_ray import cli
from prl_ray.config import ClusterConfig
from prl_ray.errors import ConfigError, ResourceError

ARGUMENTS = "run=NAME verifiers=N [address=auto] [--wait]"
DESCRIPTION = f"""{ARGUMENTS}

Changes the number of sandbox workers of a run on a Ray cluster that is running. A size that the cluster has no room for
is refused, with the largest that fits; with --wait the missing workers start by themselves when nodes join."""
ANSWER_S = 60.0


def main(arguments: list[str]) -> None:
    """Finds the run's pool and resizes it."""
    later = "--wait" in arguments
    given = dict(a.lstrip("+").split("=", 1) for a in arguments if "=" in a)
    unknown = {a.lstrip("+").split("=")[0] for a in arguments} - {"run", "verifiers", "address", "--wait"}
    if unknown or not {"run", "verifiers"} <= set(given) or not re.fullmatch(r"[1-9]\d*", given["verifiers"]):
        raise ConfigError(f"wrong use; python -m prl_ray.scale {ARGUMENTS}")
    import ray

    from prl_ray.actors.handles import Handle, ask
    from prl_ray.actors.joining import start_ray
    from prl_ray.actors.verifier_pool import VerifierPool
    from prl_ray.actors.waiting import wait

    start_ray(ClusterConfig(address=given.get("address", "auto")))
    try:
        pool: Handle[VerifierPool] = ray.get_actor(f"verifiers-{given['run']}", namespace="prl_ray")
    except ValueError as error:
        raise ResourceError(f"no run '{given['run']}' with verifiers was found on this Ray cluster") from error
    size = int(given["verifiers"])
    before = wait(ask(pool, VerifierPool.resize, size, later), "the verifiers to be resized", ANSWER_S)
    print(f"verifiers of {given['run']}: {before} -> {size}")


if __name__ == "__main__":
    cli.run("prl_ray.scale", DESCRIPTION, main)
