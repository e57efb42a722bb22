"""The ideas of the attack suite in a compiled program, which no interpreter holds back."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from sandbox_workers import Case, Limits, Sandbox, Status, TestSuite

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ here")
PROGRAM = (Path(__file__).parent / "native" / "attacks.cpp").read_text()
LIMITS = Limits(wall_s=1.0, cpu_s=5.0, memory_mb=128)
LEAST = 50
"""Attacks there have to be: a list that came back short would show nothing."""
_BY_LIMIT = {
    "never_end": {Status.TIMEOUT},
    "sleep_for_long": {Status.TIMEOUT},
    "flood": {Status.OUTPUT_LIMIT},
    "die": {Status.RUNTIME_ERROR},
    "old_calls": {Status.FORBIDDEN, Status.RUNTIME_ERROR},
}
"""What some have to get; the others may be refused, and say so, or be ended."""


def test_no_attack_of_a_compiled_program_gets_through() -> None:
    with Sandbox(limits=LIMITS, languages=["cpp"]) as sandbox:
        listed = sandbox.execute(PROGRAM, "list", language="cpp")
        names = listed.stdout.split()
        assert len(names) >= LEAST, listed
        names.sort(key=lambda name: (name == "meet_the_last_program", name))  # after the one that leaves something
        cases = [case for name in names for case in (Case(name, "through"), Case("honest", "through"))]
        started = time.monotonic()
        suite = TestSuite("stdio", cases=tuple(cases))
        verdicts = [sandbox.execute(PROGRAM, "honest", language="cpp").verdict]
        assert verdicts[0].ok
        whole = sandbox.run(PROGRAM, suite, language="cpp", stop_at_first_failure=False)
        assert whole.passed == len(names), f"{whole}: more or fewer than the honest runs passed"
        assert time.monotonic() - started < len(names) * 1.0 + 30
        for name, right in _BY_LIMIT.items():
            alone = TestSuite("stdio", cases=(Case(name, "through"),))
            assert sandbox.run(PROGRAM, alone, language="cpp").status in right, name
        assert sandbox.restarts == 0
