"""The faults of ``chaos.py``: drawn in advance, made one at a time, timed until the run has finished another step."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks._host_faults import HostFaults
from benchmarks._hosts import Host, Hosts

KINDS = {
    "verifier": 8,
    "pool": 6,
    "scorer": 5,
    "generator": 5,
    "learner": 4,
    "host without learners": 2,
    "host with a rank": 2,
    "link": 2,
    "frozen verifier": 1,
    "frozen learner": 1,
}
"""Kinds of faults, and how often each is drawn. Each occurs once before one occurs twice."""
ROLES = {
    "verifier": "Verifier",
    "pool": "VerifierPool",
    "scorer": "Scorer",
    "generator": "Generator",
    "learner": "Learner",
}
LAST = 0.8
"""No fault is drawn after this share of the steps: repairs take time, and all faults have to be made before the end."""
MOMENT_S = 2.0
"""A fault comes at a random moment in the first seconds of its step."""
AWAY_S = 5.0
"""How long a killed host is away."""
FROZEN_S = 30.0
"""How long a frozen process stands still (SIGSTOP), as one does whose machine swaps or whose disk hangs."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is broken, and when."""

    kind: str
    step: int
    """The last finished step before it."""
    delay_s: float


def schedule(steps: int, count: int, seed: int) -> list[Fault]:
    """``count`` faults at different steps; the same for the same arguments.

    Raises ``SystemExit`` where there are fewer steps than faults need.
    """
    last = round(LAST * steps)
    if count >= last:
        raise SystemExit(f"{count} faults need at least {math.ceil((count + 1) / LAST)} steps")
    rng = random.Random(seed)
    kinds = [*KINDS][:count] + rng.choices([*KINDS], [*KINDS.values()], k=max(0, count - len(KINDS)))
    rng.shuffle(kinds)
    at = sorted(rng.sample(range(1, last), count))
    return [Fault(kind, step, rng.uniform(0, MOMENT_S)) for kind, step in zip(kinds, at, strict=True)]


class Injector:
    """Makes each fault when its step has come and the run has finished a step after the one before.

    The repair of a host, a link or a frozen process may take longer than that: actors are killed meanwhile, but no
    second fault of these kinds is made.
    """

    def __init__(self, hosts: Hosts, machine: HostFaults, faults: list[Fault], file: Path) -> None:
        self.hosts, self.machine, self.file = hosts, machine, file
        done = len(file.read_text().splitlines()) if file.exists() else 0
        self.todo = faults[done:]
        self._open: tuple[Fault, str, float] | None = None
        """The fault that was made last, its host and when, until the run has finished a step after it."""
        self._reached: int | None = None
        """The last finished step at the first look after it: steps may have finished between a look and its fault."""
        self._repair: threading.Thread | None = None

    def look(self, step: int) -> None:
        """Called again and again with the last finished step."""
        if self._open is not None:
            fault, host, when = self._open
            if self._reached is None:
                self._reached = step
            # a group that lost a rank goes back to a checkpoint, and has to come by again
            if step <= self._reached:
                return
            self._write(fault, host, time.monotonic() - when)
            self._open = None
        if self.todo and step >= self.todo[0].step and not (self.todo[0].kind not in ROLES and self._repairing):
            self._make(self.todo[0])

    @property
    def _repairing(self) -> bool:
        return self._repair is not None and self._repair.is_alive()

    def join(self) -> None:
        """Waits for the last repair, and notes a fault after which the run ended without another row.

        Raises ``SystemExit`` where the run ended before all faults were made.
        """
        if self._repair:
            self._repair.join()
        if self._open is not None:
            fault, host, _ = self._open
            self._write(fault, host, None)
        if self.todo:
            raise SystemExit(f"the run ended before {len(self.todo)} of the faults could be made; give it more --steps")

    def _make(self, fault: Fault) -> None:
        time.sleep(fault.delay_s)
        when = time.monotonic()
        host = self._kill(fault.kind)
        if not host:
            return  # the role has no process at the moment: tried again at the next look
        self.todo.pop(0)
        self._open, self._reached = (fault, host, when), None

    def _kill(self, kind: str) -> str:
        """Makes the fault. Returns the host it happened on; empty where it cannot be made at the moment."""
        if kind in ROLES:
            return self.machine.kill(ROLES[kind])
        if kind.startswith("frozen "):
            return self._freeze(ROLES[kind.removeprefix("frozen ")])
        ranks = self.machine.hosts_with("Learner")
        candidates = [h for h in self.hosts.hosts[1:] if (h.name in ranks) == (kind == "host with a rank")]
        if kind == "link":
            candidates = self.hosts.hosts[1:]
        if not candidates or not ranks:
            return ""
        host = candidates[0] if kind != "link" else candidates[-1]
        self._later(lambda: self.machine.cut(host.name) if kind == "link" else self._power_cycle(host))
        return host.name

    def _freeze(self, role: str) -> str:
        found = self.machine.actors(role)
        if not found:
            return ""
        os.kill(found[0].pid, signal.SIGSTOP)
        self._later(lambda: self._thaw(found[0].pid))
        return found[0].host

    def _thaw(self, pid: int) -> None:
        time.sleep(FROZEN_S)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _power_cycle(self, host: Host) -> None:
        host.kill()
        time.sleep(AWAY_S)
        self.hosts.restart_ray(host)

    def _later(self, work: Callable[[], None]) -> None:
        self._repair = threading.Thread(target=work, daemon=True)
        self._repair.start()

    def _write(self, fault: Fault, host: str, seconds: float | None) -> None:
        row = {**asdict(fault), "host": host, "recover_s": seconds}
        with self.file.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        took = "the run ended with it" if seconds is None else f"{seconds:.0f} s until the next step"
        print(f"step {fault.step}: {fault.kind} on {host}: {took}", flush=True)
