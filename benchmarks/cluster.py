"""Three hosts against one at the same work, and what each fault costs: writes ``cluster.json``.

The hosts are network namespaces of this machine (``_hosts.py``): they share its cores, so that the ratio of the step
shows what distribution costs, not what it gains. Needs root. ``python benchmarks/cluster.py``
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._hosts import hosts_on_this_machine, missing
from benchmarks._results import ROOT, write_result

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
    "model.dtype=float32",
    "model.max_response_tokens=48",
    "problems.max_difficulty=2",
    "loop.prompts_per_step=8",
    "loop.samples_per_prompt=4",
    "loop.steps=100",
    "tracking=off",
]


def measured(count: int, steps: int, *, faults: bool, timeout_s: float) -> dict[str, Any]:
    """What the driver found on so many hosts. The head of several has no CPUs of Ray's."""
    from torch.utils.cpp_extension import get_default_build_root

    environment = {
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(Path(tempfile.gettempdir()) / "prl_ray-cluster-cache"),
        "TORCH_EXTENSIONS_DIR": os.environ.get("TORCH_EXTENSIONS_DIR", get_default_build_root()),
    }
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
            "spaces": {host.name: host.space for host in hosts.hosts},
            "links": {host.name: hosts.link_of(host) for host in hosts.hosts},
        }
        done = hosts.head.run([sys.executable, "-m", "benchmarks._cluster_driver", json.dumps(asked)], timeout_s)
        print(done.stdout[-2000:], flush=True)
        if done.returncode:
            raise SystemExit(f"the driver failed:\n{done.stderr[-4000:]}")
        found: dict[str, Any] = json.loads(out.read_text())
        return found


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for each number of hosts")
    options = parser.parse_args()
    if reason := missing():
        raise SystemExit(f"cluster.json cannot be measured here: {reason}")
    one = measured(1, options.steps, faults=False, timeout_s=options.timeout)
    three = measured(3, options.steps, faults=True, timeout_s=options.timeout)
    headline = {
        "hosts": 3,
        "step_ratio": statistics.median(three["steps_s"]) / statistics.median(one["steps_s"]),
        "recover_s": max(three["recover_s"].values()),
        **{f"recover_{name}_s": seconds for name, seconds in three["recover_s"].items()},
        "start_s": three["join_s"] + three["actors_s"],
    }
    config = {"layout": LAYOUT, "work": WORK, "cpus_told": CPUS, "hosts": "network namespaces of one machine"}
    print(write_result("cluster", headline, config, [{"hosts": 1, **one}, {"hosts": 3, **three}]))


if __name__ == "__main__":
    main()
