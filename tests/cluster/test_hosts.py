"""The whole recipe on hosts of their own: roles spread over them, ranks on different ones, a host killed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks._hosts import ROOT, Host, Hosts
from prl_ray.tracking import read_records

pytestmark = [pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(1500)]

DOCTOR_S = 600.0
"""Seconds for the doctor: on a busy machine a worker process takes a minute to start."""
LAYOUT = [
    "+cluster=multi_node",
    "cluster.generators=1",
    "cluster.generator_cpus=1",
    "cluster.generator_gpus=0",
    "cluster.scorers=1",
    "cluster.scorer_cpus=0.25",
    "cluster.scorer_gpus=0",
    "cluster.learners=2",
    "cluster.learner_cpus=2.25",
    "cluster.learner_gpus=0",
    "cluster.verifiers=3",
    "cluster.verifier_cpus=0.1",
    "cluster.max_verifiers=0",
    "cluster.threads=1",
    "cluster.start_timeout_s=900",
]
RUN = [
    "+experiment=smoke",
    "tracking=off",
    "model.dtype=float32",
    "model.max_response_tokens=48",
    "problems.max_difficulty=2",
    "teacher.problems=12",
    "loop.steps=6",
    "sft.problems=48",
    "prm.rollouts=0",
    "loop.validation_problems=4",
    "evaluate.problems=4",
]


def command(module: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def in_folder(folder: str, arguments: list[str]) -> list[str]:
    return ["env", f"--chdir={folder}", *arguments]


def placed(output: str, role: str) -> list[str]:
    """Hosts of a role, as the last run's console names them."""
    found = re.findall(rf"{role}: \d+ × .* on (.*) \(\d+ s\)", output)
    return re.findall(r"(\w+) \(10\.", found[-1]) if found else []


def doctor(host: Host, *arguments: str, folder: str = "") -> tuple[int, str]:
    """``folder`` is its working directory, if not the host's own."""
    asked = command("prl_ray.doctor", *LAYOUT, *RUN, *arguments)
    done = host.run(in_folder(folder, asked) if folder else asked, timeout_s=DOCTOR_S)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    return done.returncode, said


def test_the_doctor_finds_a_cluster_in_order_from_a_worker_as_well(hosts: Hosts, tmp_path: Path) -> None:
    worker = hosts.hosts[1]
    code, said = doctor(worker, f"runs_dir={tmp_path}", f"cluster.address={hosts.address}")
    assert code == 0, said
    for host in hosts.hosts:
        assert f"{host.name} ({host.address}): in order" in said


def test_nodes_that_do_not_share_the_runs_folder_are_named(hosts: Hosts) -> None:
    """Each host has a /tmp/ray of its own."""
    code, said = doctor(hosts.head, "runs_dir=/tmp/ray/runs")
    assert code == 1 and "1 of 2 nodes cannot take part" in said
    worker = hosts.hosts[1]
    assert f"{worker.name} ({worker.address}): the runs folder /tmp/ray/runs is not the driver's. Give runs_dir" in said


def test_so_are_those_that_do_not_share_the_working_copy_of_a_url(hosts: Hosts, tmp_path: Path) -> None:
    own_cache = replace(hosts.head, environment=hosts.head.environment | {"XDG_CACHE_HOME": "/tmp/ray/cache"})
    code, said = doctor(own_cache, f"runs_dir=file://{tmp_path}/bucket")
    assert code == 1 and "1 of 2 nodes cannot take part" in said
    assert re.search(
        r"w1 \(\S+\): the runs folder /tmp/ray/cache/\S+ is not the driver's. Set XDG_CACHE_HOME, for", said
    )


def test_what_is_missing_is_said_with_what_is_free_where(hosts: Hosts, tmp_path: Path) -> None:
    code, said = doctor(hosts.head, f"runs_dir={tmp_path}", "cluster.learners=3")
    assert code == 1 and "no room for 1 learner(s)" in said
    assert "w1 (10.77.0.2): 4 CPU, 0 GPU" in said


def test_a_driver_without_the_token_is_told_so(hosts: Hosts, tmp_path: Path) -> None:
    stranger = replace(hosts.head, environment=hosts.head.environment | {"HOME": str(tmp_path)})
    code, said = doctor(stranger, f"runs_dir={tmp_path}", f"cluster.address={hosts.address}")
    assert code == 1 and f"there is no token: {tmp_path}/.ray/auth_token does not exist" in said
    stranger.environment["RAY_AUTH_TOKEN"] = "0" * 64
    code, said = doctor(stranger, f"runs_dir={tmp_path}", f"cluster.address={hosts.address}")
    assert code == 1 and "token" in said


@pytest.fixture(scope="module")
def checkout(hosts: Hosts) -> str:
    """A folder of each host's own, in which the driver's has a reward shaping, and the other one has other code."""
    for host in hosts.hosts:
        (host.folder / "ray" / "checkout").mkdir()
    shutil.copy(ROOT / "examples" / "own_reward.py", hosts.head.folder / "ray" / "checkout")
    changed_code(hosts.hosts[1].folder / "ray" / "checkout")
    return "/tmp/ray/checkout"


def changed_code(folder: Path) -> None:
    """A copy of this project that differs by a line."""
    for package in ("prl_ray", "sandbox_workers", "conf"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    with (folder / "prl_ray" / "seeds.py").open("a") as file:
        file.write("CHANGED = 1\n")


OWN_REWARD = "reward.name=own_reward:late_lines"


def test_code_and_plugins_of_the_driver_are_on_all_hosts_or_the_difference_is_named(
    hosts: Hosts, checkout: str, tmp_path: Path
) -> None:
    more = [f"runs_dir={tmp_path}", OWN_REWARD]
    code, said = doctor(hosts.head, *more, "cluster.ship_code=false", folder=checkout)
    assert code == 1 and re.search(
        r"w1 \(\S+\): the code of prl_ray is (\w+), the driver has (?!\1)\w+\. Set clu", said
    )
    assert re.search(
        r"w1 \(\S+\): your module own_reward is missing, the driver has \w+\. Set cluster\.ship_code", said
    )
    code, said = doctor(hosts.head, *more, folder=checkout)
    assert code == 0, said


def test_a_submitted_job_keeps_its_working_directory_and_carries_the_rest(
    hosts: Hosts, checkout: str, tmp_path: Path
) -> None:
    """With a variable that the run would set too, on which Ray refuses a driver that does not say whose counts."""
    job = ["--working-dir", checkout, "--runtime-env-json", '{"env_vars": {"TOKENIZERS_PARALLELISM": "true"}}']
    driver = command("prl_ray.doctor", *LAYOUT, *RUN, f"runs_dir={tmp_path}", OWN_REWARD)
    submit = ["job", "submit", "--address=http://127.0.0.1:8265", *job, "--", *driver]
    done = hosts.head.run(command("ray.scripts.scripts", *submit), timeout_s=DOCTOR_S)
    said = done.stdout + done.stderr
    assert done.returncode == 0 and "Traceback" not in said, said[-4000:]
    for host in hosts.hosts:
        assert f"{host.name} ({host.address}): in order" in said


def test_a_run_survives_a_cut_link_and_the_host_of_a_learner_rank(hosts: Hosts, checkout: str, tmp_path: Path) -> None:
    """With a reward shaping of the driver's own, which the rank on the other host computes too."""
    worker, log, runs = hosts.hosts[1], tmp_path / "output", tmp_path / "runs"
    asked = command("prl_ray.train", *LAYOUT, *RUN, "name=two", f"runs_dir={runs}", OWN_REWARD)
    run = hosts.head.start(in_folder(checkout, asked), log)
    checkpoints = runs / "two" / "checkpoints"
    until(lambda: (checkpoints / "step_000001").exists(), run, log)
    assert sorted(placed(log.read_text(), "learners")) == ["head", "w1"]
    hosts.cut(worker)
    until(lambda: (checkpoints / "step_000003").exists(), run, log)
    assert "its group starts anew" not in log.read_text(), "a short cut loses nothing"
    worker.kill()
    until(lambda: "its group starts anew" in log.read_text(), run, log)
    hosts.restart_ray(worker)
    assert run.wait(900) == 0, log.read_text()[-6000:]
    output = log.read_text()
    assert "Traceback" not in output and sorted(placed(output, "learners")) == ["head", "w1"]
    rows = [r for r in read_records(runs / "two" / "metrics.jsonl") if r.stage == "ppo"]
    steps = [r for r in rows if "actor/kl_coef" in r.metrics]
    assert [r.step for r in steps] == list(range(6))
    assert all(r.metrics["verify/sandbox_error"] == 0 for r in steps)
    assert (runs / "two" / "evaluation.json").is_file()


@pytest.fixture
def odd_host(hosts: Hosts, tmp_path: Path) -> Iterator[Host]:
    """A third host with other code, another torch, and a disk on which Ray puts nothing that its store has no room
    for."""
    code = tmp_path / "code"
    changed_code(code)
    (code / "torch-1.0.dist-info").mkdir()
    (code / "torch-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 1.0\n")
    settings = {"PYTHONPATH": str(code), "RAY_local_fs_capacity_threshold": "0.0001"}
    host = hosts.add("odd", hosts.head.environment | settings)
    hosts.start_ray(host, cpus=1)
    yield host
    host.run([sys.executable, "-m", "ray.scripts.scripts", "stop"])  # the head knows at once that it is gone
    host.kill()


FILL = """
import sys, numpy, ray
from prl_ray.actors.handles import ask, put
from prl_ray.actors.waiting import wait
class Filler:
    def fill(self):
        return len([put(numpy.zeros(50 << 20, numpy.uint8)) for _ in range(8)])
ray.init("auto", log_to_driver=False, logging_level="ERROR")
actor = ray.remote(num_cpus=0, resources={f"node:{sys.argv[1]}": 0.001})(Filler).remote()
wait(ask(actor, Filler.fill), "the samples", 120)
"""


def test_a_host_with_other_versions_and_a_full_object_store_are_named(
    hosts: Hosts, odd_host: Host, tmp_path: Path
) -> None:
    code, said = doctor(hosts.head, f"runs_dir={tmp_path}")
    assert code == 1 and "1 of 3 nodes cannot take part" in said
    assert re.search(r"odd \(10\.77\.0\.3\): torch is 1\.0, the driver has \S+\. Install the same versions", said)
    assert said.count("\n  odd (10.77.0.3): ") == 1, "it runs the driver's code, not its own"
    done = hosts.head.run([sys.executable, "-c", FILL, odd_host.address], timeout_s=240)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "ResourceError: node 10.77.0.3: Ray has no room for another object" in last


def test_a_head_that_dies_is_one_message(hosts: Hosts, tmp_path: Path) -> None:
    """The last test of these hosts: their cluster ends with it."""
    log = tmp_path / "output"
    more = ["stages=[label]", "teacher.problems=2000", f"runs_dir={tmp_path}", f"cluster.address={hosts.address}"]
    worker = hosts.hosts[1]
    if not worker.processes():
        hosts.restart_ray(worker)  # a test before this one failed while it was down
    run = worker.start(command("prl_ray.train", *LAYOUT, *RUN, *more), log)
    until(lambda: "verifiers: " in log.read_text(), run, log)
    hosts.head.kill()
    assert run.wait(120) == 1
    output = log.read_text()
    assert output.count("error: ") == 1 and "no run outlives it" in output and hosts.address in output
    assert "Traceback" not in output and "gcs_" not in output and "Stack trace" not in output


def until(done: Callable[[], bool], run: subprocess.Popen[bytes], log: Path) -> None:
    """Waits, as long as the run goes on."""
    deadline = time.monotonic() + 900
    while not done():
        assert run.poll() is None and time.monotonic() < deadline, log.read_text()[-6000:]
        time.sleep(0.1)
