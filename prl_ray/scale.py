"""``python -m prl_ray.scale run=NAME verifiers=64``: more or fewer verifiers while a run goes on."""

from __future__ import annotations

import re

from prl_ray import cli
from prl_ray.errors import ConfigError, ResourceError

ARGUMENTS = "run=NAME verifiers=N [address=auto]"
DESCRIPTION = f"{ARGUMENTS}\n\nChanges the number of sandbox workers of a run on a Ray cluster that is running."


def main(arguments: list[str]) -> None:
    """Finds the run's pool and resizes it."""
    given = dict(a.lstrip("+").split("=", 1) for a in arguments if "=" in a)
    unknown = set(given) - {"run", "verifiers", "address"}
    if unknown or not {"run", "verifiers"} <= set(given) or not re.fullmatch(r"[1-9]\d*", given["verifiers"]):
        raise ConfigError(f"wrong use; python -m prl_ray.scale {ARGUMENTS}")
    import ray

    try:
        ray.init(address=given.get("address", "auto"), logging_level="ERROR", log_to_driver=False, namespace="prl_ray")
        pool = ray.get_actor(f"verifiers-{given['run']}", namespace="prl_ray")
    except (ConnectionError, ValueError) as error:
        raise ResourceError(
            f"no run '{given['run']}' with verifiers was found on this Ray cluster ({error})"
        ) from error
    before = ray.get(pool.resize.remote(int(given["verifiers"])))
    print(f"verifiers of {given['run']}: {before} -> {given['verifiers']}")


if __name__ == "__main__":
    cli.run("prl_ray.scale", DESCRIPTION, main)
