"""Faults on the hosts of ``_hosts.py``, made from outside Ray: an actor killed, a host killed, its link cut."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks._hosts import Host, Hosts

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

    hosts: Hosts

    def processes(self, host: str = "") -> list[Process]:
        """All processes of one host, or of all of them."""
        chosen = [h for h in self.hosts.hosts if host in ("", h.name)]
        found = [Process(pid, h.name, title_of(pid)) for h in chosen for pid in h.processes()]
        return [process for process in found if not process.title.startswith("nsenter ")]  # parents of commands

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
        self._named(host).kill()

    def cut(self, host: str) -> None:
        """Takes a host off the network for a while."""
        self.hosts.cut(self._named(host))

    def hosts_with(self, role: str) -> set[str]:
        """The hosts that have an actor of a class."""
        return {process.host for process in self.actors(role)}

    def _named(self, name: str) -> Host:
        return next(host for host in self.hosts.hosts if host.name == name)


class AskedFaults:
    """``HostFaults`` for a program on one of the hosts, which sees no process of the others: it asks, line by line, the
    command that started it."""

    def kill(self, role: str) -> str:
        """As ``HostFaults.kill``."""
        return str(_asked("kill", role))

    def kill_host(self, host: str) -> None:
        """As ``HostFaults.kill_host``."""
        _asked("kill_host", host)

    def cut(self, host: str) -> None:
        """As ``HostFaults.cut``."""
        _asked("cut", host)

    def hosts_with(self, role: str) -> set[str]:
        """As ``HostFaults.hosts_with``."""
        found = _asked("hosts_with", role)
        assert isinstance(found, list)
        return set(found)


FAULT = "fault: "
"""Before a question of ``AskedFaults`` on standard output; the answer is a line of standard input."""


def _asked(method: str, argument: str) -> object:
    print(FAULT + json.dumps([method, argument]), flush=True)
    answer: object = json.loads(sys.stdin.readline())
    return answer


def answer_faults(run: subprocess.Popen[str], machine: HostFaults) -> None:
    """Makes the faults that a program asks for, and prints what else it says, until it ends."""
    assert run.stdin is not None and run.stdout is not None
    for line in run.stdout:
        if not line.startswith(FAULT):
            print(line, end="", flush=True)
            continue
        method, argument = json.loads(line.removeprefix(FAULT))
        found = getattr(machine, method)(argument)
        run.stdin.write(json.dumps(sorted(found) if isinstance(found, set) else found) + "\n")
        run.stdin.flush()
    run.wait()


def title_of(pid: int) -> str:
    """The command line of a process; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""
