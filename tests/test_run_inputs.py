"""Where runs lie, and which problems fit into the context."""

from __future__ import annotations

from pathlib import Path

import pytest

from prl_ray import compose
from prl_ray.errors import DataError
from prl_ray.inputs import RunInputs, runs_root
from prl_ray.models.tiny import TinyShape, write_tiny


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


def test_no_problem_at_all_fits_and_none_that_fits_is_an_error(tmp_path: Path) -> None:
    """``sft.problems=0`` leaves the stage without problems, which is no fault of their prompts."""
    write_tiny(tmp_path, ["def f(x): return x"] * 8, shape=TinyShape(32, 1, 2, 1, 32, 300, 256))
    inputs = RunInputs(compose([f"model.path={tmp_path}", "model.max_prompt_tokens=8", "model.dtype=float32"]))
    assert inputs.fitting([]) == []
    with pytest.raises(DataError, match=r"max_prompt_tokens=8"):
        inputs.fitting(inputs.problems("train", 3))
