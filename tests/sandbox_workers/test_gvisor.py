"""gVisor's level: the bundle that is made of a jail, and what is said where it cannot be had."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sandbox_workers import Sandbox, SandboxUnavailable, TestSuite, gvisor, isolation

SUITE = TestSuite("assert", tests=("assert f(3) == 9",))


def test_without_runsc_the_error_names_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxUnavailable, match="runsc"):
        Sandbox("gvisor")


def test_other_languages_are_refused_at_start() -> None:
    with pytest.raises(SandboxUnavailable, match="Python only"):
        Sandbox("gvisor", languages=("python", "cpp"))


def test_the_level_runs_or_says_why_not() -> None:
    if shutil.which("runsc") is None:
        assert not isolation_is_available("gvisor")
        return
    with Sandbox("gvisor") as sandbox:
        assert sandbox.run("def f(n):\n    return n * n\n", SUITE).ok
        assert (
            sandbox.execute("import os; print(os.uname().release)").stdout
            != Path("/proc/sys/kernel/osrelease").read_text()
        ), "the kernel that answers is not the host's"


def isolation_is_available(level: str) -> bool:
    try:
        Sandbox(level).close()
    except SandboxUnavailable:
        return False
    return True


def test_a_bundle_binds_what_may_be_read_and_nothing_else(tmp_path: Path) -> None:
    library, bundle = tmp_path / "library", tmp_path / "bundle"
    (library / "inner").mkdir(parents=True)
    (tmp_path / "link").symlink_to("library")
    bundle.mkdir()
    readable = [str(library), str(library / "inner"), str(tmp_path / "link")]
    jail = isolation.jail_config("gvisor", str(bundle), (), (), may_fork=False) | {"readable": readable}
    command = gvisor.command("/usr/bin/runsc", str(bundle), ["python", "-c", "pass"], {"LANG": "C.UTF-8"}, jail)
    spec = json.loads((bundle / "config.json").read_text())
    assert command[0] == "/usr/bin/runsc" and "--network=none" in command and command[-1] == "bundle"
    assert spec["process"]["args"] == ["python", "-c", "pass"] and spec["process"]["env"] == ["LANG=C.UTF-8"]
    assert spec["root"]["readonly"] is True
    assert [mount["source"] for mount in spec["mounts"]] == ["proc", str(library)]
    assert spec["mounts"][1]["options"] == ["ro", "rbind"]
    root = bundle / "root"
    assert (root / str(tmp_path)[1:] / "link").readlink() == Path("library")
    assert (root / str(library)[1:]).stat().st_mode & 0o777 == 0o711
