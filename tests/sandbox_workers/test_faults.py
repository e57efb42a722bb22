"""Zygotes that are killed, recycled and outlived: no verdict is lost or wrong, nothing is left behind."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from sandbox_workers import Limits, Sandbox, SandboxError, SandboxUnavailable, TestSuite
from sandbox_workers.held import hold
from sandbox_workers.memory_group import MemoryGroup

SUITE = TestSuite("assert", tests=("assert f(3) == 9", "assert f(4) == 16"))
GOOD, BAD = "def f(n):\n    return n * n\n", "def f(n):\n    return n + 6\n"


def test_killing_the_zygote_under_load_changes_no_verdict() -> None:
    with Sandbox() as sandbox:
        done = threading.Event()

        def kill_again_and_again() -> None:
            dice = random.Random(0)
            while not done.is_set():
                time.sleep(dice.uniform(0.0, 0.3))
                with suppress(ProcessLookupError, ValueError):
                    os.kill(sandbox.zygote_pid, signal.SIGKILL)

        killer = threading.Thread(target=kill_again_and_again)
        killer.start()
        try:
            statuses: list[str] = []
            end = time.monotonic() + 20
            while sandbox.restarts < 5 and time.monotonic() < end:
                statuses += [sandbox.run(program, SUITE).status.value for program in (GOOD, BAD)]
        finally:
            done.set()
            killer.join()
        wrong = [status for status in statuses[::2] if status not in ("passed", "sandbox_error")]
        assert wrong == [] and "passed" in statuses[::2]
        assert set(statuses[1::2]) <= {"wrong_answer", "sandbox_error"}
        assert statuses.count("sandbox_error") < 10
        assert sandbox.restarts >= 5
        assert sandbox.run(GOOD, SUITE).ok


def test_a_zygote_killed_between_programs_costs_no_verdict() -> None:
    with Sandbox() as sandbox:
        for _ in range(3):
            os.kill(sandbox.zygote_pid, signal.SIGKILL)
            os.waitid(os.P_PID, sandbox.zygote_pid, os.WEXITED | os.WNOWAIT)  # gone, with all its children
            assert sandbox.run(GOOD, SUITE).ok
        assert sandbox.restarts == 3


def test_a_stopped_zygote_is_replaced() -> None:
    with Sandbox() as sandbox:
        os.kill(sandbox.zygote_pid, signal.SIGSTOP)
        assert sandbox.run(GOOD, SUITE, limits=Limits(wall_s=0.5)).status in ("passed", "timeout")
        assert sandbox.run(GOOD, SUITE).ok


def test_recycling() -> None:
    with Sandbox(recycle_after=5) as sandbox:
        pids = set()
        for _ in range(20):
            assert sandbox.run(GOOD, SUITE).ok
            pids.add(sandbox.zygote_pid)
        assert len(pids) >= 4
        assert sandbox.restarts == 0


def open_descriptors(pid: int | str) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(child) for child in children.read_text().split()] if children.exists() else []
    return found + [grandchild for child in found for grandchild in descendants(child)]


def left_over(sandbox: Sandbox) -> int:
    """Processes in the sandbox but the compiler and the children that wait for a program, which may still be starting
    or ending.
    """
    worker = sandbox._living()
    waiting = len(worker._slots._spares) + (worker._compiler._child is not None)
    deadline = time.monotonic() + 5
    while (left := len(descendants(sandbox.zygote_pid)) - waiting) and time.monotonic() < deadline:
        time.sleep(0.01)
    return left


def test_every_child_is_reaped_and_no_descriptor_is_left() -> None:
    hostile = "import os, threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\n"
    forking = "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        time.sleep(99)\n"
    with Sandbox() as sandbox:
        for program in (GOOD, BAD, "x = (", hostile):
            sandbox.run(program, SUITE)
        descriptors = open_descriptors("self")
        zygote_descriptors = open_descriptors(sandbox.zygote_pid)
        for _ in range(30):
            for program in (GOOD, BAD, "x = (", hostile, "import os\nos._exit(0)\n"):
                sandbox.run(program, SUITE)
        assert sandbox.run(forking + GOOD, SUITE, limits=Limits(processes=10, wall_s=0.5)).status == "passed"
        assert open_descriptors("self") <= descriptors
        assert open_descriptors(sandbox.zygote_pid) <= zygote_descriptors
        assert left_over(sandbox) == 0


def test_a_program_that_reports_its_end_and_stays_is_ended_and_what_it_used_is_known() -> None:
    say = "import json, os, struct, time\ndef say(*message):\n    body = json.dumps(message).encode()\n"
    say += "    os.write(3, struct.pack('<I', len(body)) + body)\n"
    use = "kept = b'x' * (64 << 20)\nwhile time.process_time() < 0.2: pass\n"
    right = "say('value', 0, [9])\nsay('value', 1, [16])\nsay('end')\nwhile True: pass\n"
    with Sandbox() as sandbox:
        sandbox.run(GOOD, SUITE)
        verdict = sandbox.run(say + use + right, SUITE)
        assert verdict.ok and verdict.wall_s < 2.5  # its limit is 3
        assert 0.2 <= verdict.cpu_s < 1 and verdict.peak_bytes > 64 << 20
        early = sandbox.run(say + "say('end')\nwhile True: pass\n" + GOOD, SUITE)
        assert (early.status, early.error) == ("runtime_error", "EarlyExit")
        assert left_over(sandbox) == 0  # though nothing is run
        assert sandbox.run(GOOD, SUITE).ok


def test_closing_ends_everything() -> None:
    sandbox = Sandbox()
    sandbox.run(GOOD, SUITE)
    pids = [sandbox.zygote_pid, *descendants(sandbox.zygote_pid)]
    sandbox.close()
    deadline = time.monotonic() + 2
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    with pytest.raises(ValueError, match="closed"):
        sandbox.run(GOOD, SUITE)


def test_nothing_outlives_a_parent_that_is_killed() -> None:
    code = (
        "import sys, sandbox_workers as s\n"
        "box = s.Sandbox()\nprint(box.zygote_pid, flush=True)\n"
        "box.run('while True: pass', s.TestSuite(tests=('assert f() == 1',)), limits=s.Limits(wall_s=60, cpu_s=60))\n"
    )
    root = Path(__file__).parents[2]
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout is not None
        zygote = int(parent.stdout.readline())
        time.sleep(0.3)
        pids = [zygote, *descendants(zygote)]
        assert len(pids) >= 3
        parent.kill()
    deadline = time.monotonic() + 3
    while any(_alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not [pid for pid in pids if _alive(pid)]


def _alive(pid: int) -> bool:
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def test_no_mounts_and_no_directories_are_left() -> None:
    mounts = Path("/proc/self/mounts").read_text()
    left = sorted(Path("/dev/shm").glob("sandbox-*"))
    for level in ("full", "unprivileged"):
        with Sandbox(level) as sandbox:
            assert sandbox.run(GOOD, SUITE).ok
    assert Path("/proc/self/mounts").read_text() == mounts
    assert sorted(Path("/dev/shm").glob("sandbox-*")) == left


def test_an_unknown_level_names_those_that_exist() -> None:
    with pytest.raises(SandboxUnavailable, match="full, unprivileged"):
        Sandbox("fortress")


def test_sandboxes_in_many_threads_at_once() -> None:
    verdicts: list[bool] = []

    def work() -> None:
        with Sandbox() as sandbox:
            verdicts.extend(sandbox.run(GOOD, SUITE).ok and not sandbox.run(BAD, SUITE).ok for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert verdicts == [True] * 30


def test_the_cache_is_off_unless_asked_for() -> None:
    program = "import random\nprint(random.random())\n" + GOOD
    with Sandbox(cache_size=1) as sandbox:
        first = sandbox.run(program, SUITE)
        assert sandbox.run(program, SUITE) is first
        assert sandbox.run(program, SUITE, stop_at_first_failure=False) is not first
        assert sandbox.run(program, SUITE) is not first
        loop = sandbox.run("while True: pass", SUITE, limits=Limits(wall_s=0.2))
        assert sandbox.run("while True: pass", SUITE, limits=Limits(wall_s=0.2)) is not loop
    with Sandbox() as sandbox:
        assert sandbox.run(program, SUITE) is not sandbox.run(program, SUITE)


def test_a_group_bounds_what_processes_use_together() -> None:
    group = MemoryGroup.make()
    if group is None:
        pytest.skip("no control groups for memory that we may make here")
    group.close()
    program = """
import os, time
alive = []
for _ in range(8):
    pid = os.fork()
    if pid == 0:
        block = bytearray(100 << 20)
        time.sleep(30)
        os._exit(0)
    alive.append(pid)
ended, late = set(), time.monotonic() + 15
while len(ended) < 3 and time.monotonic() < late:
    time.sleep(0.05)
    ended |= {pid for pid in alive if pid not in ended and os.waitpid(pid, os.WNOHANG)[0]}
assert len(ended) >= 3, ended
"""
    with Sandbox() as sandbox:
        assert sandbox.run(program + GOOD, SUITE, limits=Limits(wall_s=20, processes=16)).ok
        assert sandbox.run(GOOD, SUITE).ok
        assert sandbox.restarts == 0


def test_a_parent_that_is_held_up_does_not_call_a_program_late() -> None:
    script = """
from sandbox_workers import Case, Limits, Sandbox, TestSuite
program = "import time\\ntime.sleep(0.3)\\nprint(9)\\n"
with Sandbox() as sandbox:
    print("ready", flush=True)
    print(sandbox.run(program, TestSuite("stdio", cases=(Case("", "9"),)), limits=Limits(wall_s=0.6)).status)
"""
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        time.sleep(0.1)
        parent.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        parent.send_signal(signal.SIGCONT)
        assert parent.stdout.readline() == "passed\n"


def test_a_sandbox_belongs_to_the_process_that_made_it() -> None:
    with Sandbox() as sandbox:
        pid = os.fork()
        if not pid:
            try:
                sandbox.run(GOOD, SUITE)
            except SandboxError:
                sandbox.close()  # lets go, and ends nothing
                os._exit(7)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
        assert sandbox.run(GOOD, SUITE).ok
        assert sandbox.restarts == 0


def test_threads_cannot_share_one_sandbox() -> None:
    with Sandbox() as sandbox:
        slow = threading.Thread(target=sandbox.execute, args=("import time\ntime.sleep(0.5)",))
        slow.start()
        time.sleep(0.2)
        with pytest.raises(SandboxError, match="thread"):
            sandbox.run(GOOD, SUITE)
        slow.join()
        assert sandbox.run(GOOD, SUITE).ok


@pytest.mark.parametrize("limits", [{"open_files": 10**6}, {"threads": 10**7}, {"open_files": 64.5}, {"wall_s": 1e9}])
def test_limits_that_the_host_does_not_have_are_not_the_programs_fault(limits: dict[str, float]) -> None:
    with Sandbox() as sandbox, pytest.raises(ValueError, match=r"RLIMIT|Limits"):
        sandbox.run(GOOD, SUITE, limits=Limits(**limits))  # type: ignore[arg-type]


def test_directories_of_killed_parents_are_removed() -> None:
    left = Path(f"/dev/shm/sandbox-{2**22 + 1}-x")  # a process id above every one there is
    (left / "deep").mkdir(parents=True)
    with Sandbox():
        assert not left.exists()


def test_a_directory_that_another_container_holds_stays() -> None:
    """Containers may share /dev/shm and not the process ids."""
    theirs = Path(f"/dev/shm/sandbox-{2**22 + 2}-x")
    theirs.mkdir()
    held = hold(theirs)
    try:
        with Sandbox():
            assert theirs.exists()
        os.close(held)
        with Sandbox():
            assert not theirs.exists()
    finally:
        shutil.rmtree(theirs, ignore_errors=True)
