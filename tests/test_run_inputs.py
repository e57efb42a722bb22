"""Where runs lie."""

from __future__ import annotations

from pathlib import Path

import pytest

from prl_ray.inputs import runs_root


def test_a_relative_folder_is_below_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert runs_root("runs") == tmp_path.resolve() / "runs"


def test_but_never_in_the_session_of_a_submitted_job(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    job = tmp_path / "session" / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    job.mkdir(parents=True)
    monkeypatch.chdir(job)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert runs_root("runs") == (tmp_path / "home" / "runs").resolve()
    assert runs_root("/shared/runs") == Path("/shared/runs")
