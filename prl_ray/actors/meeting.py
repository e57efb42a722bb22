"""Rendezvous of the ranks of one training group: rank 0 publishes its address, the others ask for it."""

from __future__ import annotations

import asyncio
import os
import socket
from dataclasses import dataclass

import psutil
import ray

from prl_ray.actors.handles import Handle, ask, get
from prl_ray.errors import ResourceError

INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME")


class Meeting:
    """A small actor, one for each start of a group; it lives as long as the group holds a handle to it."""

    def __init__(self) -> None:
        self._place: tuple[str, int] | None = None
        self._published = asyncio.Event()

    async def open(self, address: str, port: int) -> None:
        """Publishes the address at which rank 0 listens."""
        self._place = (address, port)
        self._published.set()

    async def place(self) -> tuple[str, int]:
        """Rank 0's address and port; waits until they are published."""
        await self._published.wait()
        assert self._place is not None
        return self._place


@dataclass(frozen=True, slots=True)
class RankInfo:
    """One process of a training group."""

    rank: int = 0
    world: int = 1
    meeting: Handle[Meeting] | None = None
    """The actor that holds rank 0's address; None for a group of one."""
    patience_s: float = 300.0
    """Seconds that rank 0 may take to publish it."""


def meet(info: RankInfo) -> tuple[str, int]:
    """Rank 0's address and port, the same on every rank of the group; binds the group's traffic to the interface that
    holds this node's address."""
    if info.meeting is None:
        return "127.0.0.1", free_port()
    own = str(ray.util.get_node_ip_address())
    # gloo would take the interface that the host name stands for: on Debian 127.0.1.1, which no other node reaches
    if not all(name in os.environ for name in INTERFACES):
        interface = interface_of(own)
        for name in INTERFACES:
            os.environ.setdefault(name, interface)
    if info.rank == 0:
        place = (own, free_port())
        get(ask(info.meeting, Meeting.open, *place), timeout_s=info.patience_s)
        return place
    return get(ask(info.meeting, Meeting.place), timeout_s=info.patience_s)


def interface_of(address: str) -> str:
    """The network interface of this host that holds an IP address.

    Raises ``ResourceError`` where none does.
    """
    found = psutil.net_if_addrs()
    for name, addresses in found.items():
        if any(a.address.split("%")[0] == address for a in addresses):
            return str(name)
    held = ", ".join(f"{name} {a.address}" for name, all_ in found.items() for a in all_ if a.family == socket.AF_INET)
    raise ResourceError(
        f"node {socket.gethostname()}: Ray knows it as {address}, which none of its interfaces holds ({held}); "
        "start Ray there with --node-ip-address, or set GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME in cluster.env"
    )


def free_port() -> int:
    """A TCP port that nothing listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
