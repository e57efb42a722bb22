"""Generators that come and go between steps, as ``python -m prl_ray.scale generators=N`` asks.

The command and the run meet in the key-value store of Ray's head, where each has one key: the run says how many
generators it has and what one needs, the command how many there should be. A new generator starts while the run goes
on and samples from the first step that finds it ready, with the weights that the others serve.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import ray
from ray.exceptions import RayError
from ray.experimental.internal_kv import _internal_kv_del, _internal_kv_get, _internal_kv_put

from prl_ray.actors.engines import Engines
from prl_ray.actors.generator import Generator
from prl_ray.actors.handles import Handle, Ref, ask
from prl_ray.actors.placement import Demand, Reservation, check_fits, free_nodes, reserve
from prl_ray.actors.places import Places
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.actors.waiting import wait
from prl_ray.errors import PrlRayError, ResourceError

log = logging.getLogger("prl_ray")

_SPACE = b"prl_ray"


@dataclass(frozen=True, slots=True)
class Published:
    """The state of a run's generators, as the run publishes it."""

    generators: Demand
    """How many it has, and the resources of each."""
    settled_by: str = ""
    """The weight transport that allows no other number; empty where the number may change."""


def publish(run: str, generators: Demand, settled_by: str = "") -> None:
    """Reports the run's generators."""
    _put(f"{run}/generators", json.dumps(asdict(Published(generators, settled_by))))


def published(run: str) -> Published | None:
    """The state that ``publish`` stored; None where no such run has generators."""
    if not (found := _get(f"{run}/generators")):
        return None
    said = json.loads(found)
    return Published(Demand(**said["generators"]), said["settled_by"])


def wish(run: str, count: int, later: bool = False) -> int:
    """Asks a run for so many generators from its next step on; how many it has now.

    Raises ``ResourceError`` where there is no such run, where its weight transport allows no other number, or where
    there is no room and the missing ones may not start ``later``.
    """
    found = published(run)
    if found is None:
        raise ResourceError(f"no run '{run}' with generators was found on this Ray cluster")
    have = found.generators
    if found.settled_by and count != have.count:
        raise ResourceError(
            f"generators={count}: cluster.weights={found.settled_by} settles the number of generators when the run "
            f"starts, at {have.count}. End the run and give its command again with cluster.generators={count}: it "
            "resumes from the newest checkpoint. Or run it with cluster.weights=object_store"
        )
    if count > have.count and not later:
        check_fits([replace(have, count=count - have.count)], free_nodes())
    _put(f"{run}/wish", str(count))
    return have.count


def forget(run: str) -> None:
    """The run has ended."""
    for key in ("generators", "wish"):
        _internal_kv_del(f"{run}/{key}".encode(), namespace=_SPACE)


@dataclass
class Elastic:
    """The generators of one run beyond those that its configuration asks for, or fewer of those."""

    engines: Engines
    places: Places
    setup: GeneratorSetup
    limit_s: float
    say: Callable[[str], None] = print
    _held: dict[Handle[Generator], Reservation] = field(default_factory=dict)
    """Places of those that were started here. Those of the first ones are held until the run ends."""
    _coming: dict[Handle[Generator], Ref[str]] = field(default_factory=dict)
    """Those that are not ready yet."""
    _refused: str = ""
    """The last shortage that was reported."""

    def __post_init__(self) -> None:
        self.run, self.one = self.places.run_name, self.places.one_of("generator")
        transport = self.setup.transport
        self.settled_by = transport.name if transport.open().settles_engines else ""

    def adjust(self) -> None:
        """Between two rollouts: adds generators that are ready, and starts or ends generators until the wish is met."""
        before = len(self.engines.actors)
        self._take_in()
        if found := _get(f"{self.run}/wish"):
            self._grow(int(found))
            self._shrink(int(found))
        if len(self.engines.actors) != before:
            self.say(f"generators: {before} -> {len(self.engines.actors)}")
        publish(self.run, replace(self.one, count=len(self.engines.actors)), self.settled_by)

    def close(self) -> None:
        """Ends those that are not ready yet, and gives the resources back. Others are ended by their owner."""
        for generator in self._coming:
            ray.kill(generator)
        for place in self._held.values():
            place.release()
        self._coming, self._held = {}, {}
        forget(self.run)

    def _take_in(self) -> None:
        for generator, ready in list(self._coming.items()):
            if not ray.wait([ready], timeout=0)[0]:
                continue
            del self._coming[generator]
            try:
                wait(ready, "a generator to start", self.limit_s)
                self.engines.actors.append(generator)  # before it loads: a push meanwhile reaches it too
                self.engines.load_again([generator])
            except (RayError, PrlRayError) as error:  # the run goes on with those that it has
                log.warning("a generator could not start and is given up: %s", error)
                if generator in self.engines.actors:
                    self.engines.actors.remove(generator)
                self._end(generator)
                _put(f"{self.run}/wish", str(len(self.engines.actors)))

    def _grow(self, wanted: int) -> None:
        while len(self.engines.actors) + len(self._coming) < wanted:
            try:
                check_fits([self.one], free_nodes())  # `reserve` alone would wait for room
                place = reserve(self.one, f"a generator of {self.run}")
            except ResourceError as error:
                if str(error) != self._refused:
                    self._refused = str(error)
                    log.warning("generators=%d waits for room: %s", wanted, error)
                return
            (generator,) = self.places.fill_place(Generator, place, self.setup, **self.setup.actor_options)
            self._held[generator] = place
            self._coming[generator] = ask(generator, Generator.ready)
        self._refused = ""

    def _shrink(self, wanted: int) -> None:
        while len(self.engines.actors) + len(self._coming) > max(1, wanted):
            generator = self._coming.popitem()[0] if self._coming else self.engines.actors.pop()
            self._end(generator)

    def _end(self, generator: Handle[Generator]) -> None:
        ray.kill(generator)
        if place := self._held.pop(generator, None):
            place.release()


def _put(key: str, value: str) -> None:
    _internal_kv_put(key.encode(), value.encode(), namespace=_SPACE)


def _get(key: str) -> str:
    found: Any = _internal_kv_get(key.encode(), namespace=_SPACE)
    return found.decode() if found else ""
