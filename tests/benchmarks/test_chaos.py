"""The chaos benchmark's own arithmetic: which faults come when, what differs between two runs, how memory grows."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from safetensors.numpy import save_file

from benchmarks._chaos_faults import KINDS, Fault, Injector, schedule
from benchmarks._chaos_verdict import compared
from benchmarks._host_faults import Process, answer_faults
from benchmarks._memory_watch import MemoryWatch, largest
from benchmarks._results import ROOT


def test_faults_are_the_same_for_a_seed_and_every_kind_is_among_them() -> None:
    faults = schedule(200, 50, 1)
    assert faults == schedule(200, 50, 1) != schedule(200, 50, 2)
    assert len({fault.step for fault in faults}) == 50
    assert Counter(fault.kind for fault in faults).keys() == KINDS.keys()
    assert all(1 <= fault.step < 160 for fault in faults)
    with pytest.raises(SystemExit, match="at least 64 steps"):
        schedule(50, 50, 1)


def write_run(folder: Path, *, score: float = 0.5, passed: int = 1, samples: int = 2, weight: float = 1.0) -> Path:
    run = folder / "run"
    (run / "samples").mkdir(parents=True)
    rows = [{"step": s, "time": 1.0, "stage": "ppo", "metrics": {"critic/score/mean": 0.5}} for s in range(3)]
    rows[2]["metrics"] = {"critic/score/mean": score, "timing_s/step": float(np.random.rand()), "x": None}
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    sums = [
        {"step": s, "samples": 2, "prompts": [["task/1", 2, 1]], "verdicts": {"passed": 1, "wrong_answer": 1}}
        for s in range(3)
    ]
    sums[1] |= {"samples": samples, "verdicts": {"passed": passed, "sandbox_error": 1}}
    (run / "samples" / "summary.jsonl").write_text("".join(json.dumps(row) + "\n" for row in sums))
    (folder / "artifacts" / "ppo-1").mkdir(parents=True)
    save_file({"w": np.array([1.0, weight], np.float32)}, folder / "artifacts" / "ppo-1" / "model.safetensors")
    return run


def test_equal_runs_are_equal_and_a_sample_that_was_not_judged_is_lost(tmp_path: Path) -> None:
    found = compared(write_run(tmp_path / "a"), write_run(tmp_path / "b"), 3, 2)
    assert found.equal and found.twice == 0
    assert found.lost == 1, "its step says sandbox_error in both runs"


@pytest.mark.parametrize(
    ("change", "lost", "twice"),
    [
        ({"score": 0.25}, 1, 0),
        ({"weight": 1.5}, 1, 0),
        ({"passed": 2}, 1, 0),
        ({"samples": 3}, 1, 1),
        ({"samples": 1}, 2, 0),
    ],
)
def test_what_differs_is_found(tmp_path: Path, change: dict[str, float], lost: int, twice: int) -> None:
    found = compared(write_run(tmp_path / "a"), write_run(tmp_path / "b", **change), 3, 2)  # type: ignore[arg-type]
    assert not found.equal and (found.lost, found.twice) == (lost, twice)
    if "score" in change:
        assert found.metrics == ["step 2: critic/score/mean 0.5 != 0.25"]
    if "weight" in change:
        assert found.weights_gap == 0.5


def test_a_step_without_a_row_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no metrics of the steps \[3\]"):
        compared(write_run(tmp_path / "a"), write_run(tmp_path / "b"), 4, 2)


def test_growth_is_the_slope_of_the_settled_half() -> None:
    watch = MemoryWatch()
    grown = [(step, 100.0 + (50.0 if step > 20 else 0.0) + 0.1 * step, 60.0) for step in range(101)]
    watch.readings["Learner", 1] = grown
    watch.readings["Verifier", 2] = [(step, 70.0, 20.0) for step in range(10)]  # did not live long
    (row,) = watch.growth(100)
    assert row["process"] == "Learner"
    assert row["rss_growth_mb_per_100_steps"] == pytest.approx(10.0)
    assert row["own_growth_mb_per_100_steps"] == pytest.approx(0.0, abs=1e-9)
    assert largest([row], 100) == row["rss_growth_mb_per_100_steps"] and largest([], 100) == 0.0
    assert largest([row], 400) == 0.0, "restarted in the last half"


@pytest.mark.parametrize(
    ("title", "role", "rays"),
    [
        ("ray::Verifier.run", "Verifier", False),
        ("ray::VerifierPool", "VerifierPool", False),
        ("ray::two/learner-1-4d3d:Learner.step", "Learner", False),
        ("ray::IDLE", "IDLE", True),
        ("ray::DashboardAgent", "DashboardAgent", True),
        ("/x/bin/python -m ray.util.client.server --address=10.77.0.1:6379", "", True),
        ("/x/bin/python -c from sandbox_workers import zygote", "", False),
        ("/x/ray/core/src/ray/raylet/raylet --raylet_socket_name=/tmp/ray/s", "", True),
        ("/x/bin/python -m prl_ray.train +cluster=multi_node", "", False),
    ],
)
def test_processes_are_told_apart_by_their_titles(title: str, role: str, rays: bool) -> None:
    process = Process(1, "w1", title)
    assert (process.role, process.of_ray_itself) == (role, rays)


class Machine:
    """Hosts on which every kind of actor can be killed, except where ``gone`` names it."""

    gone = ""

    def kill(self, role: str) -> str:
        return "" if role == self.gone else "w1"


def test_the_next_fault_waits_until_the_run_has_finished_another_step(tmp_path: Path) -> None:
    faults = [f for f in schedule(60, 40, 3) if f.kind in ("verifier", "pool", "scorer", "learner")][:2]
    first, second = (type(f)(f.kind, step, 0.0) for f, step in zip(faults, (3, 4), strict=True))
    machine, file = Machine(), tmp_path / "faults.jsonl"
    injector = Injector(None, machine, [first, second], file)  # type: ignore[arg-type]  # no host is killed here
    injector.look(2)
    assert len(injector.todo) == 2
    injector.look(3)
    assert len(injector.todo) == 1 and not file.exists()
    injector.look(4)  # finished while the fault was being made
    injector.look(0)  # a learner went back to a checkpoint
    injector.look(4)
    assert len(injector.todo) == 1 and not file.exists()
    machine.gone = {"verifier": "Verifier", "pool": "VerifierPool", "scorer": "Scorer", "learner": "Learner"}[
        second.kind
    ]
    injector.look(5)
    assert len(injector.todo) == 1 and len(file.read_text().splitlines()) == 1
    machine.gone = ""
    injector.look(6)
    assert not injector.todo
    injector.join()
    assert [json.loads(line)["step"] for line in file.read_text().splitlines()] == [3, 4]
    assert Injector(None, machine, [first, second], file).todo == [], "resumed"  # type: ignore[arg-type]


ASKS = """
from benchmarks._host_faults import AskedFaults
machine = AskedFaults()
print("killed on", machine.kill("Learner"))
machine.cut("w2")
print(sorted(machine.hosts_with("Scorer")))
"""


class Repaired:
    def __init__(self, alive: bool) -> None:
        self.alive = alive

    def is_alive(self) -> bool:
        return self.alive

    def join(self) -> None:
        self.alive = False


def test_while_a_host_is_repaired_actors_are_killed_but_no_other_host(tmp_path: Path) -> None:
    faults = [Fault("verifier", 1, 0.0), Fault("link", 2, 0.0)]
    injector = Injector(None, Machine(), faults, tmp_path / "faults.jsonl")  # type: ignore[arg-type]
    injector._repair = Repaired(True)  # type: ignore[assignment]
    for step in (1, 2, 3, 4):
        injector.look(step)
    assert [fault.kind for fault in injector.todo] == ["link"]
    with pytest.raises(SystemExit, match="before 1 of the faults could be made"):
        injector.join()


def test_a_program_on_a_host_has_its_faults_made_from_outside(capfd: pytest.CaptureFixture[str]) -> None:
    cuts: list[str] = []

    class Outside(Machine):
        def cut(self, host: str) -> None:
            cuts.append(host)

        def hosts_with(self, role: str) -> set[str]:
            return {"w2", "w1"} if role == "Scorer" else set()

    run = subprocess.Popen(
        [sys.executable, "-c", ASKS], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    answer_faults(run, Outside())  # type: ignore[arg-type]
    assert run.returncode == 0 and cuts == ["w2"]
    assert capfd.readouterr().out == "killed on w1\n['w1', 'w2']\n"


def test_a_frozen_process_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks._chaos_faults.FROZEN_S", 2.0)
    sleeper = subprocess.Popen(["sleep", "60"])

    class Outside(Machine):
        def actors(self, role: str) -> list[Process]:
            return [Process(sleeper.pid, "w1", "ray::Verifier")] if role == "Verifier" else []

    file = tmp_path / "faults.jsonl"
    injector = Injector(None, Outside(), [Fault("frozen verifier", 1, 0.0)], file)  # type: ignore[arg-type]
    try:
        injector.look(1)
        deadline = time.monotonic() + 10
        while psutil.Process(sleeper.pid).status() != psutil.STATUS_STOPPED:
            assert time.monotonic() < deadline
        injector.join()
        assert psutil.Process(sleeper.pid).status() != psutil.STATUS_STOPPED
        assert json.loads(file.read_text())["host"] == "w1"
    finally:
        sleeper.kill()
        sleeper.wait()
