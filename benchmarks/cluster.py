"""One, two and three hosts at the same work, and what each fault costs on three: writes ``cluster.json``.

The hosts are network namespaces of this machine (``_hosts.py``): they share its cores, so that the ratio of the step
shows what distribution costs, not what it gains. Needs root. Interrupted, the same command goes on with the number of
hosts that it had come to. ``python benchmarks/cluster.py``
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._host_faults import HostFaults, answer_faults
from benchmarks._hosts import hosts_on_this_machine, missing, shared_environment
from benchmarks._results import ROOT, write_result

SCRATCH = ROOT / "runs" / "benchmarks"
HOSTS = 3
CPUS = 12
"""Of all hosts together, as Ray is told."""
LAYOUT = [
    "+cluster=multi_node",
    "cluster.generators=1",
    "cluster.generator_gpus=0",
    "cluster.generator_cpus=1",
    "cluster.scorer_gpus=0",
    "cluster.scorer_cpus=0.25",
    "cluster.learners=2",
    "cluster.learner_gpus=0",
    "cluster.learner_cpus=2.25",
    "cluster.verifiers=3",
    "cluster.verifier_cpus=0.1",
    "cluster.max_verifiers=0",
    "cluster.threads=1",
]
WORK = [
    "model=tiny",
    "reward=process_mean",
    "model.dtype=float32",
    "model.max_response_tokens=48",
    "problems.max_difficulty=2",
    "loop.prompts_per_step=8",
    "loop.samples_per_prompt=4",
    "loop.steps=100",
    "tracking=off",
]
PARTS = SCRATCH / "cluster"
"""What was measured for each number of hosts, until the result is written."""


def part(count: int, steps: int, *, timeout_s: float) -> dict[str, Any]:
    """``measured``, or what an interrupted command has measured."""
    file = PARTS / f"{count}-{steps}.json"
    if not file.is_file():
        begin = os.getloadavg()[0]
        found = measured(count, steps, faults=count == HOSTS, timeout_s=timeout_s) | {"load_before": begin}
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(found))
    kept: dict[str, Any] = json.loads(file.read_text())
    return kept


def measured(count: int, steps: int, *, faults: bool, timeout_s: float) -> dict[str, Any]:
    """What the driver found on so many hosts. The head of several has no CPUs of Ray's."""
    environment = shared_environment(SCRATCH)
    with tempfile.TemporaryDirectory(prefix="cluster-") as scratch, hosts_on_this_machine() as hosts:
        if count == 1:
            hosts.start_ray(hosts.add("head", environment), cpus=CPUS)
        else:
            hosts.start_ray(hosts.add("head", environment), cpus=0)
            for number in range(count):
                hosts.start_ray(hosts.add(f"w{number + 1}", environment, debian=True), cpus=CPUS // count)
        out = Path(scratch) / "out.json"
        asked = {
            "overrides": [*LAYOUT, *WORK, f"runs_dir={scratch}/runs"],
            "steps": steps,
            "faults": faults,
            "out": str(out),
            "hosts": [host.name for host in hosts.hosts],
        }
        driver = ["timeout", str(timeout_s), sys.executable, "-m", "benchmarks._cluster_driver", json.dumps(asked)]
        with tempfile.TemporaryFile("w+") as errors:
            run = subprocess.Popen(
                hosts.head.command(driver),
                env=hosts.head.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            answer_faults(run, HostFaults(hosts))
            if run.returncode:
                errors.seek(0)
                raise SystemExit(f"the driver on {count} host(s) failed ({run.returncode}):\n{errors.read()[-4000:]}")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for each number of hosts")
    parser.add_argument("--machine", default="idle", help="what else ran on it, for the result file")
    options = parser.parse_args()
    if reason := missing():
        raise SystemExit(f"cluster.json cannot be measured here: {reason}")
    counts = range(1, HOSTS + 1)
    found = {n: part(n, options.steps, timeout_s=options.timeout) for n in counts}
    most, layouts = found[HOSTS], placed_layouts()
    headline = {
        "hosts": HOSTS,
        "step_ratio": statistics.median(most["steps_s"]) / statistics.median(found[1]["steps_s"]),
        "recover_s": max(most["recover_s"].values()),
        **{f"recover_{name}_s": seconds for name, seconds in most["recover_s"].items()},
        **{f"start_{name}_s": most[f"{name}_s"] for name in ("join", "actors", "first_step")},
        **{f"verdicts_per_second_{n}": found[n]["verdicts_per_second"] for n in counts},
        "layouts_placed": len(layouts),
        "layouts_right": sum(layouts.values()),
    }
    config = {
        "layout": LAYOUT,
        "work": WORK,
        "cpus_told": CPUS,
        "hosts": "network namespaces of one machine",
        "machine": options.machine,
    }
    rows = [{"hosts": n, **found[n]} for n in counts]
    print(write_result("cluster", headline, config | {"layouts": layouts}, rows))
    shutil.rmtree(PARTS)


def placed_layouts() -> dict[str, bool]:
    """The layouts of the documentation on fake nodes, in every order of placement: whether each came out right."""
    sys.path.insert(0, str(ROOT / "tests" / "actors"))
    import layouts

    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, layouts.__file__], env=environment, capture_output=True, text=True, timeout=600, check=True
    )
    placed = [json.loads(line) for line in done.stdout.splitlines()]
    return {f"{p['layout']}: {', '.join(p['order'])}": layouts.right(p) for p in placed}


if __name__ == "__main__":
    main()
