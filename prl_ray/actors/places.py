"""Where the actors of a run are started: places that are reserved role by role, and actors put into them."""

from __future__ import annotations

import logging
import os
import secrets
import time
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, TypeVar

import ray

from prl_ray.actors.handles import Handle
from prl_ray.actors.meeting import Meeting, RankInfo
from prl_ray.actors.placement import SETTLE_S, Demand, Reservation, check_free, demands, on_this_node, reserve
from prl_ray.actors.roles import threads_of
from prl_ray.config import ClusterConfig
from prl_ray.errors import ResourceError

log = logging.getLogger("prl_ray")

A = TypeVar("A")


@dataclass
class Places:
    """The reserved places of a run, by role, held until ``release``."""

    cluster: ClusterConfig
    run_name: str
    _reserved: dict[str, Reservation] = field(default_factory=dict)
    _started: Counter[str] = field(default_factory=Counter)
    """Actors by role, for their names."""
    _token: str = field(default_factory=lambda: secrets.token_hex(2))
    """Ray frees the names of actors that were ended only a moment later."""

    def reserve(self, roles: Collection[str], *, verifiers: bool) -> None:
        """Placement groups of the roles that run a model and have none yet. With ``verifiers``, room for those is
        looked for and not reserved, since they come and go. Raises ``ResourceError``."""
        wanted = [d for d in demands(self.cluster) if d.role in roles and d.role not in self._reserved]
        check_free([d for d in wanted if d.role != "verifier" or verifiers])
        for demand in wanted:
            if demand.role != "verifier":
                self._reserved[demand.role] = reserve(demand, f"{demand.role}s of {self.run_name}")

    def reserve_anew(self, role: str, timeout_s: float) -> None:
        """Gives a role's places back and reserves others, on nodes that live. Waits for room: a node that was lost may
        come back, or another join. Raises ``ResourceError`` where none does."""
        self._reserved.pop(role).release()
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                return self.reserve([role], verifiers=False)
            except ResourceError as error:
                if time.monotonic() > deadline:
                    raise
                log.warning("waiting for room for the %ss: %s", role, error)
                time.sleep(SETTLE_S)

    def one_of(self, role: str) -> Demand:
        """Resources of one actor of a role."""
        return next(Demand(d.role, 1, d.cpus, d.gpus) for d in demands(self.cluster) if d.role == role)

    def release(self) -> None:
        """Gives all of them back."""
        for reservation in self._reserved.values():
            reservation.release()
        self._reserved = {}

    def fill(self, cls: type[A], role: str, *args: object, **options: Any) -> list[Handle[A]]:
        """One actor in each place that is reserved for the role."""
        self.reserve([role], verifiers=False)
        return self.fill_place(cls, self._reserved[role], *args, **options)

    def fill_place(self, cls: type[A], place: Reservation, *args: object, **options: Any) -> list[Handle[A]]:
        """One actor in each bundle of a reservation."""
        actor = self._remote(cls, place.demand, **options)
        return [self._named(actor, place, i).remote(*args) for i in range(place.demand.count)]

    def ranks(self, cls: type[A], *args: object) -> list[Handle[A]]:
        """The ranks of a training group in the learners' places."""
        self.reserve(["learner"], verifiers=False)
        place = self._reserved["learner"]
        world = place.demand.count
        meeting: Handle[Meeting] | None = None
        if world > 1:
            meeting = ray.remote(num_cpus=0)(Meeting).options(scheduling_strategy=on_this_node()).remote()
        # A rank that dies takes the group down, which is started anew from its newest checkpoint.
        actor = self._remote(cls, place.demand, max_restarts=0)
        infos = [RankInfo(rank, world, meeting, self.cluster.start_timeout_s) for rank in range(world)]
        return [self._named(actor, place, info.rank).remote(info, *args) for info in infos]

    def _named(self, actor: Any, place: Reservation, number: int) -> Any:
        """An actor class in its place, with a name that Ray's dashboard shows."""
        role = place.demand.role
        self._started[role] += 1
        name = f"{self.run_name}/{role}-{self._started[role]}-{self._token}"
        return actor.options(name=name, scheduling_strategy=place.strategy(number))

    def _remote(self, cls: type, demand: Demand, **options: Any) -> Any:
        """A Ray actor class of a role that runs a model."""
        threads = str(self.cluster.threads or threads_of(demand, self.cluster.address is None, os.cpu_count() or 1))
        environment = {"env_vars": {"OMP_NUM_THREADS": threads}}
        return ray.remote(num_cpus=demand.cpus, num_gpus=demand.gpus, runtime_env=environment, **options)(cls)
