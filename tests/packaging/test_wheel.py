"""The wheel, built from a copy of the checkout and used outside of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str, cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *command], cwd=cwd, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    tree = tmp_path_factory.mktemp("build") / "tree"
    tree.mkdir()
    for name in ("prl_ray", "sandbox_workers", "conf"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.cfg", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    run("-m", "build", "--wheel", "--no-isolation", "--outdir", str(tree / "dist"), cwd=tree)
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the wheel's packages and nothing of the checkout."""
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_everything_that_runs_is_inside_and_nothing_else(wheel: Path):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for package, target in (("prl_ray", "prl_ray"), ("sandbox_workers", "sandbox_workers"), ("conf", "prl_ray/conf")):
        files = {p for suffix in (".py", ".yaml") for p in (ROOT / package).rglob(f"*{suffix}")}
        assert {f"{target}/{p.relative_to(ROOT / package)}" for p in files} <= names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"prl_ray", "sandbox_workers"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_every_config_folder_is_a_package():
    folders = [ROOT / "conf", *(p for p in (ROOT / "conf").rglob("*") if p.is_dir() and p.name != "__pycache__")]
    assert [str(f) for f in folders if not (f / "__init__.py").is_file()] == []


def test_the_configs_compose_from_the_wheel(installed: Path, tmp_path: Path):
    script = "import prl_ray.conf\nprint(prl_ray.conf.__file__, prl_ray.compose(['+cluster=local']).cluster.name)\n"
    said = run("-c", script, cwd=tmp_path, PYTHONPATH=str(installed)).split()
    assert Path(said[-2]) == installed / "prl_ray" / "conf" / "__init__.py"
    assert said[-1] == "local"


def test_training_starts_from_the_wheel_outside_the_checkout(installed: Path, tmp_path: Path):
    said = run("-m", "prl_ray.train", "--help", cwd=tmp_path, PYTHONPATH=str(installed))
    assert "stages" in said
    assert "cluster" in said


def test_the_sandbox_needs_only_the_standard_library(installed: Path, tmp_path: Path):
    """Imported by an interpreter that sees no installed package at all (``-S``: no site-packages)."""
    script = (
        f"import sys; sys.path.insert(0, {str(installed)!r})\n"
        "import sandbox_workers\n"
        "print(sandbox_workers.__file__, *sorted(m for m in ('torch', 'ray', 'numpy', 'prl_ray') if m in sys.modules))"
    )
    assert run("-I", "-S", "-c", script, cwd=tmp_path).split() == [str(installed / "sandbox_workers" / "__init__.py")]
