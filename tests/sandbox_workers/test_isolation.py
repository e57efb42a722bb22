"""Levels of isolation: each works wherever its caller lives, or says at the start what it lacks."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox_workers import Limits, Sandbox, Status, TestSuite

SUITE = TestSuite("assert", tests=("assert f(3) == 9", "assert f(4) == 16"))
GOOD = "def f(n):\n    return n * n\n"

PASSES = f"""
import sys
from sandbox_workers import Sandbox, TestSuite
with Sandbox(sys.argv[1]) as sandbox:
    assert sandbox.run({GOOD!r}, TestSuite("assert", tests=("assert f(3) == 9",))).ok
    assert sandbox.execute("print(1)").stdout == "1\\n"
"""


@pytest.mark.parametrize("level", ["full", "unprivileged"])
@pytest.mark.parametrize(
    "circumstances",
    [
        "umask 077",
        "trap '' CHLD",
        "exec 0<&- 2>&-",
        "exec 0<&- 1>&-",
        'ulimit -n 2000; for i in $(seq 10 1100); do eval "exec $i</dev/null"; done',
        "export TMPDIR=/nowhere",
    ],
)
def test_it_works_wherever_its_caller_lives(level: str, circumstances: str) -> None:
    line = ["bash", "-c", f'{circumstances}; exec "$0" -c "$1" {level}', sys.executable, PASSES]
    done = subprocess.run(line, capture_output=True, text=True, check=False, timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr[-500:]


DAEMON = """
import os, time
if os.fork() == 0:
    if os.fork() == 0:
        time.sleep(60)
    os._exit(0)
def f(n):
    return n * n
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: else more than one process is refused at this level")
def test_what_a_program_starts_ends_with_it_without_namespaces_too() -> None:
    with Sandbox("unprivileged") as sandbox:
        started = time.monotonic()
        assert sandbox.run(DAEMON, SUITE, limits=Limits(wall_s=5, processes=4)).ok
        assert time.monotonic() - started < 4
        assert sandbox.restarts == 0


CLOSED = """
import sys
from sandbox_workers import Sandbox, TestSuite
PROGRAM = '''
def f(path):
    import closed_to_others, colorsys
    try:
        return open(path).read()
    except PermissionError:
        return closed_to_others.N
'''
with Sandbox("unprivileged", packages=["closed_to_others"]) as sandbox:
    verdict = sandbox.run(PROGRAM, TestSuite(tests=(f"assert f({sys.argv[1]!r}) == 3",)))
    assert verdict.ok, verdict
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: else programs have the user id of their caller")
@pytest.mark.parametrize("capable", [True, False])
def test_packages_in_a_directory_closed_to_others_are_imported_or_refused(tmp_path: Path, capable: bool) -> None:
    folder, secret = tmp_path / "packages", tmp_path / "secret"
    secret.write_text("secret")
    metadata = folder / "closed_to_others-1.dist-info"
    metadata.mkdir(parents=True)
    (folder / "closed_to_others.py").write_text("N = 3\n")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: closed-to-others\nVersion: 1\n")
    (metadata / "RECORD").write_text("closed_to_others.py,,\n")
    tmp_path.chmod(0o700)
    place = Path(__file__).parents[2]
    path = os.pathsep.join((str(folder), str(place)))
    without = [] if capable else ["setpriv", "--bounding-set", "-dac_read_search", "--inh-caps", "-dac_read_search"]
    line = [*without, sys.executable, "-c", CLOSED, str(secret)]
    done = subprocess.run(
        line, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == (0 if capable else 1), done.stderr[-800:]
    assert capable or ("SandboxUnavailable" in done.stderr and "DAC_READ_SEARCH" in done.stderr)


PYTEST_SUITE = """
import pytest
@pytest.mark.parametrize("n, square", [(2, 4), (3, 9)])
def test_square(n, square, tmp_path):
    assert f(n) == square
"""


def test_pytest_runs_at_the_lowest_level_too() -> None:
    with Sandbox("unprivileged", packages=["pytest"]) as sandbox:
        suite = TestSuite(tests=(PYTEST_SUITE,))
        assert sandbox.run(GOOD, suite).ok
        assert sandbox.run(GOOD.replace("n * n", "4"), suite).status is Status.WRONG_ANSWER
