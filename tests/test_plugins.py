"""Names, import paths and entry points lead to entries; parameters are checked against a function's signature."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import pytest

from prl_ray import compose
from prl_ray.errors import ConfigError
from prl_ray.plugins import Bounds, Registry, checked_params
from prl_ray.rewards.shaping import SHAPINGS

OWN = """
from typing import Annotated

import numpy as np

from prl_ray.plugins import Bounds
from prl_ray.rewards.inputs import Floats, RewardInputs
from prl_ray.rewards.shaping import shaping


@shaping(needs="tests")
def late(x: RewardInputs, *, factor: Annotated[float, Bounds(low=0, high=1)] = 0.5, steps: int = 1) -> Floats:
    "The outcome times a factor."
    return x.at_end(factor * x.outcome)


def plain(x):
    return x


def _broken():
    import no_such_module_anywhere
"""


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_rewards_for_tests.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_rewards_for_tests"


def test_a_reward_of_ones_own_is_chosen_by_import_path_with_its_parameters(own_package: str) -> None:
    config = compose([f"reward.name={own_package}:late", "reward.params.factor=0.25"])
    shaping = SHAPINGS.find(config.reward.name)
    assert config.run_name.endswith("-late")
    assert (shaping.name, shaping.needs) == ("late", "tests")
    assert shaping.check_params(config.reward.params) == {"factor": 0.25}


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["reward.name=own_rewards_for_tests:late", "reward.params.factr=1"], "no key 'reward.params.factr'.*'factor'"),
        (
            ["reward.name=own_rewards_for_tests:late", "reward.params.factor=2"],
            "reward.params.factor=2.*maximum 1",
        ),
        (["reward.name=own_rewards_for_tests:late", "reward.params.factor=nan"], "reward.params.factor=nan.*finite"),
        (["reward.name=own_rewards_for_tests:late", "reward.params.steps=x"], "reward.params.steps.*'x'"),
        (["reward.name=own_rewards_for_tests:plain"], "not a valid reward shaping: decorate"),
        (["reward.name=own_rewards_for_tests:latte"], "has no 'latte'"),
        (["reward.name=no_such_package.rewards:late"], "no module no_such_package"),
        (["reward.params.factor=1"], "no key 'reward.params.factor'; known: none"),
        (["reward.name=latte"], "package.module:attribute"),
        (["algorithm.learning_rate=nan"], "algorithm.learning_rate=nan.*finite"),
        (["reward.failed=-inf"], "reward.failed=-inf.*finite"),
        (["teacher.weights.missing_slice=inf"], "teacher.weights.missing_slice=inf.*finite"),
        (["teacher.operators=[own_rewards_for_tests:plain]"], "not a valid operator: decorate"),
    ],
)
def test_what_does_not_fit_is_an_error_that_says_what_would(own_package: str, overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(overrides)


def test_an_error_inside_a_module_is_not_taken_for_a_missing_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_another_for_tests.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="no_such_module_anywhere"):
        SHAPINGS.find("needs_another_for_tests:late")


def test_an_installed_package_registers_through_an_entry_point(tmp_path: Path) -> None:
    info = tmp_path / "own_rewards-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: own-rewards\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[prl_ray.shapings]\nlate = own_rewards_for_tests:late\n")
    (tmp_path / "own_rewards_for_tests.py").write_text(OWN)
    script = (
        "from prl_ray import compose; from prl_ray.cli import help_text; from prl_ray.rewards.shaping import SHAPINGS\n"
        "print(compose(['reward.name=late', 'reward.params.factor=1']).reward.name, 'late' in list(SHAPINGS))\n"
        "print('late' in next(line for line in help_text('').splitlines() if 'reward.name=' in line))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    answer = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["late", "True", "True"]


def test_a_name_is_taken_once() -> None:
    registry: Registry[Callable[[], int]] = Registry("number", "prl_ray.tests", {"one": lambda: 1})
    assert registry.find("one")() == 1 and list(registry) == ["one"] and len(registry) == 1
    with pytest.raises(ValueError, match="'number' are called one"):
        registry.add("one", lambda: 2)
    with pytest.raises(ConfigError, match="unknown number 'ones'; known: one; did you mean 'one'"):
        registry.find("ones")


def test_entries_may_be_loaded_late() -> None:
    registry: Registry[Callable[..., str]] = Registry("path", "prl_ray.tests", {"join": "os.path:join"})
    assert list(registry) == ["join"] and registry.find("join")("a", "b") == "a/b"


def test_parameters_need_types_and_defaults() -> None:
    def untyped(x: int, *, y=1) -> int:  # type: ignore[no-untyped-def]
        return x + int(y)

    def required(x: int, *, y: int) -> int:
        return x + y

    def good(x: int, *, y: int | None = None, word: Annotated[str, Bounds(choices=("a", "b"))] = "a") -> int:
        return x + (y or 0)

    for function in (untyped, required):
        with pytest.raises(ConfigError, match="'y' needs a type and a default"):
            checked_params(function, {}, "params")
    assert checked_params(good, {"y": 2}, "params") == {"y": 2}
    with pytest.raises(ConfigError, match=r"params.word=c is not one of a, b"):
        checked_params(good, {"word": "c"}, "params")
