"""What ended an actor, as an error that a user can act on."""

from __future__ import annotations

import re
from importlib import import_module

from ray.exceptions import GetTimeoutError, RayActorError

from prl_ray.errors import PrlRayError, ResourceError

_LAST = re.compile(r"^((?:prl_ray|sandbox_workers)\.errors)\.(\w+): (.*?)\Z", re.MULTILINE | re.DOTALL)
"""How a traceback ends that one of our own errors ended."""


def failed_to_start(error: RayActorError) -> bool:
    """Whether the actor died of an exception in its ``__init__``, rather than at work."""
    return "raised in its creation task" in str(error)


def start_error(error: RayActorError) -> PrlRayError | None:
    """The error of our own that an actor's ``__init__`` raised, or None.

    Ray keeps only the text of such an error. The sandbox's own errors are given as ``ResourceError``.
    """
    found = _LAST.search(str(error).rstrip()) if failed_to_start(error) else None
    if found is None:
        return None
    module, name, message = found.groups()
    kind = getattr(import_module(module), name, None)
    return kind(message) if isinstance(kind, type) and issubclass(kind, PrlRayError) else ResourceError(message)


def cause_of_death(error: RayActorError | GetTimeoutError) -> str:
    """What ended an actor, or kept it from answering, in a line: Ray tells it between addresses and a traceback."""
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if isinstance(error, RayActorError) and failed_to_start(error):
        return f"its start raised {lines[-1]}"
    return " ".join(lines[:3])
