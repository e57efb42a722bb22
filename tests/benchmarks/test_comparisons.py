"""The parts that the measuring commands share. The measurements themselves are not run by tests."""

import json
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import main_job, mbpp, step_anatomy
from benchmarks._results import read_result
from benchmarks._runs import stated
from benchmarks._side import Side, alternate, tokens_per_second

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = (
    "lr0_drift",
    "generator_throughput",
    "learner_throughput",
    "gpu",
    "step_anatomy",
    "main_job",
    "mbpp",
    "labels_mbpp",
    "prm_quality",
    "prm_rollouts",
    "locator_errors",
    "comparable_lines",
    "best_of_n",
    "update_transfer",
    "verifier_throughput",
    "verifier_agreement",
    "verifier_attacks",
)


def child(tmp_path, body):
    file = tmp_path / "child.py"
    head = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom benchmarks._side import receive, send\n"
    file.write_text(head + textwrap.dedent(body))
    return [sys.executable, str(file)]


def test_a_side_answers_between_other_output(tmp_path):
    command = child(
        tmp_path,
        """
        print("loading weights"); send({"ready": True})
        while (question := receive()) is not None:
            print("noise"); send({"seconds": question["number"] * 2.0, "tokens": 4})
        """,
    )
    with Side(command, tmp_path / "log") as side:
        assert side.ready == {"ready": True}
        assert side.ask({"number": 3}) == {"seconds": 6.0, "tokens": 4}
        assert tokens_per_second(side.ask({"number": 1})) == 2.0


def test_a_side_that_dies_says_why(tmp_path):
    with pytest.raises(RuntimeError, match="exit code 1") as caught:
        Side(child(tmp_path, "raise ValueError('no such model')"), tmp_path / "log")
    assert "no such model" in str(caught.value)


def test_sides_take_turns_at_going_first():
    calls = []

    def side(name):
        return lambda number: calls.append((name, number)) or {"seconds": 1.0}

    rows = alternate(3, side("a"), side("b"))
    assert calls == [("a", 0), ("b", 0), ("b", 1), ("a", 1), ("a", 2), ("b", 2)]
    assert [row["first"] for row in rows] == ["ours", "theirs", "ours"]


def test_overhead_is_what_the_models_do_not_work():
    phases = {"step": 10.0, "gen": 4.0, "ref": 1.0, "update_actor": 4.0, "update_weights": 0.7, "adv": 0.1}
    assert step_anatomy.overhead(phases) == pytest.approx(0.1)


def run_folder(root, name, ks, stages=("label", "sft", "reward", "ppo", "evaluate")):
    """A finished run's files, with figures made up here."""
    folder = root / name
    folder.mkdir(parents=True)
    sampled = {"base": 0.1, "sft": 0.4, "ppo": 0.6}
    policies = {
        policy: {
            "greedy": {"pass@1": p + 0.05, "se": 0.02},
            "sampled": {f"pass@{k}": min(1.0, p + 0.02 * (k - 1)) for k in ks} | {"se": 0.02},
            "by_difficulty": {"2": {"pass@1": p, "se": 0.03, "n": 100}},
            "verdicts": {"passed": 1},
        }
        for policy, p in sampled.items()
    }
    gain = {"sampled": {"gain": 0.2, "se": 0.03}, "greedy": {"gain": 0.2, "se": 0.04}}
    evaluation = {
        "problems": "composed",
        "split": "test",
        "n_problems": 200,
        "policies": policies,
        "gain": {"ppo-sft": gain},
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    rows = [{"step": 0, "time": 0, "stage": s, "metrics": {f"{s}/timing_s/stage": 60.0}} for s in stages]
    rows += [{"step": i, "time": 0, "stage": "ppo", "metrics": {"critic/score/mean": 0.1 * i}} for i in range(3)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_main_job_reads_a_run_and_the_comparison(tmp_path, capsys):
    process = run_folder(tmp_path, "process", [1, 4])
    outcome = run_folder(tmp_path, "outcome", [1, 4], stages=("ppo", "evaluate"))
    main_job.main(
        ["--run-folder", str(process), "--outcome-folder", str(outcome), "--results", str(tmp_path / "results")]
    )
    result = read_result("main_job", tmp_path / "results")
    assert result["headline"] == {
        "minutes": 5.0,
        "pass1_base": 0.1,
        "pass1_sft": 0.4,
        "pass1_ppo": 0.6,
        "gain": 0.2,
        "gain_se": 0.03,
    }
    first, second = result["repeats"]
    assert first["policies"]["ppo"]["by_difficulty"]["2"]["n"] == 100 and first["policies"]["ppo"]["greedy"]
    assert second["run"] == "outcome" and second["overrides"] == ["algorithm=ppo", "reward=outcome"]
    assert first["curves"]["critic/score/mean"] == [[0, 0.0], [1, 0.1], [2, 0.2]]
    assert str(tmp_path) not in (tmp_path / "results" / "main_job.json").read_text()


def test_mbpp_wants_pass_at_5(tmp_path):
    with pytest.raises(SystemExit, match=r"no sampled pass@5 of 'sft'"):
        mbpp.main(["--run-folder", str(run_folder(tmp_path, "short", [1])), "--results", str(tmp_path)])
    mbpp.main(["--run-folder", str(run_folder(tmp_path, "long", [1, 5])), "--results", str(tmp_path)])
    keys = ["pass1_base", "pass1_sft", "pass5_sft", "pass1_ppo", "pass5_ppo", "gain", "gain_se"]
    assert list(read_result("mbpp", tmp_path)["headline"]) == keys


def test_a_timed_run_starts_from_an_empty_folder(tmp_path):
    (tmp_path / "artifacts").mkdir()
    with pytest.raises(SystemExit, match="not empty"):
        main_job.main(["--run", str(tmp_path), "--results", str(tmp_path)])


def test_a_run_that_is_not_evaluated_is_named(tmp_path):
    with pytest.raises(SystemExit, match=r"evaluation\.json is missing"):
        main_job.main(["--run-folder", str(tmp_path), "--results", str(tmp_path)])


@pytest.fixture(scope="module")
def explanations():
    """What each command answers to --help, asked side by side: most of the time each of them imports torch and Ray."""

    def ask(name):
        command = [sys.executable, str(ROOT / "benchmarks" / f"{name}.py"), "--help"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with ThreadPoolExecutor(4) as threads:
        return dict(zip(COMMANDS, threads.map(ask, COMMANDS), strict=True))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name, explanations):
    assert f"usage: {name}.py" in explanations[name] and "--results" in explanations[name]


def test_a_result_repeats_no_places_of_this_machine():
    overrides = ["model=tiny", "runs_dir=/somewhere", "problems.path=/data/mbpp.jsonl", "+cluster=local"]
    assert stated(overrides) == ["model=tiny", "+cluster=local"]
