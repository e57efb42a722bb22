"""What ``benchmarks/cluster.py`` runs on the first of its hosts: PPO steps, and faults while they go on.

Writes one JSON object: seconds of each phase of the start, of undisturbed steps, and of steps in which something was
killed, with what the run counted as lost.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from benchmarks._actors import Bench, bench
from benchmarks._host_faults import AskedFaults
from prl_ray.actors.handles import ask
from prl_ray.actors.learner import Learner
from prl_ray.actors.verifier_pool import VerifierPool
from prl_ray.actors.waiting import wait
from prl_ray.errors import LearnerLostError
from prl_ray.loop import Loop
from prl_ray.stages.ppo_actors import StartModels, learner_setup

SETTLE_S = 0.5
"""Into a step, before something is killed: sampling has begun."""
VERIFIER_S = 15.0
"""For which programs are verified, to count the verdicts a second."""
CHUNK, WAITING = 8, 24
"""Programs of a request, and requests that wait at any time."""


def main() -> None:
    given = json.loads(sys.argv[1])
    machine = AskedFaults()
    begin = time.monotonic()
    with bench(given["overrides"]) as b:
        joined = time.monotonic() - begin
        loop = b.start_loop(b.models(trained=False))
        started = time.monotonic() - begin
        first = _timed(lambda: loop.step(0))  # loads what is loaded once
        steps = [_timed(partial(loop.step, n)) for n in range(1, 1 + given["steps"])]
        result = {
            "join_s": joined,
            "actors_s": started - joined,
            "first_step_s": first,
            "steps_s": steps,
            "verdicts_per_second": verdicts_per_second(b),
        }
        if given["faults"]:
            result["recover_s"] = _recoveries(
                b, loop, machine, given["hosts"], 1 + given["steps"], statistics.median(steps)
            )
            result["lost"] = dict(b.fleet.lost)
        Path(given["out"]).write_text(json.dumps(result))


def _recoveries(
    b: Bench, loop: Loop, machine: AskedFaults, hosts: list[str], number: int, usual: float
) -> dict[str, float]:
    """Seconds that a step took longer because of each fault."""
    roles = {"verifier": "Verifier", "pool": "VerifierPool", "scorer": "Scorer", "generator": "Generator"}
    roles["learner"] = "Learner"
    faults: dict[str, Callable[[], object]] = {name: partial(machine.kill, role) for name, role in roles.items()}
    here = machine.hosts_with("VerifierPool")
    without = sorted(set(hosts) - machine.hosts_with("Learner") - here)
    if without:
        faults["link"] = lambda: machine.cut(without[0])
    faults["host_with_a_rank"] = lambda: machine.kill_host(min(machine.hosts_with("Learner") - here))
    longer = {}
    for name, fault in faults.items():
        seconds = _timed(partial(_disturbed, b, loop, number, fault))
        longer[name] = max(0.0, seconds - usual)
        print(f"{name}: {seconds:.1f} s, usually {usual:.1f} s", flush=True)
        number += 1
    return longer


def _disturbed(b: Bench, loop: Loop, number: int, fault: Callable[[], object]) -> None:
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


def verdicts_per_second(b: Bench) -> float:
    """Programs that the verifiers judge in a second, a reference solution each, when they are never idle."""
    problems = [p for p in b.problems if p.references][:CHUNK]
    programs = [(p.references[0], p.tests) for p in problems]
    pool, judged = b.fleet.verifiers, 0
    asked = [ask(pool, VerifierPool.run, programs) for _ in range(WAITING)]
    begin = time.monotonic()
    while time.monotonic() - begin < VERIFIER_S:
        verdicts = wait(asked.pop(0), "verdicts", 300)
        judged += len(verdicts)
        asked.append(ask(pool, VerifierPool.run, programs))
    rate = judged / (time.monotonic() - begin)
    wait(asked, "verdicts", 300)
    return rate


def _timed(work: Callable[[], object]) -> float:
    begin = time.monotonic()
    work()
    return time.monotonic() - begin


if __name__ == "__main__":
    main()
