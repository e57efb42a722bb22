"""Two small runs, shared by the tests of a module."""

from __future__ import annotations

from pathlib import Path

import pytest
from view_run import finish, write_run

from prl_ray.view.runs import Runs


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, ``one`` and ``two``."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "two"):
        write_run(folder / name)
    finish(folder / "one")
    return folder


@pytest.fixture
def runs(runs_folder: Path) -> Runs:
    return Runs([runs_folder])
