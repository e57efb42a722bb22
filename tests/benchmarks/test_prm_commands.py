"""The reward models' benchmarks as whole commands; only training is left out, so that the models know nothing."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import _runs, prm_quality, prm_rollouts
from benchmarks._results import read_result
from benchmarks._runs import ARTIFACTS
from benchmarks.readme_tables import table
from prl_ray import compose
from prl_ray.evaluation import Sampled, write_samples
from prl_ray.inputs import RunInputs
from prl_ray.models.folders import lift
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import init_reward_model
from prl_ray.models.saving import save_model
from prl_ray.supervision import label_rollouts, save_labels
from prl_ray.supervision.local import LocalExecution, label_in_processes

TINY = ["model=tiny", "model.dtype=float32", "sft.problems=20", "problems.max_difficulty=3"]


def mbpp_file(folder: Path) -> Path:
    """Eight training and four test problems in MBPP's format."""
    records = []
    for number in [*range(601, 609), *range(11, 15)]:
        code = f"def f(x):\n    y = x * {number}\n    if x > 3:\n        y = y + 2\n    return y"
        tests = [f"assert f({x}) == {x * number + 2 * (x > 3)}" for x in (1, 3, 5)]
        text = f"Multiply by {number}; above 3 add 2."
        records.append({"task_id": number, "text": text, "code": code, "test_list": tests, "test_setup_code": ""})
    path = folder / "mbpp.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def wrong_programs(run: RunInputs) -> Sampled:
    """For each test problem its reference, and the same returning something else."""
    problems = run.problems("test", run.config.evaluate.problems)
    programs = [[p.references[0], p.references[0].replace("return ", "return 1, ")] for p in problems]
    count, tasks = len(problems), [p.task_id for p in problems]
    return Sampled(tasks, programs, [["passed", "wrong_answer"]] * count, finished=[[True, True]] * count)


def untrained(overrides: Sequence[str]) -> None:
    """What the stages would make, with labels by execution and models that have learnt nothing."""
    run = RunInputs(compose(overrides))
    if run.config.stages == ["evaluate"]:
        run.folder.mkdir(parents=True, exist_ok=True)
        problems = run.problems("test", run.config.evaluate.problems)
        write_samples(run.folder / "samples_sft_sampled.jsonl", problems, wrong_programs(run))
        return
    if run.config.stages == ["ppo"]:
        after = RunInputs(compose([*overrides, "prm.online=false", "locator=exact"]))
        shutil.copytree(ARTIFACTS["prm"](after).need(), run.folder / "ppo" / "online_prm")
        return
    labelled = run.train_slices["label"]
    label, sft = (ARTIFACTS[name](run) for name in ("label", "sft"))
    if not label.exists:
        with label.write() as folder:
            report = label_in_processes(labelled, run.config.teacher.label_config(run.config.seed), 1)
            save_labels(folder / "labels", report)
    if not sft.exists:
        with sft.write() as folder:
            shutil.copytree(run.base, folder, dirs_exist_ok=True)
    if run.config.prm.rollouts:
        written = [(p, p.references[0].replace("return ", "return 1, ")) for p in labelled]
        with ARTIFACTS["rollouts"](run).write() as folder, LocalExecution() as execution:
            save_labels(folder / "labels", label_rollouts(written, execution.verify, execution.locate, execution.call))
    for number, kind in enumerate(("prm", "orm")):
        with ARTIFACTS[kind](run).write() as folder:
            model = init_reward_model(run.base, torch.float32, kind=kind, seed=number)  # type: ignore[arg-type]
            save_model(model, load_tokenizer(run.base), folder / "model")
            lift(folder / "model")


@pytest.fixture(autouse=True)
def without_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(_runs, "execute", untrained)
    monkeypatch.setattr(prm_rollouts, "execute", untrained)


def test_prm_quality(tmp_path: Path) -> None:
    sizes = ["--composed=8", "--mbpp=8", "--held-out=4", "--humaneval=6", "--shares", "0.5", "1"]
    places = [f"--run={tmp_path / 'runs'}", f"--path={mbpp_file(tmp_path)}", f"--results={tmp_path / 'results'}"]
    prm_quality.main([*sizes, *places, *TINY])
    result = read_result("prm_quality", tmp_path / "results")
    assert list(result["headline"]) == [
        "auroc_mbpp",
        "auroc_mbpp_low",
        "auroc_mbpp_best_baseline",
        "auroc_composed",
        "first_error_mbpp",
        "ece_mbpp",
        "auroc_humaneval",
    ]
    assert all(0 <= value <= 1 for value in result["headline"].values())
    composed, mbpp, humaneval = result["repeats"]
    assert [point["labelled_problems"] for point in mbpp["learning_curve"]] == [4, 8]
    assert composed["learning_curve"][-1]["auroc"] == composed["scores"]["prm"]["auroc"]
    assert mbpp["problems"] == 4 and mbpp["formatting"]["pairs"] > 0 and mbpp["scores"]["majority"]["auroc"][0] == 0.5
    assert 2 <= humaneval["programs"] <= 12 and "truncation" not in humaneval["operators"]
    assert str(tmp_path) not in (tmp_path / "results" / "prm_quality.json").read_text()
    text = table("prm_quality", tmp_path / "results")
    value, low, high = mbpp["scores"]["prm"]["auroc"]
    assert f"{value:.2f} ({low:.2f} to {high:.2f})" in text and "| mbpp | 4 |" in text


def test_prm_rollouts(tmp_path: Path) -> None:
    sizes = ["--rollouts=4", "--held-out=4", "--samples=2"]
    places = [f"--run={tmp_path / 'runs'}", f"--results={tmp_path / 'results'}"]
    prm_rollouts.main([*sizes, *places, "teacher.problems=8", *TINY])
    result = read_result("prm_rollouts", tmp_path / "results")
    (figures,) = result["repeats"]
    expected = ["hit1_before", "hit1_after", "hit1_online", "hit1_position", "hit1_surprise"]
    expected += ["hit1_combined"] if "combined" in figures else []
    assert list(result["headline"]) == [*expected, "auroc_prm", "auroc_policy"]
    # an untrained policy is surprised by every line, the first one included, and sure of none
    assert result["headline"]["hit1_surprise"] == 0 and figures["confident"]["share"] == 0
    # every failing program is wrong in its return, the line before the end
    assert figures["failing"] == 4 and figures["position"]["line"] == -2 and result["headline"]["hit1_position"] == 1.0
    assert figures["after"]["over_before"][0] == pytest.approx(
        result["headline"]["hit1_after"] - result["headline"]["hit1_before"]
    )
    assert figures["online"]["hit1"] == figures["after"]["hit1"]  # it has learnt nothing
    assert figures["online"]["over_after"][0] == 0
    assert "| the most frequent place | 1.00 (1.00 to 1.00) |  |  |  |" in table("prm_rollouts", tmp_path / "results")
