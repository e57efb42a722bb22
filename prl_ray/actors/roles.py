"""The common part of all actors of a run: readiness, place, threads."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterable
from typing import Protocol, TypeVar

import ray

from prl_ray.actors.placement import Demand


class Role(Protocol):
    """An actor that reports when it is ready."""

    def ready(self) -> str:
        """One line about the actor; answers when it can work."""
        ...


R = TypeVar("R", bound=Role)


def threads_of(demand: Demand, alone: bool, cores: int) -> int:
    """OpenMP threads of one actor. Ray would give one for each requested CPU.

    On a machine of its own (``alone``) roles take turns, ask for less than they use, and share its cores with the
    actors of the same role that work at the same time. On a cluster each has the CPUs that it asked for.
    """
    sharing = demand.count if demand.role == "learner" else 1
    return max(1, cores // sharing) if alone else max(1, round(demand.cpus))


def here(actor: object) -> str:
    """Host name and address of the node that an actor runs on."""
    return f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"


def counted(places: Iterable[str]) -> str:
    """Names with their counts."""
    return ", ".join(f"{name} × {count}" if count > 1 else name for name, count in sorted(Counter(places).items()))
