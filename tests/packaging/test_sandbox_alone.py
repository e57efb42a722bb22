"""``sandbox_workers`` built, installed and used by itself, in an environment that has nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "sandbox_workers"


def run(*command: str | Path, cwd: Path, code: int = 0) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an environment with this one package."""
    folder = tmp_path_factory.mktemp("alone")
    tree = folder / "sandbox_workers"
    shutil.copytree(PACKAGE, tree, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", tree, cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python3*/site-packages")
    installer = "import sys, zipfile; zipfile.ZipFile(sys.argv[1]).extractall(sys.argv[2])"
    run(sys.executable, "-c", installer, wheel, site, cwd=folder)
    return folder


def test_the_list_of_packages_is_whole() -> None:
    listed = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    found = {path.parent.relative_to(ROOT) for path in PACKAGE.rglob("__init__.py")}
    assert set(listed) == {".".join(path.parts) for path in found}


def test_it_has_every_file_and_no_dependency(environment: Path) -> None:
    (site,) = (environment / "venv" / "lib").glob("python3*/site-packages")
    for path in [*PACKAGE.rglob("*.py"), *PACKAGE.rglob("attacks/*.toml")]:
        assert (site / path.relative_to(ROOT)).is_file(), path
    (about,) = site.glob("sandbox_workers-*.dist-info")
    assert "Requires-Dist" not in (about / "METADATA").read_text()
    assert "sandbox-workers = sandbox_workers.cli:main" in (about / "entry_points.txt").read_text()


def test_it_runs_without_prl_ray(environment: Path) -> None:
    python = environment / "venv" / "bin" / "python"
    run(python, "-c", "import prl_ray", cwd=environment, code=1)
    (environment / "good.py").write_text("def f(n):\n    return n + 1\n")
    (environment / "tests.json").write_text(json.dumps({"tests": ["assert f(1) == 2"]}))
    shutil.move(environment / "sandbox_workers", environment / "tree")  # only what is installed is to be found
    said = run(python, "-m", "sandbox_workers", "run", "good.py", "--tests", "tests.json", "--json", cwd=environment)
    assert json.loads(said)["status"] == "passed"
    doctor = run(python, "-m", "sandbox_workers", "doctor", "--json", cwd=environment)
    names = {json.loads(line)["name"] for line in doctor.splitlines()}
    assert {"language cpp", "language go", "language rust", "language typescript", "isolation full"} <= names
