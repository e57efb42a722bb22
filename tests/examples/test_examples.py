"""The examples run as their first lines say, and what they define can be chosen by import path."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from prl_ray import compose
from prl_ray.actors.weights import TransportSetup
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import init_reward_model
from prl_ray.models.saving import save_model
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.plugins import Registry, imported
from prl_ray.ppo.advantages import ESTIMATORS, AdvantageInputs
from prl_ray.problems import load_problems

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SHOWN = {
    "own_reward.py": ["short: +0.00 +1.00", "long: +0.00 +0.00 -0.10 +0.90"],
    "own_problems.py": ["n times 3", "passed", "wrong_answer"],
    "own_estimator.py": ["[0.0, -1.2999", "-1.600000023841858, 0.0]"],
    "own_transport.py": ["reload_weights: embed 6", "reload_weights: head 6", "reload_weights: body 4"],
    "verify_alone.py": ["right: passed, 2 of 2", "wrong: wrong_answer", "endless: timeout", "cheating: "],
}


def run(*words: str | Path) -> str:
    answer = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.parametrize("name", SHOWN)
def test_an_example_runs(name: str) -> None:
    shown = run(EXAMPLES / name)
    for words in SHOWN[name]:
        assert words in shown
    assert "cheating: passed" not in shown


def test_every_example_is_run() -> None:
    assert {file.name for file in EXAMPLES.glob("*.py")} == {*SHOWN, "score_a_file.py"}


def test_a_file_is_scored_from_python(tmp_path: Path) -> None:
    policy = tmp_path / "policy"
    policy.mkdir()
    texts = [f"# Add {n}.\ndef f(x):\n    return x + {n}\n" for n in range(40)]
    write_tiny(policy, texts, seed=1, shape=TinyShape(64, 2, 2, 1, 96, 300, 128))
    prm = tmp_path / "prm"
    save_model(init_reward_model(policy, torch.float32, kind="prm"), load_tokenizer(policy), prm)
    program = tmp_path / "program.py"
    program.write_text("def f(x):\n    # why\n    return x + 1\n")
    shown = run(EXAMPLES / "score_a_file.py", prm, program, "# Add 1.")
    assert "   2   -    # why" in shown and "lowest score: line" in shown
    assert len(shown.splitlines()) == 5


def test_what_the_examples_define_is_chosen_by_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    config = compose(
        [
            "experiment=smoke",
            "reward.name=own_reward:late_lines",
            "reward.params.after=2",
            "problems.name=own_problems:load",
            "problems.params.largest=50",
            "algorithm.estimator=own_estimator:best_of_prompt",
            "algorithm.estimator_params.share=0.5",
            "cluster.weights=own_transport:compressed",
            "cluster.weights_params.level=6",
        ]
    )
    problems = load_problems(config.problems.name, split="train", **config.problems.options)
    assert [p.task_id for p in problems][-1] == "multiply/49"
    transport = TransportSetup.of(config.cluster, Path("run")).open()
    assert (transport.folder, transport.level) == (Path("run/weights"), 6)  # type: ignore[attr-defined]
    estimator = ESTIMATORS.find(config.algorithm.estimator)
    inputs = AdvantageInputs(np.array([1.0, 0.0], dtype=np.float32), np.arange(3), np.zeros(2, dtype=np.int64))
    assert estimator(inputs, config.algorithm.estimator_params).advantages.tolist() == [0.5, -0.5]


@pytest.mark.parametrize(
    "registry",
    [
        "prl_ray.rewards.shaping:SHAPINGS",
        "prl_ray.rewards.controls:CONTROLS",
        "prl_ray.ppo.advantages:ESTIMATORS",
        "prl_ray.ppo.config:POLICY_LOSSES",
        "prl_ray.ppo.normalisers:NORMALISERS",
        "prl_ray.problems:LOADERS",
        "prl_ray.supervision.operators:OPERATORS",
    ],
)
def test_every_entry_of_every_registry_loads(registry: str) -> None:
    found = imported(registry)
    assert isinstance(found, Registry) and found.group.startswith("prl_ray.")
    assert len(list(found.values())) == len(found) > 0
