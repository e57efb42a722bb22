"""Two machines never work on one run of one URL: a lease is refused while it is renewed, and taken over after that."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from prl_ray import remote_lock
from prl_ray.errors import RunLockedError
from prl_ray.remote_lock import Lease, RemoteLock
from prl_ray.run_lock import NAME, STALE_S
from prl_ray.stores import Store

HOLD = """
import signal, sys, time
from prl_ray import cli, remote_lock
remote_lock.HEARTBEAT_S = 0.2
def main(arguments):
    with remote_lock.RemoteLock(arguments[0]):
        print("held", flush=True)
        time.sleep(120)
cli.run("hold", "", main)
"""


class Plain(MemoryFileSystem):
    """A store that cannot create a file in one step: of two drivers that do, both succeed."""

    protocol = "plain"
    between: Callable[[], None] = staticmethod(lambda: None)

    def pipe_file(self, path: Any, value: Any, mode: str = "overwrite", **options: Any) -> None:
        if mode == "create":
            if self.exists(path):
                raise FileExistsError
            type(self).between()
        super().pipe_file(path, value)


fsspec.register_implementation("plain", Plain, clobber=True)


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    MemoryFileSystem.store.clear()
    return f"{request.param}://{tmp_path}/bucket/run"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_lock, "WATCH_S", 0.6)
    monkeypatch.setattr(remote_lock, "SETTLE_S", 0.05)


def elsewhere(beat: float, started: float | None = None) -> Lease:
    """The lease of a process of another machine, renewed at ``beat``."""
    return Lease("other", 7, time.time() - 3600 if started is None else started, "another boot", "t", beat)


def held(url: str) -> Lease | None:
    return Lease.read(Store(url).read(NAME) or b"")


def test_a_second_driver_is_refused_and_told_who_holds_it(url: str) -> None:
    with RemoteLock(url):
        with pytest.raises(RunLockedError, match=rf"process {os.getpid()} on {socket.gethostname()}, started 0 min"):
            RemoteLock(url).__enter__()
        assert held(url) is not None, "the refused one leaves the lease alone"
    assert Store(url).read(NAME) is None


def test_another_machines_lease_counts_at_once_while_it_is_renewed(url: str) -> None:
    Store(url).replace(NAME, elsewhere(time.time()).written())
    start = time.monotonic()
    with pytest.raises(RunLockedError, match=r"process 7 on other, started 60 minutes ago; its lease runs out 90 s"):
        RemoteLock(url).__enter__()
    assert time.monotonic() - start < 0.5


@pytest.mark.parametrize("off_s", [-STALE_S - 5, STALE_S + 5])
def test_a_lease_that_nobody_renews_is_taken_over_with_a_word(url: str, off_s: float) -> None:
    """Also one that a clock in the future wrote."""
    Store(url).replace(NAME, elsewhere(time.time() + off_s).written())
    said: list[str] = []
    with RemoteLock(url, said.append):
        assert len(said) == 1 and "process 7 on other" in said[0]
        now = held(url)
        assert now is not None and now.process == os.getpid()


def test_clocks_that_disagree_take_no_lease_from_a_living_holder(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The holder's clock is an hour behind: its lease looks old, and is renewed while it is watched."""
    behind = elsewhere(time.time() - 3600)
    Store(url).replace(NAME, behind.written())
    renewed = replace(behind, beat=behind.beat + 20)
    monkeypatch.setattr(remote_lock.time, "sleep", lambda seconds: Store(url).replace(NAME, renewed.written()))
    with pytest.raises(RunLockedError, match="process 7 on other"):
        RemoteLock(url).__enter__()
    assert held(url) == renewed


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"host": "x"}', b"\x00"])
def test_a_lease_that_nobody_wrote_whole_is_taken_over_after_a_while(url: str, text: bytes) -> None:
    Store(url).replace(NAME, text)
    with RemoteLock(url):
        assert held(url) is not None


def holding(url: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_a_killed_driver_of_this_machine_is_known_to_be_gone(tmp_path: Path) -> None:
    url, said = f"file://{tmp_path}/run", list[str]()
    holder = holding(url)
    with pytest.raises(RunLockedError, match=f"process {holder.pid}"):
        RemoteLock(url).__enter__()
    holder.kill()
    holder.wait()
    start = time.monotonic()
    with RemoteLock(url, said.append):
        assert str(holder.pid) in said[0] and time.monotonic() - start < 0.5


def test_the_lease_is_renewed(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/run"
    holder = holding(url)
    try:
        first = held(url)
        deadline = time.monotonic() + 20
        while (now := held(url)) == first and time.monotonic() < deadline:
            time.sleep(0.05)
        assert first is not None and now is not None and now.beat > first.beat and now.token == first.token
    finally:
        holder.send_signal(signal.SIGTERM)
        holder.wait()
    assert Store(url).read(NAME) is None, "an interrupted driver gives it back"


def test_a_driver_that_stood_still_and_lost_its_lease_ends_with_one_message(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/run"
    holder = holding(url)
    theirs = elsewhere(time.time(), started=time.time())
    Store(url).replace(NAME, theirs.written())
    _, said = holder.communicate(timeout=60)
    assert holder.returncode == 1 and said.count("error: ") == 1 and "Traceback" not in said
    assert "another process has taken over the run" in said and "process 7 on other" in said
    assert held(url) == theirs, "it leaves the new holder's lease alone"


def test_of_two_drivers_at_the_same_moment_one_is_refused_also_without_exclusive_creation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    MemoryFileSystem.store.clear()
    url = "plain://bucket/run"
    second = elsewhere(time.time())
    monkeypatch.setattr(remote_lock.time, "sleep", lambda seconds: Store(url).replace(NAME, second.written()))
    assert not Store(url).exclusive
    with pytest.raises(RunLockedError, match="process 7 on other"):
        RemoteLock(url).__enter__()


def test_a_request_that_was_sent_again_is_our_own_lease(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store wrote it at the first time, and says at the second that it is there."""
    create = Store.create
    monkeypatch.setattr(Store, "create", lambda store, *given: create(store, *given) and create(store, *given))
    with RemoteLock(url):
        assert held(url) is not None


@pytest.mark.parametrize("taken", [True, False])
def test_a_file_is_created_once(url: str, taken: bool) -> None:
    store = Store(url)
    if taken:
        store.replace("a", b"1")
    assert store.exclusive and store.create("a", b"2") is not taken
    assert store.read("a") == (b"1" if taken else b"2")
    files, path = store.opened
    assert [name.rpartition("/")[2] for name in files.ls(path, detail=False)] == ["a"], "nothing is left aside"


def test_a_second_command_on_another_machine_ends_with_one_message(tmp_path: Path) -> None:
    """Its disk is empty; the store alone says that the run is taken."""
    url = f"file://{tmp_path}/bucket"
    with RemoteLock(f"{url}/mine"):
        done = subprocess.run(
            [sys.executable, "-m", "prl_ray.train", "model=tiny", "name=mine", "tracking=off", f"runs_dir={url}"],
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "other")},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert [p.name for p in (tmp_path / "bucket" / "mine").iterdir()] == [NAME], "nothing is uploaded"
    assert done.returncode == 1
    assert done.stderr.strip().startswith(
        f"error: RunLockedError: another process works on the run {url}/mine: process"
    )
    assert f"process {os.getpid()}" in done.stderr and len(done.stderr.strip().splitlines()) == 1
