"""``python -m prl_ray.scale run=NAME verifiers=64``: changes the number of verifiers or generators during a run."""

from __future__ import annotations

import re

from prl_ray import cli
from prl_ray.config import ClusterConfig
from prl_ray.errors import ConfigError, ResourceError

ARGUMENTS = "run=NAME verifiers=N|generators=N [address=auto] [--wait]"
DESCRIPTION = f"""{ARGUMENTS}

Changes the number of sandbox workers or generators of a run while it runs on a Ray cluster. Verifiers follow
within seconds; generators start while the run continues and sample from the first step at which they are ready. A size
for which the cluster has no room is refused, with the largest size that fits; with --wait the missing actors start when
there is room."""
ANSWER_S = 60.0
ROLES = ("verifiers", "generators")


def main(arguments: list[str]) -> None:
    """Finds the run and resizes its roles."""
    later = "--wait" in arguments
    given = dict(a.lstrip("+").split("=", 1) for a in arguments if "=" in a)
    unknown = {a.lstrip("+").split("=")[0] for a in arguments} - {"run", *ROLES, "address", "--wait"}
    sizes = {role: given[role] for role in ROLES if role in given}
    if unknown or "run" not in given or not sizes or not all(re.fullmatch(r"[1-9]\d*", n) for n in sizes.values()):
        raise ConfigError(f"wrong usage; python -m prl_ray.scale {ARGUMENTS}")
    from prl_ray.actors.joining import start_ray

    start_ray(ClusterConfig(address=given.get("address", "auto"), ship_code=False))
    for role, size in sizes.items():
        before = (_verifiers if role == "verifiers" else _generators)(given["run"], int(size), later)
        print(f"{role} of {given['run']}: {before} -> {size}")


def _verifiers(run: str, size: int, later: bool) -> int:
    """Resizes the pool; returns its previous size."""
    import ray

    from prl_ray.actors.handles import Handle, ask
    from prl_ray.actors.verifier_pool import VerifierPool
    from prl_ray.actors.waiting import wait

    try:
        pool: Handle[VerifierPool] = ray.get_actor(f"verifiers-{run}", namespace="prl_ray")
    except ValueError as error:
        raise ResourceError(f"no run '{run}' with verifiers was found on this Ray cluster") from error
    return wait(ask(pool, VerifierPool.resize, size, later), "the verifiers to be resized", ANSWER_S)


def _generators(run: str, size: int, later: bool) -> int:
    """Asks the run for ``size`` generators; returns its current number."""
    from prl_ray.actors.elastic import wish

    return wish(run, size, later)


if __name__ == "__main__":
    cli.run("prl_ray.scale", DESCRIPTION, main)
