"""Facts about the machine and the checkout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from prl_ray import machine


def test_the_environment_says_what_timings_depend_on() -> None:
    facts = machine.environment()
    assert facts["python"] == sys.version.split()[0]
    assert facts["cores"] >= 1 and facts["memory_gb"] > 0.1 and facts["processor"]
    assert set(facts["versions"]) >= {"torch", "ray", "hydra-core"}
    if Path("/proc/cpuinfo").exists():
        words = set(Path("/proc/cpuinfo").read_text().split())
        assert ("avx2" in facts["flags"]) == ("avx2" in words)
    assert len(facts["commit"]) in (0, 40, 64) and isinstance(facts["dirty"], bool)


def test_this_machines_flags_are_read() -> None:
    assert {"fpu", "fp"} & machine.processor_flags()  # x86 has the first, Arm the second


def test_an_installed_package_has_no_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Even if its folder lies within another project's checkout."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    author = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", tmp_path, *author, "commit", "-qm", "a", "--allow-empty"], check=True)
    (tmp_path / "site-packages").mkdir()
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    assert len(str(machine.environment()["commit"])) >= 40
    monkeypatch.setattr(machine, "ROOT", tmp_path / "site-packages")
    assert machine.environment()["commit"] == ""
