"""The launch files: scripts without shellcheck warnings, manifests with what they need, Slurm on two hosts."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks._hosts import ROOT, Hosts, hosts_on_this_machine, missing, shared_environment

LAUNCH = ROOT / "examples" / "launch"
LAYOUT = ["generator", "scorer", "learner"]
FAKE_SRUN = """#!/bin/bash
# Runs the command on all hosts at once, or on the first one where --nodes=1.
nodes=2
while [[ $1 == --* ]]; do [[ $1 == --nodes=* ]] && nodes=${{1#--nodes=}}; shift; done
{first} "$@" & first=$!
if [ "$nodes" -gt 1 ]; then {second} "$@" & wait $!; fi
wait $first
"""

FAKE_HOSTNAME = """#!/bin/sh
[ "$1" = --ip-address ] && echo 127.0.1.1 {address} || exec /bin/hostname "$@"
"""


@pytest.mark.parametrize("script", sorted(LAUNCH.glob("*.sh")), ids=lambda p: p.name)
def test_shellcheck_has_nothing_to_say(script: Path) -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    done = subprocess.run(["shellcheck", str(script)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def manifest(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((LAUNCH / name).read_text())
    return found


def test_the_rayjob_runs_the_locked_ray_with_room_for_its_layout() -> None:
    job = manifest("kuberay-rayjob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    cluster = job["spec"]["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "requirements" / "gpu.lock").read_text().replace("[default]", "")
    groups = {g["groupName"]: g for g in cluster["workerGroupSpecs"]}
    limits = groups["gpu"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    layout = yaml.safe_load((ROOT / "conf" / "cluster" / "multi_node.yaml").read_text())
    needed = sum(layout[f"{role}s"] * layout[f"{role}_gpus"] for role in LAYOUT)
    assert groups["gpu"]["minReplicas"] * int(limits["nvidia.com/gpu"]) >= needed


def test_skypilot_starts_as_many_nodes_as_ray_waits_for() -> None:
    task = manifest("skypilot.yaml")
    assert task["num_nodes"] == 2 and '--min-nodes "$SKYPILOT_NUM_NODES"' in task["run"]
    done = subprocess.run(["bash", "-n"], input=task["run"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def bare_hosts(tmp_path: Path) -> Iterator[Hosts]:
    """Two hosts without Ray."""
    if reason := missing():
        pytest.skip(reason)
    with hosts_on_this_machine() as made:
        for name in ("n1", "n2"):
            made.add(name, shared_environment(tmp_path), debian=True)
        yield made


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_slurm_script_runs_on_two_hosts(bare_hosts: Hosts, tmp_path: Path) -> None:
    first, second = bare_hosts.hosts
    tools = tmp_path / "bin"
    tools.mkdir()
    (tmp_path / "checkout" / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "checkout" / ".venv" / "bin" / "activate").write_text("")
    soon = ["env", "RAY_gcs_rpc_server_reconnect_timeout_s=20"]  # it ends so long after the head, by default 60 s
    fake = {
        "srun": FAKE_SRUN.format(first=quoted(first.command([])), second=quoted(second.command(soon))),
        "scontrol": "#!/bin/sh\nprintf 'n1\\nn2\\n'\n",
        "hostname": FAKE_HOSTNAME.format(address=first.address),
    }
    for name, text in fake.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    # Slurm's own commands reach both hosts: the script runs where they can be entered
    environment = first.environment | {
        "PATH": f"{tools}:{first.environment['PATH']}",
        "SLURM_SUBMIT_DIR": str(tmp_path / "checkout"),
        "SLURM_JOB_NODELIST": "n[1-2]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_PER_TASK": "4",
        "SLURM_GPUS_ON_NODE": "0",
    }
    zero = [f"cluster.{role}_gpus=0" for role in LAYOUT] + [f"cluster.{role}_cpus=0.25" for role in LAYOUT]
    counts = ["cluster.generators=1", "cluster.learners=1", "cluster.verifiers=4", "cluster.verifier_cpus=0.5"]
    small = ["+experiment=smoke", "stages=[label]", "teacher.problems=8", "tracking=off", "name=slurm"]
    script = ["bash", str(LAUNCH / "slurm.sh"), *zero, *counts, *small]
    done = subprocess.run(script, env=environment, capture_output=True, text=True, timeout=600, check=False)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said[-4000:]
    assert (tmp_path / "checkout" / "runs" / "slurm" / "label" / "inputs.json").is_file()
    started = re.search(r"^verifiers: (.*) × full on (.*) \(\d+ s\)$", said, re.MULTILINE)
    assert started, said[-4000:]
    # on a slow machine fewer are ready when the run begins: "3 of 4"
    assert started[1] != "4" or started[2] == "n1 × 2, n2 × 2", "the verifiers are spread over both hosts"


def quoted(command: list[str]) -> str:
    return shlex.join(command)
