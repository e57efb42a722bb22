"""Two processes never work in one run folder; a lock whose process is dead is taken over with a word."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from prl_ray.errors import RunLockedError
from prl_ray.run_lock import NAME, STALE_S, RunLock

HOLD = """
import sys, time
from pathlib import Path
from prl_ray.run_lock import RunLock
with RunLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_second_process_is_refused_and_told_who_holds_it(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    try:
        with pytest.raises(RunLockedError, match=rf"process {holder.pid} on {socket.gethostname()}"), RunLock(tmp_path):
            pass
    finally:
        holder.kill()
        holder.wait()


def test_the_lock_of_a_killed_process_is_taken_over_with_a_word(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    said: list[str] = []
    with RunLock(tmp_path, said.append):
        assert len(said) == 1 and str(holder.pid) in said[0]


def test_a_lock_that_ended_properly_leaves_nothing_to_say(tmp_path: Path) -> None:
    said: list[str] = []
    for _ in range(2):
        with RunLock(tmp_path / "new" / "run", said.append):
            pass
    assert said == []


@pytest.mark.parametrize(("age_s", "refused"), [(1.0, True), (STALE_S + 5, False)])
def test_another_hosts_lock_counts_while_it_beats(age_s: float, refused: bool, tmp_path: Path) -> None:
    """As on a file system that keeps kernel locks per host: only the file says that somebody is there."""
    file = tmp_path / NAME
    file.write_text(json.dumps({"host": "elsewhere", "process": 7, "started": time.time() - 3600}))
    os.utime(file, (time.time() - age_s, time.time() - age_s))
    said: list[str] = []
    if refused:
        with pytest.raises(RunLockedError, match="process 7 on elsewhere, started 60 minutes ago"), RunLock(tmp_path):
            pass
    else:
        with RunLock(tmp_path, said.append):
            assert "elsewhere" in said[0]


@pytest.mark.parametrize(
    "text", ["5", "{}", "[]", '{"host": 3}', '{"host": "x", "process": null}', '{"host": "', "\x00"]
)
def test_a_lock_file_that_no_holder_wrote_is_taken_over(text: str, tmp_path: Path) -> None:
    """Before: a TypeError or KeyError; who holds a lock is the kernel's to say."""
    (tmp_path / NAME).write_text(text)
    with RunLock(tmp_path), pytest.raises(RunLockedError, match=f"process {os.getpid()}"), RunLock(tmp_path):
        pass


def test_the_number_of_a_dead_holder_that_another_process_has_now_does_not_matter(tmp_path: Path) -> None:
    holder = {"host": socket.gethostname(), "process": os.getppid(), "started": time.time()}
    (tmp_path / NAME).write_text(json.dumps(holder))
    with RunLock(tmp_path, lambda said: None):
        pass


@pytest.mark.parametrize("blocked", ["run", f"run/{NAME}"])
def test_a_folder_that_cannot_be_locked_is_named(blocked: str, tmp_path: Path) -> None:
    place = tmp_path / blocked
    place.parent.mkdir(exist_ok=True)
    place.write_text("") if blocked == "run" else place.mkdir()
    with pytest.raises(RunLockedError, match=r"run/\.lock cannot be opened"), RunLock(tmp_path / "run"):
        pass


def test_an_error_in_the_block_releases_the_lock(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="mine"), RunLock(tmp_path):
        raise ValueError("mine")
    with RunLock(tmp_path):
        pass


def test_a_second_command_on_the_same_run_ends_with_one_message(tmp_path: Path) -> None:
    """And touches nothing: the first one's checkpoints and metrics stay as they are."""
    run = tmp_path / "runs" / "same"
    with RunLock(run):
        (run / "metrics.jsonl").write_text("")
        before = {p.name: p.stat().st_mtime_ns for p in run.iterdir() if p.name != NAME}  # the holder touches it
        done = subprocess.run(
            [sys.executable, "-m", "prl_ray.train", "model=tiny", "name=same", "tracking=off"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert {p.name: p.stat().st_mtime_ns for p in run.iterdir() if p.name != NAME} == before
    assert done.returncode == 1
    assert done.stderr.strip().startswith("error: RunLockedError: another process works on the run")
    assert f"process {os.getpid()}" in done.stderr and len(done.stderr.strip().splitlines()) == 1
