"""What ``benchmarks/cluster.py`` runs on the first of its hosts: PPO steps, and faults while they go on.

Writes one JSON object: seconds of each phase of the start, of undisturbed steps, and of steps in which something was
killed, with what the run counted as lost.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks._actors import Bench, bench
from prl_ray.actors.handles import ask
from prl_ray.actors.learner import Learner
from prl_ray.errors import LearnerLostError
from prl_ray.loop import Loop
from prl_ray.stages.ppo_actors import StartModels, learner_setup

SETTLE_S = 0.5
"""Into a step, before something is killed: sampling has begun."""
CUT_S = 20.0


@dataclass
class Machine:
    """The hosts, as the driver reaches into them."""

    spaces: Mapping[str, str]
    """Host name -> network namespace."""
    links: Mapping[str, list[str]]
    """Host name -> words of ``ip`` before ``up`` or ``down``."""

    def processes(self, title: str, host: str = "") -> list[int]:
        """Ids of the processes whose title starts so, on one host or all."""
        found = []
        for name, space in self.spaces.items():
            if host in ("", name):
                listed = subprocess.run(["ip", "netns", "pids", space], capture_output=True, text=True, check=True)
                found += [int(pid) for pid in listed.stdout.split() if _title(int(pid)).startswith(title)]
        return found

    def kill(self, title: str) -> None:
        """Ends one process with such a title."""
        os.kill(self.processes(title)[0], signal.SIGKILL)

    def kill_host(self, host: str) -> None:
        """Ends all processes of a host."""
        for pid in self.processes("", host):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def cut(self, host: str) -> None:
        """Takes a host off the network for ``CUT_S``."""
        subprocess.run([*self.links[host], "down"], check=True)
        time.sleep(CUT_S)
        subprocess.run([*self.links[host], "up"], check=True)

    def host_of(self, title: str, without: str) -> str:
        """A host that has such a process and none of another title."""
        hosts = [h for h in self.spaces if self.processes(title, h) and not self.processes(without, h)]
        return hosts[0] if hosts else ""


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def main() -> None:
    given = json.loads(sys.argv[1])
    machine = Machine(given["spaces"], given["links"])
    begin = time.monotonic()
    with bench(given["overrides"]) as b:
        joined = time.monotonic() - begin
        loop = b.start_loop(b.models(trained=False))
        started = time.monotonic() - begin
        loop.step(0)  # the first step loads what is loaded once
        steps = [_timed(lambda n=n: loop.step(n)) for n in range(1, 1 + given["steps"])]
        result = {"join_s": joined, "actors_s": started - joined, "steps_s": steps}
        if given["faults"]:
            result["recover_s"] = _recoveries(b, loop, machine, 1 + given["steps"], statistics.median(steps))
            result["lost"] = dict(b.fleet.lost)
        Path(given["out"]).write_text(json.dumps(result))


def _recoveries(b: Bench, loop: Loop, machine: Machine, number: int, usual: float) -> dict[str, float]:
    """Seconds that a step took longer because of each fault."""
    verifiers_only = machine.host_of("ray::Verifier.", "ray::Learner")
    faults: dict[str, Callable[[], None]] = {
        "verifier": lambda: machine.kill("ray::Verifier"),
        "pool": lambda: machine.kill("ray::VerifierPool"),
        "scorer": lambda: machine.kill("ray::Scorer"),
        "generator": lambda: machine.kill("ray::Generator"),
        "learner": lambda: machine.kill("ray::Learner"),
    }
    if verifiers_only:
        faults["link"] = lambda: machine.cut(verifiers_only)
    victim = machine.host_of("ray::Learner", "ray::VerifierPool")
    faults["host"] = lambda: machine.kill_host(victim)
    longer = {}
    for name, fault in faults.items():
        seconds = _timed(lambda n=number, fault=fault: _disturbed(b, loop, n, fault))
        longer[name] = max(0.0, seconds - usual)
        print(f"{name}: {seconds:.1f} s, usually {usual:.1f} s", flush=True)
        number += 1
    return longer


def _disturbed(b: Bench, loop: Loop, number: int, fault: Callable[[], None]) -> None:
    """A step in which something is killed. A group that lost a rank starts anew from what it saved before the step."""
    saved = Path(b.config.runs_dir) / f"before-{number}"
    saved.mkdir(parents=True)
    b.fleet.on_learners(lambda rank: ask(rank, Learner.save, saved), "a checkpoint")
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(loop.step, number)
        time.sleep(SETTLE_S)
        fault()
        try:
            running.result()
        except LearnerLostError:
            models = b.models(trained=False)
            setup = learner_setup(b.inputs, StartModels(models.policy, models.prm, None), b.problems[0])
            b.fleet.restart_learners(setup)
            b.fleet.on_learners(lambda rank: ask(rank, Learner.restore, saved), "the checkpoint")
            loop.push_weights()
            loop.step(number)


def _timed(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
