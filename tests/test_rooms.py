"""Imports go one way: the pure rooms know neither Ray nor an engine, and the sandbox knows nothing of the trainer."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ENGINES = {"ray", "vllm", "deepspeed"}
FORBIDDEN = {
    "prl_ray/ppo": ENGINES | {"prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/rewards": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/credit": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/lines": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/problems": ENGINES | {"torch", "prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/score": ENGINES | {"prl_ray.loop", "prl_ray.stages", "prl_ray.recipe"},
    "prl_ray/supervision": ENGINES | {"prl_ray.actors", "prl_ray.stages", "prl_ray.recipe"},
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
