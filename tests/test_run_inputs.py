"""Where runs lie, and which problems fit into the context."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest
import torch

from prl_ray import compose
from prl_ray.errors import DataError, ModelError
from prl_ray.inputs import RunInputs, runs_root
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import init_reward_model
from prl_ray.models.saving import save_model
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.stages import evaluate, label, ppo, prm, sft

TINY = TinyShape(32, 1, 2, 1, 32, 300, 512)


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


def written(folder: Path, references: Sequence[bool]) -> str:
    """A file of problems, of which some have a reference; its override."""
    rows = [
        {"task_id": str(i), "prompt": "double", "entry_point": "f", "tests": ["assert f(2) == 4"], "references": known}
        for i, known in enumerate(["def f(x):\n    return x * 2\n"] if has else [] for has in references)
    ]
    (folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"problems.path={folder / 'mine.jsonl'}"


def slices(overrides: Sequence[str]) -> dict[str, list[str]]:
    inputs = RunInputs(compose(["problems=jsonl", "loop.steps=2", "loop.prompts_per_step=2", *overrides]))
    return {stage: [p.task_id for p in problems] for stage, problems in inputs.train_slices.items()}


def test_ppo_also_learns_from_problems_without_a_reference(tmp_path: Path) -> None:
    file = written(tmp_path, [False, True, True, False, True, False, False])
    apart = slices([file, "sft.problems=1", "teacher.problems=2"])
    assert apart == {"sft": ["1"], "label": ["2", "4"], "ppo": ["0", "3", "5", "6"]}
    shared = slices([file, "sft.problems=2", "teacher.problems=2"])  # too few references to be apart
    assert shared == {"sft": ["1", "2"], "label": ["1", "2"], "ppo": ["0", "3", "5", "6"]}
    few = slices([file, "sft.problems=2", "teacher.problems=2", "loop.steps=4"])
    assert few["ppo"] == [str(i) for i in range(7)]


def test_without_any_reference_each_stage_that_needs_one_says_what_to_do(tmp_path: Path) -> None:
    def checked(stage: ModuleType, *overrides: str) -> None:
        stage.check(RunInputs(compose(["problems=jsonl", "loop.validate_every=0", file, *overrides])))

    file = written(tmp_path, [False] * 4)
    with pytest.raises(DataError, match=r"no training problem with a reference .* label needs: .*stages=\["):
        checked(label)
    with pytest.raises(DataError, match=r"sft needs: .*sft.problems=0"):
        checked(sft)
    checked(sft, "sft.problems=0")
    with pytest.raises(DataError, match=r"locator=exact needs: .*locator=surprise"):
        checked(ppo)
    checked(ppo, "locator=surprise")
    checked(ppo, "algorithm.estimator=rloo")
    with pytest.raises(DataError, match="no problem of split 'validation'"):
        checked(ppo, "algorithm.estimator=rloo", "loop.validate_every=5")
    with pytest.raises(DataError, match="no problem of split 'test'"):
        checked(evaluate)


def test_no_problem_at_all_fits_and_none_that_fits_is_an_error(tmp_path: Path) -> None:
    """``sft.problems=0`` leaves the stage without problems, which is no fault of their prompts."""
    write_tiny(tmp_path, ["def f(x): return x"] * 8, shape=TINY)
    inputs = RunInputs(compose([f"model.path={tmp_path}", "model.max_prompt_tokens=8", "model.dtype=float32"]))
    assert inputs.fitting([]) == []
    with pytest.raises(DataError, match=r"max_prompt_tokens=8"):
        inputs.fitting(inputs.problems("train", 3))


def test_a_given_prm_is_one_for_this_policys_tokens_and_lines(tmp_path: Path) -> None:
    policy, other = tmp_path / "policy", tmp_path / "other"
    write_tiny(policy, ["def f(x): return x"] * 8, shape=TINY)
    write_tiny(other, ["class Elephant: trunk = 1"] * 8, shape=TINY)
    for folder in (policy, other):
        save_model(init_reward_model(folder, torch.float32, kind="prm"), load_tokenizer(folder), folder / "prm")
    save_model(init_reward_model(policy, torch.float32, kind="orm"), load_tokenizer(policy), policy / "orm")

    def checked(given: Path, *overrides: str) -> None:
        prm.check(RunInputs(compose([f"model.path={policy}", "model.dtype=float32", f"prm.path={given}", *overrides])))

    checked(policy / "prm")
    with pytest.raises(
        ModelError, match=r"other/prm has another tokenizer than the policy .*: give a prm trained from"
    ):
        checked(other / "prm")
    with pytest.raises(ModelError, match=r"orm holds a reward model of kind orm; a prm is needed"):
        checked(policy / "orm")
    with pytest.raises(ModelError, match=r"policy holds no reward model; a prm is needed"):
        checked(policy)
    with pytest.raises(ModelError, match=r"scores every line .*: set lines.unit=line"):
        checked(policy / "prm", "lines.unit=block")
