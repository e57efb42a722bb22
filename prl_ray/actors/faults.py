"""The cause of an actor's death, as an error that a user can act on."""

from __future__ import annotations

import re
from importlib import import_module

from ray.exceptions import (
    ActorUnavailableError,
    GetTimeoutError,
    ObjectFetchTimedOutError,
    ObjectLostError,
    RayActorError,
    RayTaskError,
)

from prl_ray.errors import OutdatedEngineError, PrlRayError, ResourceError

_LAST = re.compile(r"^((?:prl_ray|sandbox_workers)\.errors)\.(\w+): (.*?)\Z", re.MULTILINE | re.DOTALL)
"""Last line of a traceback that ends with one of our own errors."""
_ADDRESS = re.compile(r"\bip=([^,)\s]+)")
_FIELD = re.compile(r"^(class_name|actor_id|pid|name|namespace|ip): (.*)$")
_NOT_BY_ITS_WORK = re.compile(r"node (?:has )?died|node is dead|preempted|running low on memory|owner has died")
"""Phrases of Ray's messages. Its advice on any death mentions the OOM killer, so that phrase alone proves nothing."""


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


def lost_with_its_node(error: RayActorError) -> bool:
    """Whether the actor cannot be reached because of its node, and not because of its own work: the node died, is
    being drained, ran out of memory, or cannot be reached."""
    return isinstance(error, ActorUnavailableError) or bool(_NOT_BY_ITS_WORK.search(str(error)))


def is_loss(error: Exception) -> bool:
    """Whether an answer is missing because an actor or an object was lost, and not by an exception of the call."""
    if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) and error.cause is not error:
        return is_loss(error.cause)
    lost = isinstance(error, RayActorError | ObjectLostError | ObjectFetchTimedOutError | OutdatedEngineError)
    return lost and not (isinstance(error, RayActorError) and failed_to_start(error))


def node_of(error: RayTaskError) -> str:
    """Address of the node on which a task failed. Ray keeps it in the text only."""
    found = _ADDRESS.search(str(error))
    return found[1] if found else "unknown"


def no_room_for_objects(node: str, error: Exception) -> ResourceError:
    """Of a node whose object store is full, and the disk to which Ray would spill the rest."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return ResourceError(
        f"node {node}: Ray has no room for another object ({first}). Its object store is full, and so is the disk of "
        "its session folder, /tmp/ray by default: free some of the disk there, or start Ray on that node with a larger "
        "--object-store-memory, or with --temp-dir on another disk"
    )


def cause_of_death(error: RayActorError | GetTimeoutError) -> str:
    """Why an actor died or does not answer, in one line that names actor and host.

    Ray's own message hides it between addresses and a traceback.
    """
    lines = [line.strip() for line in str(error).strip().splitlines()]
    if isinstance(error, RayActorError) and failed_to_start(error):
        return f"its start raised {lines[-1]}"
    fields = {found[1]: found[2] for line in lines if (found := _FIELD.match(line))}
    said = " ".join([line for line in lines if not _FIELD.match(line)][:3])
    who = f"{fields['class_name']} on node {fields['ip']}: " if {"class_name", "ip"} <= fields.keys() else ""
    return f"{who}{said}"
