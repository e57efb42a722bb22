"""Waiting for actors: every wait has a time limit, logs within half a minute what it waits for and which actors on
which nodes have not answered, and names the actor that died."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar, overload

import ray
from ray._private import state  # Ray has no public call for the nodes of actors without a dashboard
from ray.exceptions import (
    ActorUnavailableError,
    GetTimeoutError,
    ObjectStoreFullError,
    OutOfDiskError,
    RayActorError,
    RayError,
    RayTaskError,
)
from ray.experimental import get_object_locations

from prl_ray.actors.faults import cause_of_death, no_room_for_objects, node_of, start_error
from prl_ray.actors.handles import Handle, Ref, actor_id, get
from prl_ray.actors.placement import node_name
from prl_ray.errors import ActorLostError, PrlRayError

log = logging.getLogger("prl_ray")

SAY_AFTER_S = 30.0
"""Seconds between log messages of a wait that takes longer."""
NOTICE_S = 30.0
"""Seconds for Ray to notice that a node is gone, after an actor has lost its connection to it."""
_CONNECTION = re.compile("connection|peer|gloo|nccl|socket|timed out", re.IGNORECASE)
DISCARD_S = 5.0
"""Seconds for a request to a dead actor to fail."""

A = TypeVar("A")
T = TypeVar("T")


Who = Callable[[], str]
"""Names those that have not answered, while a wait goes on; empty if it does not know."""


@overload
def wait(refs: Ref[T], what: str, timeout_s: float, who: Who | None = None) -> T: ...
@overload
def wait(refs: Sequence[Ref[T]], what: str, timeout_s: float, who: Who | None = None) -> list[T]: ...
def wait(refs: Ref[object] | Sequence[Ref[object]], what: str, timeout_s: float, who: Who | None = None) -> object:
    """The values of ``refs``. Raises ``ActorLostError``, which names ``what``, or the actor's own error."""
    patience = Patience(what, timeout_s, refs if isinstance(refs, Sequence) else [refs], who)
    with explained(what):
        while True:
            try:
                return get(refs, timeout_s=patience.slice_s())  # raises as soon as one of the refs holds an error
            except GetTimeoutError as error:
                patience.say_or_give_up(error)


def done(refs: Sequence[Ref[object]], what: str, timeout_s: float) -> None:
    """Waits until every ref holds a value, without bringing large ones to this node. Raises as ``wait`` does."""
    patience = Patience(what, timeout_s, refs)
    while refs and ray.wait(list(refs), num_returns=len(refs), timeout=patience.slice_s(), fetch_local=False)[1]:
        patience.say_or_give_up()
    with explained(what):
        get(_without_place(refs))


def discard(refs: Sequence[Ref[object]]) -> None:
    """Reads the errors among refs that are no longer needed: Ray would print each of them as unhandled."""
    ready, _ = ray.wait(list(refs), num_returns=len(refs), timeout=DISCARD_S, fetch_local=False)
    for ref in _without_place(ready):
        with suppress(RayError):
            get(ref)


def _without_place(refs: Sequence[Ref[object]]) -> list[Ref[object]]:
    """Those of the ready refs that lie in no object store: errors, small values, and values whose node was lost."""
    places = get_object_locations(list(refs)) if refs else {}
    return [ref for ref in refs if not places[ref]["node_ids"]]


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raises Ray's errors as ours, without the traceback of the other process if it adds nothing."""
    try:
        yield
    except RayTaskError as error:
        if isinstance(error.cause, PrlRayError):
            raise error.cause from None
        if isinstance(error.cause, OSError) and error.cause.errno is not None:
            raise _on_node(error.cause, node_of(error)) from None
        if isinstance(error.cause, OutOfDiskError | ObjectStoreFullError):
            raise no_room_for_objects(node_of(error), error.cause) from None
        raise
    except (OutOfDiskError, ObjectStoreFullError) as error:
        raise no_room_for_objects(ray.util.get_node_ip_address(), error) from None
    except RayActorError as error:
        if ours := start_error(error):
            raise ours from None
        raise ActorLostError(f"{what}: the actor died: {cause_of_death(error)}") from error


def _on_node(error: OSError, node: str) -> OSError:
    """The same error, with the node that it happened on: a full disk is one of many."""
    named = [name for name in (error.filename, error.filename2) if name is not None]
    return OSError(error.errno, f"on node {node}: {error.strerror}", *named[:1])


def wait_restarted(
    actors: Sequence[Handle[A]], ready: Callable[[Handle[A]], Ref[str]], what: str, timeout_s: float
) -> None:
    """Waits until actors answer ``ready``, and asks again where Ray is restarting one: such a call fails at once."""
    for actor in actors:
        patience = Patience(what, timeout_s, who=partial(names_of, [actor]))
        while True:
            try:
                get(ready(actor), timeout_s=patience.slice_s())
                break
            except ActorUnavailableError as error:
                patience.give_up_when_over(error)
                time.sleep(0.5)
            except GetTimeoutError as error:
                patience.say_or_give_up(error)
            except RayActorError as error:
                raise ActorLostError(f"waited for {what}: {cause_of_death(error)}") from error


def died_first(actors: Sequence[Handle[A]], ready: Callable[[Handle[A]], Ref[str]], error: Exception) -> bool:
    """Whether an actor reports a lost connection only because another one of the group has died."""
    deadline = time.monotonic() + NOTICE_S
    while _CONNECTION.search(str(error)) and time.monotonic() < deadline:
        for actor in actors:
            try:
                get(ready(actor), timeout_s=1.0)
            except GetTimeoutError:
                continue
            except RayActorError:
                return True
        time.sleep(1.0)
    return False


class Patience:
    """The clock of one wait for ``what``, of which ``refs`` are the parts.

    Without ``who``, or where it does not know, the actors that owe the missing parts are named.
    """

    def __init__(self, what: str, timeout_s: float, refs: Sequence[Ref[object]] = (), who: Who | None = None) -> None:
        self.refs, self.what, self.timeout_s, self.who = list(refs), what, timeout_s, who
        self.begin = time.monotonic()

    def slice_s(self) -> float:
        """Seconds to wait before ``say_or_give_up``."""
        return max(0.0, min(SAY_AFTER_S, self.begin + self.timeout_s - time.monotonic()))

    def say_or_give_up(self, cause: Exception | None = None) -> None:
        """Logs ``what``. Raises ``ActorLostError`` after the time limit."""
        self.give_up_when_over(cause)
        log.warning("still waiting for %s%s after %.0f s", self.what, self._came(), time.monotonic() - self.begin)

    def give_up_when_over(self, cause: Exception | None = None) -> None:
        """Raises ``ActorLostError`` after the time limit."""
        if time.monotonic() - self.begin >= self.timeout_s:
            waited = f"waited {self.timeout_s:g} s for {self.what}{self._came()}"
            raise ActorLostError(f"{waited}; raise cluster.*_timeout_s if it is only slow") from cause

    def _came(self) -> str:
        refs = self.refs
        ready, missing = ray.wait(refs, num_returns=len(refs), timeout=0, fetch_local=False) if refs else ([], [])
        count = f": {len(ready)} of {len(refs)} came" if len(refs) > 1 else ""
        named = (self.who() if self.who else "") or _named(ref.task_id().actor_id().hex() for ref in missing)
        return f"{count} ({named} has not answered)" if named else count


def names_of(actors: Iterable[Handle[A]]) -> str:
    """``Learner on w1 (10.0.0.2), …``."""
    return _named(actor_id(actor) for actor in actors)


def _named(ids: Iterable[str]) -> str:
    """Class and node of actors, each pair once; those that Ray does not know, such as tasks, are left out."""
    hosts = {node["NodeID"]: node_name(node) for node in ray.nodes()}
    rows = [row for each in dict.fromkeys(ids) if (row := state.actors(actor_id=each))]
    named = [f"{row['ActorClassName'].rpartition('.')[2]} on {_place(row, hosts)}" for row in rows]
    return ", ".join(dict.fromkeys(named))


def _place(row: Mapping[str, Any], hosts: Mapping[str, str]) -> str:
    return hosts.get(row["Address"]["NodeID"], "no node yet")
