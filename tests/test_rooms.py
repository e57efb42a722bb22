"""Imports go one way: pure packages know neither Ray nor an engine, the sandbox knows nothing of the trainer, and no
module imports, directly or through others, a module that imports it."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tools.house import PACKAGES, cycles, imports  # noqa: E402

ENGINES = {"ray", "vllm", "deepspeed"}
FORBIDDEN = {
    "prl_ray/ppo": ENGINES | {"prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/rewards": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/lines": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/problems": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/score": ENGINES | {"prl_ray.loop", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/supervision": ENGINES | {"prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/config": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "sandbox_workers": ENGINES | {"torch", "numpy", "transformers", "prl_ray"},
}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("room", FORBIDDEN)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    files = list((ROOT / room).rglob("*.py"))
    assert files
    found = {
        (str(file.relative_to(ROOT)), name)
        for file in files
        for name in imported(file)
        for banned in FORBIDDEN[room]
        if name == banned or name.startswith(f"{banned}.")
    }
    assert not found


def test_no_module_imports_itself_through_others() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    found = cycles(imports(ROOT, {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}))
    assert not list(found)


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("prl_ray.rewards.shaping", ENGINES | {"torch"}),
        ("prl_ray.problems", ENGINES | {"torch"}),
        ("prl_ray.lines", ENGINES | {"torch"}),
        ("prl_ray.config", ENGINES | {"torch"}),
        ("prl_ray.ppo.advantages", ENGINES),
        ("prl_ray.supervision", ENGINES),
        ("prl_ray.inputs", ENGINES),
        ("prl_ray.stages", ENGINES),
        ("prl_ray.config.composition", ENGINES | {"torch"}),
        ("prl_ray.evaluation", ENGINES | {"torch"}),
        ("prl_ray.experiment.page", ENGINES | {"torch"}),
        ("sandbox_workers", ENGINES | {"torch", "numpy"}),
    ],
)
def test_importing_a_module_does_not_load(module: str, absent: set[str]) -> None:
    code = f"import sys, {module}; print(*sorted(set(sys.modules) & {absent!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == ""


def test_the_sandbox_needs_the_standard_library_only() -> None:
    for file in (ROOT / "sandbox_workers").rglob("*.py"):
        foreign = {name.split(".")[0] for name in imported(file)} - sys.stdlib_module_names - {"sandbox_workers"}
        assert not foreign, file


def test_test_modules_have_names_of_their_own() -> None:
    """pytest imports test modules by their names alone: two of one name cannot be collected in one run."""
    names = [file.name for file in (ROOT / "tests").rglob("*.py") if file.name != "conftest.py"]
    assert sorted(names) == sorted(set(names))
