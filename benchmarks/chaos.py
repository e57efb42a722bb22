"""A run of many small steps under random faults against the same run undisturbed: writes ``chaos.json``.

Three hosts are network namespaces of this machine (``_hosts.py``, needs root). ``python -m prl_ray.train`` runs on the
first; from outside, actors and hosts are killed, processes are frozen and a link is cut, each at a random moment of a
step drawn in advance, and once the run has finished a step after the fault before. The run has to go on by itself.
Interrupted, the same command goes on where it was.

``python benchmarks/chaos.py`` or, for a first impression, ``python benchmarks/chaos.py --steps 100 --faults 20``
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._chaos_faults import KINDS, Fault, Injector, schedule
from benchmarks._chaos_verdict import Compared, compared
from benchmarks._host_faults import AGENTS, HostFaults
from benchmarks._hosts import Hosts, hosts_on_this_machine, missing, shared_environment
from benchmarks._memory_watch import MemoryWatch, largest
from benchmarks._results import ROOT, write_result
from prl_ray.tracking.metrics_file import read_records

PROMPTS, SAMPLES = 4, 2
HOSTS = {"head": 2, "w1": 4, "w2": 4}
"""CPUs that Ray is told. The learner's rank fits on a worker only, and the other worker has room for it."""
LAYOUT = [
    "+cluster=multi_node",
    *(f"cluster.{role}_gpus=0" for role in ("generator", "scorer", "learner")),
    "cluster.generators=1",
    "cluster.generator_cpus=1",
    "cluster.scorers=1",
    "cluster.scorer_cpus=0.25",
    "cluster.learners=1",
    "cluster.learner_cpus=2.25",
    "cluster.verifiers=2",
    "cluster.verifier_cpus=0.1",
    "cluster.max_verifiers=0",
    "cluster.threads=1",
    "cluster.learner_restarts=1000",
    "cluster.start_timeout_s=900",
    "cluster.request_timeout_s=900",
]
WORK = [
    "+experiment=smoke",
    "stages=[label,sft,prm,ppo]",
    "tracking=off",
    "model.dtype=float32",
    "model.max_response_tokens=24",
    "problems.max_difficulty=2",
    "sandbox.wall_s=20",
    f"loop.prompts_per_step={PROMPTS}",
    f"loop.samples_per_prompt={SAMPLES}",
    "loop.validate_every=0",
    "loop.checkpoint_every=5",
    "prm.rollouts=0",
]
READ_EVERY_S = 1.0
GRACE_S = 20.0
"""After the driver's end, for its actors to end."""


class Seen(TypedDict):
    """What was seen of a run from outside."""

    minutes_since_resumed: float
    """Of the command that brought it to its end."""
    orphans: list[str]
    """Command lines of processes that it left behind."""
    memory: list[dict[str, float | str]]
    """``MemoryWatch.growth``."""


@dataclass
class Watched:
    """One run, as it is seen from outside."""

    name: str
    runs: Path
    overrides: list[str]
    steps: int
    memory: MemoryWatch = field(default_factory=MemoryWatch)

    @property
    def folder(self) -> Path:
        """The run's folder."""
        return self.runs / self.name

    @property
    def seen(self) -> Path:
        """What was seen of the run, once it has ended."""
        return self.runs / "seen.json"

    def found(self) -> Seen:
        """What ``follow`` wrote."""
        seen: Seen = json.loads(self.seen.read_text())
        return seen

    def step(self) -> int:
        """The last PPO step whose row was written; -1 before the first."""
        rows = (r.step for r in read_records(self.folder / "metrics.jsonl") if r.stage == "ppo")
        return max(rows, default=-1)

    def follow(self, hosts: Hosts, machine: HostFaults, injector: Injector | None, deadline: float) -> bool:
        """Runs the recipe to its end, or until the deadline, after which the same call resumes it. Whether it ended.

        Raises ``SystemExit`` where the run fails.
        """
        if self.seen.is_file():
            return True
        log, begin = self.runs / f"{self.name}.log", time.monotonic()
        command = [sys.executable, "-m", "prl_ray.train", *self.overrides, f"name={self.name}", f"runs_dir={self.runs}"]
        run = hosts.head.start(command, log)
        while run.poll() is None:
            if time.monotonic() > deadline:
                hosts.head.end(run)
                run.wait(120)
                return False
            self._look(machine, injector)
            time.sleep(READ_EVERY_S)
        minutes = (time.monotonic() - begin) / 60
        if run.returncode:
            raise SystemExit(f"the run {self.name} failed ({run.returncode}); the end of {log}:\n{_end_of(log)}")
        if injector is not None:
            injector.join()
        seen: Seen = {
            "minutes_since_resumed": minutes,
            "orphans": _left_over(machine),
            "memory": self.memory.growth(self.steps),
        }
        self.seen.write_text(json.dumps(seen))
        return True

    def _look(self, machine: HostFaults, injector: Injector | None) -> None:
        step = self.step()
        if step >= 0:
            named = [(p.role or _program(p.title), p.pid) for p in machine.processes() if p.role not in AGENTS[1:]]
            self.memory.read(step, [(name, pid) for name, pid in named if name])
        if injector is not None:
            injector.look(step)


def _program(title: str) -> str:
    """What a process that is no actor is called: the driver, or one of Ray's services; empty for others."""
    if "prl_ray.train" in title:
        return "driver"
    return next((word for word in ("raylet", "gcs_server") if word in title.split(" ")[0]), "")


def _left_over(machine: HostFaults) -> list[str]:
    """Processes of the run that are still there, when it has had time to end."""
    deadline = time.monotonic() + GRACE_S
    while True:
        left = [p.title for p in machine.processes() if p.title and not p.of_ray_itself]
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(1.0)


def _end_of(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace")[-4000:]


@contextmanager
def three_hosts(folder: Path) -> Iterator[tuple[Hosts, HostFaults]]:
    """The hosts with Ray on each."""
    environment = shared_environment(folder)
    with hosts_on_this_machine() as hosts:
        for name, cpus in HOSTS.items():
            hosts.start_ray(hosts.add(name, environment, debian=name != "head"), cpus=cpus)
        yield hosts, HostFaults(hosts)


def measured(folder: Path, steps: int, faults: list[Fault], deadline: float) -> tuple[Watched, Watched] | None:
    """Both runs, the undisturbed one first; None where the time is over before both have ended."""
    overrides = [*LAYOUT, *WORK, f"loop.steps={steps}"]
    calm, chaos = (Watched(name, folder / name, overrides, steps) for name in ("calm", "chaos"))
    for run in (calm, chaos):
        run.runs.mkdir(parents=True, exist_ok=True)
    if calm.seen.is_file() and chaos.seen.is_file():
        return calm, chaos  # only the comparison is made anew
    with three_hosts(folder) as (hosts, machine):
        if not calm.follow(hosts, machine, None, deadline):
            return None
        _share_earlier_stages(calm.runs, chaos.runs)
        injector = Injector(hosts, machine, faults, folder / "faults.jsonl")
        if not chaos.follow(hosts, machine, injector, deadline):
            return None
    return calm, chaos


def _share_earlier_stages(source: Path, target: Path) -> None:
    """Copies the artifacts of the stages before PPO, so that both runs start from the same models."""
    for made in sorted((source / "artifacts").iterdir()):
        if not made.name.startswith(("ppo-", ".")) and not (target / "artifacts" / made.name).exists():
            shutil.copytree(made, target / "artifacts" / made.name, symlinks=True)


def headline(compared: Compared, calm: Seen, chaos: Seen, steps: int, hit: int) -> dict[str, float]:
    """The figures that are quoted."""
    return {
        "steps": steps,
        "faults": hit,
        "final_equal": int(compared.equal),
        "verdicts_lost": compared.lost,
        "verdicts_twice": compared.twice,
        "orphans": len(chaos["orphans"]),
        "rss_growth_mb_per_100_steps": largest([*calm["memory"], *chaos["memory"]], steps),
    }


def by_kind(done: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """How often each fault was made, and the seconds until the run had finished another step."""
    rows = []
    for kind in KINDS:
        seconds = [row["recover_s"] for row in done if row["kind"] == kind and row["recover_s"] is not None]
        if seconds:
            row = {"kind": kind, "count": len(seconds)}
            rows.append(row | {"recover_median_s": statistics.median(seconds), "recover_max_s": max(seconds)})
    return rows


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=120.0, help="then stop; the same command goes on")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "benchmarks")
    parser.add_argument("--machine", default="idle", help="what else ran on it, for the result file")
    options = parser.parse_args()
    if reason := missing():
        raise SystemExit(f"chaos.json cannot be measured here: {reason}")
    folder = options.folder.resolve() / f"chaos-{options.steps}-{options.faults}-{options.seed}"
    faults = schedule(options.steps, options.faults, options.seed)
    found = measured(folder, options.steps, faults, time.monotonic() + 60 * options.minutes)
    if found is None:
        raise SystemExit(f"{options.minutes:g} minutes are over; the same command goes on ({folder})")
    calm, chaos = found
    seen = {run.name: run.found() for run in found}
    done = [json.loads(line) for line in (folder / "faults.jsonl").read_text().splitlines()]
    result = compared(calm.folder, chaos.folder, options.steps, PROMPTS * SAMPLES)
    config = {
        "hosts": HOSTS,
        "layout": LAYOUT,
        "work": WORK,
        "weights_of_kinds": KINDS,
        "machine": options.machine,
        "compared": result.facts,
        "seen": seen,
    }
    figures = headline(result, seen["calm"], seen["chaos"], options.steps, len(done))
    print(write_result("chaos", figures, config, by_kind(done)))


if __name__ == "__main__":
    try:
        main()
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(error.cmd)}: {error.stderr}") from error
