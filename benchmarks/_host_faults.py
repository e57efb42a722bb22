"""Faults on the hosts of ``_hosts.py``, made from outside Ray: an actor killed, a host killed, its link cut."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks._hosts import cut_link

SERVICES = (
    "raylet",
    "gcs_server",
    "ray-dashboard",
    "dashboard/",
    "autoscaler",
    "log_monitor",
    "runtime_env",
    "ray.util.client.server",
    "multiprocessing.resource_tracker",
    "multiprocessing.forkserver",
    "ray.scripts.scripts start",
)
"""Words in the command lines of a node's own processes."""
AGENTS = ("", "IDLE", "DashboardAgent", "RuntimeEnvAgent")
"""What Ray's title names, of a node's own processes and of workers that nothing has used yet; empty without one."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of a host."""

    pid: int
    host: str
    title: str
    """Its command line; Ray sets that of an actor to ``ray::Class``, or ``ray::NAME:Class.method`` while it works."""

    @property
    def role(self) -> str:
        """``Learner`` for a Ray actor of that class; empty for other processes."""
        first = self.title.split(" ", 1)[0]
        return first.rsplit(":", 1)[1].split(".")[0] if first.startswith("ray::") else ""

    @property
    def of_ray_itself(self) -> bool:
        """Whether it belongs to a node of Ray and not to a run."""
        return self.role in AGENTS and (bool(self.role) or any(word in self.title for word in SERVICES))


@dataclass(frozen=True)
class HostFaults:
    """The hosts, as one who pulls plugs sees them."""

    spaces: Mapping[str, str]
    """Host name -> network namespace."""
    links: Mapping[str, list[str]]
    """Host name -> words of ``ip`` before ``up`` or ``down``."""

    def processes(self, host: str = "") -> list[Process]:
        """All processes of one host, or of all of them."""
        found = []
        for name, space in self.spaces.items():
            if host in ("", name):
                listed = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=True)
                found += [Process(int(pid), name, title_of(int(pid))) for pid in listed.stdout.split()]
        return found

    def actors(self, role: str, host: str = "") -> list[Process]:
        """The actors of a class."""
        return [process for process in self.processes(host) if process.role == role]

    def kill(self, role: str) -> str:
        """Ends one actor of a class. Returns its host; empty where there is none at the moment."""
        for process in self.actors(role):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
                return process.host
        return ""

    def kill_host(self, host: str) -> None:
        """Ends all processes of a host."""
        for process in self.processes(host):
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)

    def cut(self, host: str) -> None:
        """Takes a host off the network for a while."""
        cut_link(self.links[host])

    def hosts_with(self, role: str) -> set[str]:
        """The hosts that have an actor of a class."""
        return {process.host for process in self.actors(role)}


def title_of(pid: int) -> str:
    """The command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
