"""Child commands end with what started them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from prl_ray.child_commands import ChildCommands
from prl_ray.errors import PrlRayError

WAITING = "http.server", ["0", "--bind", "127.0.0.1"]
"""A command that ends only when it is told to."""

PARENT = """
import signal
from prl_ray import cli
from prl_ray.child_commands import ChildCommands

signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever the tests run under
signal.signal(signal.SIGHUP, signal.SIG_DFL)

def main(_):
    with ChildCommands() as commands:
        commands.run("http.server", ["0", "--bind", "127.0.0.1"])

"""


def test_an_exit_code_is_returned() -> None:
    with ChildCommands() as commands:
        assert commands.run("timeit", ["-n", "1", "-r", "1", "pass"]) == 0
        assert commands.run("timeit", ["--no-such-flag"]) == 2


def test_what_runs_in_a_thread_ends_where_the_block_is_interrupted() -> None:
    commands, codes = ChildCommands(), list[int]()
    thread = Thread(target=lambda: codes.append(commands.run(*WAITING)))
    with pytest.raises(KeyboardInterrupt), commands:
        thread.start()
        while not commands._running:
            time.sleep(0.01)
        raise KeyboardInterrupt
    thread.join(10)
    assert codes == [-signal.SIGTERM]
    with pytest.raises(PrlRayError, match="interrupted"):
        commands.run(*WAITING)


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize(("last", "code"), [("cli.run('parent', '', main, [])", 130), ("main([])", -signal.SIGINT)])
def test_a_signal_to_the_parent_ends_the_child(sent: signal.Signals, last: str, code: int) -> None:
    command = [sys.executable, "-c", PARENT + last]
    parent = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        children = _children(parent.pid)
        parent.send_signal(sent)
        _, said = parent.communicate(timeout=20)
    finally:
        parent.kill()
    assert parent.returncode == code and b"nterrupt" in said
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_arrives_while_the_child_starts_ends_it_too(
    sent: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[subprocess.Popen[bytes]] = []

    class Interrupted(subprocess.Popen[bytes]):
        def __init__(self, *arguments: object, **options: object) -> None:
            super().__init__(*arguments, **options)  # type: ignore[call-overload]
            started.append(self)
            signal.raise_signal(sent)

    monkeypatch.setattr(subprocess, "Popen", Interrupted)
    before = {number: signal.signal(number, signal.SIG_DFL) for number in (signal.SIGTERM, signal.SIGHUP)}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), ChildCommands() as commands:
            commands.run(*WAITING)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert [process.returncode for process in started] == [-signal.SIGTERM]


def _children(pid: int) -> list[int]:
    for _ in range(1000):
        if found := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            return list(map(int, found))
        time.sleep(0.02)
    raise AssertionError("no child was started")
