"""The tracker with the real W&B client, offline: nothing here touches a network."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stored_samples import sample, table_of

from prl_ray.errors import ConfigError, PrlRayError
from prl_ray.tracking import Tracker, read_records, wandb_run
from prl_ray.tracking.wandb_run import choose_mode, logged_in

ROOT = Path(__file__).parents[2]
TABLE = table_of([sample(group=1)], ["passed"], scores=[0.5, 0.25], rewards=[*[0.0] * 12, 0.5, 0.25])


def open_tracker(folder, mode="off", **more):
    return Tracker(folder, "test run", mode, "prl_ray-test", {"loop": {"steps": 3}}, **more)


def wandb_files(folder):
    return sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"))


def records(folder):
    return [(r.stage, r.step, r.metrics) for r in read_records(folder / "metrics.jsonl")]


def test_stages_keep_their_own_steps_and_names(tmp_path):
    with open_tracker(tmp_path) as tracker:
        tracker.log(5, {"loss": 2.0, "sft/accuracy": 0.5}, stage="sft")
        tracker.log(1, {"actor/pg_loss": 0.1})
        assert tracker.mode == "off" and tracker.wandb_id is None
    assert records(tmp_path) == [
        ("sft", 5, {"sft/loss": 2.0, "sft/accuracy": 0.5}),
        ("ppo", 1, {"actor/pg_loss": 0.1}),
    ]
    assert not (tmp_path / "wandb").exists()


def test_samples_are_stored_and_read_back(tmp_path):
    tracker = open_tracker(tmp_path)
    assert tracker.store.write(10, TABLE) == tmp_path / "samples" / "step_000010.parquet"
    (program,) = tracker.samples(10)
    assert program.program == "def f(x):\n    return x" and program.reward == 0.75


def test_rewind_cuts_rows_and_samples_after_the_checkpoint(tmp_path):
    tracker = open_tracker(tmp_path)
    tracker.log(9, {"loss": 1.0}, stage="sft")
    for step in range(1, 6):
        tracker.store.write(step, TABLE)
        tracker.log(step, {"x": float(step)})
    again = open_tracker(tmp_path)
    again.rewind("ppo", 3)
    assert [(stage, step) for stage, step, _ in records(tmp_path)] == [("sft", 9), ("ppo", 1), ("ppo", 2), ("ppo", 3)]
    assert again.store.steps() == [1, 2, 3]
    again.rewind("sft")
    again.rewind("ppo")
    assert records(tmp_path) == [] and again.store.steps() == []


def test_offline_without_login_writes_a_wandb_run_and_says_nothing(tmp_path, capfd):
    with open_tracker(tmp_path, "auto") as tracker:
        assert tracker.mode == "offline" and tracker.url == ""
        tracker.store.write(1, TABLE)
        tracker.samples(1)
        tracker.log(1, {"actor/pg_loss": 0.5})
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")
    (file,) = wandb_files(tmp_path)
    data = file.read_bytes()
    assert file.name == f"run-{tracker.wandb_id}.wandb"
    assert b"actor/pg_loss" in data and b"ppo/step" in data
    (table,) = (tmp_path / "wandb").rglob("*.table.json")
    content = json.loads(table.read_text())
    assert content["columns"] == [
        "step",
        "task_id",
        "sample",
        "status",
        "total_reward",
        "line",
        "text",
        "score",
        "reward",
    ]
    assert content["data"][1] == [1, "task/1", 0, "passed", 0.75, 1, "    return x", 0.5, 0.5]


@pytest.mark.parametrize("named", [True, False], ids=["id from the checkpoint", "id from the folder"])
def test_the_same_wandb_run_goes_on_and_its_newest_file_has_every_row_once(tmp_path, named):
    with open_tracker(tmp_path, "offline") as first:
        first.store.write(1, TABLE)
        first.samples(1)
        for step in (1, 2, 3):
            first.log(step, {f"seen_{step}": 1.0})
    time.sleep(1.1)  # W&B names its folders by the second
    with open_tracker(tmp_path, "offline", resume_id=first.wandb_id if named else None) as second:
        second.rewind("ppo", 1)
        for step in (2, 3, 4):
            second.log(step, {f"seen_{step}": 1.0})
    assert second.wandb_id == first.wandb_id
    assert [step for _, step, _ in records(tmp_path)] == [1, 2, 3, 4]
    (file,) = wandb_files(tmp_path)
    assert all(f"seen_{step}".encode() in file.read_bytes() for step in (1, 2, 3, 4))
    assert len(list(file.parent.rglob("*.table.json"))) == 1
    assert len(list((tmp_path / "wandb" / "replaced").iterdir())) == 1


def test_a_row_that_wandb_has_is_not_sent_again(tmp_path):
    with open_tracker(tmp_path, "offline") as tracker:
        for step in (1, 2, 3):
            tracker.log(step, {"first_time": 1.0})
        tracker.rewind("ppo", 1)
        for step in (2, 3):
            tracker.log(step, {"again": 1.0})
        tracker.log(4, {"new": 1.0})
    data = wandb_files(tmp_path)[0].read_bytes()
    assert b"first_time" in data and b"again" not in data and b"new" in data


def test_rows_after_an_earlier_stage_was_made_again_still_reach_wandb(tmp_path):
    with open_tracker(tmp_path, "offline") as tracker:
        tracker.log(1, {"loss": 1.0}, stage="sft")
        tracker.log(1, {"x": 1.0})
        tracker.rewind("sft")
        tracker.log(1, {"loss_again": 1.0}, stage="sft")
    assert b"sft/loss_again" in wandb_files(tmp_path)[0].read_bytes()
    assert json.loads((tmp_path / "wandb.json").read_text()) == {"run_id": tracker.wandb_id, "shift": 1}


def test_a_run_that_began_with_tracking_off_is_sent_whole(tmp_path):
    open_tracker(tmp_path, "off").log(1, {"early": 1.0})
    with open_tracker(tmp_path, "offline") as tracker:
        tracker.log(2, {"late": 1.0})
    data = wandb_files(tmp_path)[0].read_bytes()
    assert b"early" in data and b"late" in data


def test_off_keeps_the_id_of_the_run_that_it_resumes(tmp_path):
    assert open_tracker(tmp_path, "off", resume_id="abcd1234").wandb_id == "abcd1234"


def test_a_wandb_that_dies_is_said_once_and_stops_nothing(tmp_path):
    script = f"""
import os, signal, subprocess, time
from pathlib import Path
from prl_ray.tracking import Tracker
tracker = Tracker(Path({str(tmp_path)!r}), "n", "offline", "p", {{}})
tracker.log(1, {{"x": 1.0}})
children = subprocess.run(["ps", "--ppid", str(os.getpid()), "-o", "pid=,args="], capture_output=True, text=True).stdout
(pid,) = [int(line.split()[0]) for line in children.splitlines() if "wandb-core" in line]
os.kill(pid, signal.SIGKILL)
time.sleep(0.5)
for step in (2, 3, 4):
    tracker.log(step, {{"x": 1.0}})
tracker.summary({{"x": 1.0}})
tracker.close()
tracker.close()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0
    assert done.stdout == ""
    assert re.fullmatch(r"warning: W&B stopped \(.*\); metrics\.jsonl is still written.*\n", done.stderr)
    assert [step for _, step, _ in records(tmp_path)] == [1, 2, 3, 4]


def test_an_unreachable_server_means_offline_for_auto_and_an_error_for_online(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(wandb_run, "INIT_TIMEOUT_S", 2.0)
    said = []
    with open_tracker(tmp_path / "auto", "auto", warn=said.append) as tracker:
        tracker.log(1, {"x": 1.0})
    assert tracker.mode == "offline" and len(said) == 1 and "cannot be reached" in said[0]
    assert len(wandb_files(tmp_path / "auto")) == 1
    with pytest.raises(PrlRayError, match="tracking=off"):
        open_tracker(tmp_path / "online", "online")


def test_online_without_login_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(ConfigError, match="wandb login"):
        open_tracker(tmp_path, "online")


def test_login_is_seen_in_environment_and_netrc(tmp_path, monkeypatch):
    assert not logged_in() and choose_mode("auto") == "offline"
    netrc = Path(os.environ["NETRC"])
    netrc.write_text("machine elsewhere.example login user password secret\n")
    assert not logged_in()
    netrc.write_text("machine api.wandb.ai login user password secret\n")
    assert logged_in() and choose_mode("auto") == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://wandb.example")
    assert not logged_in()
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert logged_in()


@pytest.mark.parametrize(("said", "mode"), [("disabled", "off"), ("offline", "offline"), ("dryrun", "offline")])
def test_auto_heeds_wandb_mode(monkeypatch, said, mode):
    monkeypatch.setenv("WANDB_MODE", said)
    monkeypatch.setenv("WANDB_API_KEY", "secret")
    assert choose_mode("auto") == mode


def test_a_killed_process_leaves_every_row_and_the_wandb_run_goes_on(tmp_path):
    script = (
        "import os, signal, sys; from pathlib import Path; from prl_ray.tracking import Tracker\n"
        f"tracker = Tracker(Path({str(tmp_path)!r}), 'n', 'offline', 'p', {{}})\n"
        "for step in range(20): tracker.log(step, {f'seen_{step}': step})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert [step for _, step, _ in records(tmp_path)] == list(range(20))
    time.sleep(1.1)
    with open_tracker(tmp_path, "auto") as again:
        again.rewind("ppo", 9)
        for step in range(10, 22):
            again.log(step, {f"seen_{step}": step})
    assert [step for _, step, _ in records(tmp_path)] == list(range(22))
    (file,) = wandb_files(tmp_path)
    assert all(f"seen_{step}".encode() in file.read_bytes() for step in range(22))
