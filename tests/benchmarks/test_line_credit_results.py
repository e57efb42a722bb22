"""The figures of line verdicts and of the evidence, from small run folders and records, by hand."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import comparable_lines, critic, evidence, known_errors, line_verdicts, locator_errors
from benchmarks._results import read_result
from benchmarks.readme_tables import table
from prl_ray.config import Config
from prl_ray.credit.verdicts import LineVerdict
from prl_ray.experiment.plan import read_experiment
from prl_ray.experiment.records import RunRecord
from prl_ray.ppo.line_credit import LineCredit
from prl_ray.problems import load_problems

EXPERIMENT = """
name: toy
hypothesis: exact is better.
baseline: outcome
seeds: [1, 2]
arms:
  outcome: {overrides: [reward=outcome]}
  gate_exact: {overrides: [algorithm=gate, locator=exact], says: the gate}
  group_exact: {overrides: [reward=outcome, algorithm.estimator=line_group, locator=exact]}
  gate_prm: {overrides: [algorithm=gate, locator=prm, prm.online=true]}
"""


def record(experiment: Path, arm: str, seed: int, share: float, steps: float = 2.0) -> RunRecord:
    plan = read_experiment(experiment).runs([arm], [seed])[0]
    values, costs = {"sampled": [share] * 4, "greedy": [share] * 4}, {"wall_s": 8.0, "steps": steps}
    return RunRecord(plan.experiment, arm, seed, plan.key, [], "p", {"ppo": values, "sft": values}, {}, costs, {})


def test_the_evidence_is_the_best_arm_with_exact_locations(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(EXPERIMENT)
    for arm, seed, share in (
        ("outcome", 1, 0.25),
        ("outcome", 2, 0.25),
        ("gate_exact", 1, 0.5),
        ("gate_exact", 2, 0.25),
        ("group_exact", 1, 0.75),
    ):
        record(file, arm, seed, share).write(tmp_path / "records")
    places = ["--records", str(tmp_path / "records"), "--results", str(tmp_path), "--runs", str(tmp_path / "runs")]
    evidence.main([str(file), *places])
    headline = read_result("evidence", tmp_path)["headline"]
    # over the outcome: 0.25 and 0 at the two seeds; the line groups' 0.5 at their only seed does not compare
    assert headline == {"arms": 3, "exact_over_outcome": 0.125, "exact_low": 0.0, "seeds": 2}
    text = table("evidence", tmp_path)
    assert "| gate_exact: the gate | 2 | 37.5 | +0.0 (+0.0 to +0.0) | +12.5 (+0.0 to +25.0) |" in text
    assert "| baseline |" in text and "3 runs of toy have not been made yet." in text
    record(file, "group_exact", 2, 1.0, steps=4.0).write(tmp_path / "records")  # more steps do not compare either
    evidence.main([str(file), *places])
    assert read_result("evidence", tmp_path)["headline"] == headline
    with pytest.raises(SystemExit, match="no record"):
        evidence.main([str(file), "--records", str(tmp_path / "none"), "--results", str(tmp_path)])
    hard, mbpp = tmp_path / "composed_credit.yaml", tmp_path / "mbpp.yaml"
    for path in (hard, mbpp):
        path.write_text(EXPERIMENT.replace("name: toy", f"name: {path.stem}"))
        for arm, share in (("outcome", 0.25), ("gate_prm", 0.75 if path == hard else 0.5)):
            record(path, arm, 1, share).write(tmp_path / "records")
    evidence.main([str(file), str(hard), str(mbpp), *places])
    both = read_result("evidence", tmp_path)
    assert [row["experiment"] for row in both["repeats"]] == ["toy", "composed_credit"]
    assert both["headline"] == {"arms": 2, "online_over_outcome": 0.5, "online_low": 0.5, "seeds": 1}
    assert read_result("evidence_mbpp", tmp_path)["headline"]["online_over_outcome"] == 0.25


def test_what_a_critic_explains_is_the_mean_of_the_second_half_over_seeds(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text(EXPERIMENT)
    for seed, shares in ((1, (9.0, 9.0, 0.25, 0.5)), (2, (9.0, 9.0, 0.125, 0.125))):
        found = record(file, "outcome", seed, 0.5)
        found.curves["critic/vf_explained_var"] = [[step, share] for step, share in enumerate(shares)]
        found.write(tmp_path / "records")
    places = ["--records", str(tmp_path / "records"), "--results", str(tmp_path), "--runs", str(tmp_path / "runs")]
    critic.main([str(file), *places])
    result = read_result("critic", tmp_path)
    assert result["headline"] == {"outcome": 0.25}
    assert result["repeats"][0]["by_seed"] == {"1": 0.375, "2": 0.125}
    with pytest.raises(SystemExit, match="no record"):
        critic.main([str(file), "--records", str(tmp_path / "none"), "--results", str(tmp_path)])


def test_what_a_critic_could_know_of_a_prompt(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    assert critic.limit(tmp_path) is None
    for step, totals in enumerate([(9.0, 9.0, 9.0, 9.0), (1.0, 0.0, 1.0, 1.0)]):  # the second half is the second step
        rows = [
            {"prompt_id": i // 2, "learnt": i != 4, "total_reward": total, "return": [total] * (i + 1)}
            for i, total in enumerate((*totals, 7.0))
        ]
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "samples" / f"step_{step:06d}.parquet")
    # returns 1 0 0 1 1 1 1 1 1 1, means of the others 0 1 1 1 1 1 1 1 1 1
    expected = np.corrcoef([1, 0, 0, *[1] * 7], [0, *[1] * 9])[0, 1] ** 2
    assert critic.limit(tmp_path) == {"learnt": 0.8, "of_prompt": pytest.approx(expected)}


def test_verdicts_on_programs_whose_wrong_line_is_known(tmp_path: Path) -> None:
    known_errors.main(["--sets", "composed", "--problems", "4", "--results", str(tmp_path)])
    result = read_result("known_errors", tmp_path)
    (row,) = result["repeats"]
    assert row["programs"] == sum(row[kind] for kind in known_errors.KINDS) >= 4
    assert row["early"] == 0 and row["at"] > row["unknown"]
    assert result["headline"]["early_composed"] == row["early"] / row["programs"]
    assert f"| composed | {row['programs']} |" in table("known_errors", tmp_path)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """An evaluated run whose samples are references, and references that return nothing."""
    folder = tmp_path / "run"
    folder.mkdir()
    config = Config(name="run")
    config.problems.min_difficulty, config.problems.max_difficulty, config.evaluate.problems = 3, 3, 6
    OmegaConf.save(OmegaConf.structured(config), folder / "config.yaml")
    (folder / "evaluation.json").write_text(json.dumps({"policies": {"sft": {}}, "problems": "composed"}))
    rows = []
    for problem in load_problems("composed", split="test", limit=6, seed=1, min_difficulty=3, max_difficulty=3):
        lines = problem.references[0].removeprefix(problem.code_prefix).split("\n")
        for body, status in ((lines, "passed"), ([*lines[:-1], "    return None"], "wrong_answer")):
            rows.append({"task_id": problem.task_id, "completion": "\n".join(body), "status": status})
    (folder / "samples_sft_sampled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    steps = [{"timing_s/step": 10.0, "timing_s/locate": share} for share in (1.0, 2.0, 4.0)]
    records = [{"step": i, "time": 0.0, "stage": "ppo", "metrics": m} for i, m in enumerate(steps)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in records))
    return folder


def test_line_verdicts_of_a_run_folder(run: Path, tmp_path: Path) -> None:
    line_verdicts.main(["--composed", str(run), "--step-run", str(run), "--results", str(tmp_path)])
    result = read_result("line_verdicts", tmp_path)
    assert result["headline"]["located_composed"] == 1.0 and result["headline"]["share_of_step"] == 0.2
    (row,) = result["repeats"]
    assert row["failures"] == 6 and row["compared"]["state_prefix"] == 6
    assert row["agreement"]["state_prefix"] == 1.0 and row["programs_per_second"] > 0
    assert "20.0% of a PPO step" in table("line_verdicts", tmp_path)


def test_lines_of_a_group_are_compared_at_three_kinds_of_place(run: Path, tmp_path: Path) -> None:
    comparable_lines.main(["--composed", str(run), "--results", str(tmp_path)])
    result = read_result("comparable_lines", tmp_path)
    (row,) = result["repeats"]
    # three steps and the return, of a pass and of a failure at the return
    assert (row["samples"], row["failures"], row["located"], row["lines"]) == (12, 6, 1.0, 48)
    for place in comparable_lines.PLACES:
        assert row[place] == {"compared": 1.0, "decided": 0.25, "same_values": 1.0}
    assert result["headline"]["decided_state_composed"] == 0.25
    assert "| composed | equal values before | 100.0 | 25.0 | 100.0 |" in table("comparable_lines", tmp_path)
    with pytest.raises(SystemExit, match="at least one"):
        comparable_lines.main(["--results", str(tmp_path)])


def test_two_ways_to_the_same_values_meet_at_equal_states_only() -> None:
    """The lines of the second program do what those of the first do, one line later."""
    programs = ["def f(a):\n    b = 1\n    return b", "def f(a):\n    c = 0\n    c = 1\n    return c + 5"]
    verdicts = [LineVerdict(3, "passed", (7, 8, 9)), LineVerdict(3, "state", (7, 6, 8, 5))]
    lines = comparable_lines.line_credit(programs, verdicts, [1, 1])
    assert lines.counted.tolist() == [False, True, True, False, True, True, True]
    ids = np.zeros(2, dtype=np.int64)

    def figures(places: LineCredit) -> tuple[float, ...]:
        return tuple(comparable_lines.figures(places, ids).values())

    # by number: b = 1 with c = 0, and return b with c = 1, which begin at other values; return c + 5 alone
    assert figures(lines) == (0.8, 0.0, 0.0)
    # at equal values: b = 1 with c = 0, return b with return c + 5
    assert figures(lines.at_equal_state()) == (0.8, 0.4, 1.0)
    # after equal text: the first lines only
    assert figures(replace(lines, places=comparable_lines.texts_before(programs))) == (0.4, 0.0)


def test_located_lines_are_counted_against_execution(tmp_path: Path) -> None:
    def store(run: str, located: list[int | None], runs: str = "runs") -> None:
        columns = {
            "status": [
                "wrong_answer",
                "runtime_error",
                "wrong_answer",
                "wrong_answer",
                "passed",
                "sandbox_error",
                "timeout",
            ],
            "wrong_line": pa.array([2, 2, 2, 2, 1, 1, None], pa.int32()),
            "located_line": pa.array(located, pa.int32()),
        }
        facts = {b"prl_ray.samples": json.dumps({"format": 1, "step": 0, "time": 0}).encode()}
        folder = tmp_path / runs / run / "samples"
        folder.mkdir(parents=True)
        pq.write_table(pa.table(columns).replace_schema_metadata(facts), folder / "step_000000.parquet")

    store("composed_credit-gate-s1", [2, 1, 3, None, 0, 0, 0])
    store("composed_credit-gate-s2", [2, 2, 0, 1, 0, 0, 0])
    store("composed_credit-exact-s1", [2, 2, 2, 2, 1, 1, None])
    store("composed_credit-outcome-s1", [None] * 7)
    arguments = ["--runs", str(tmp_path / "runs"), "--experiment", "composed_credit", "--results", str(tmp_path)]
    locator_errors.main(arguments)
    headline = read_result("locator_errors_composed_credit", tmp_path)["headline"]
    assert headline == {"hit_gate": 3 / 8, "early_gate": 3 / 8, "late_gate": 1 / 8, "none_gate": 1 / 8}
    assert "| gate | 37.5 | 37.5 | 12.5 | 12.5 | 8 |" in table("locator_errors_composed_credit", tmp_path)

    store("composed_credit-gate-s2", [2, 2, 2, 1, 0, 0, 0], "elsewhere")
    store("composed_credit-place-s1", [1, 1, 1, 1, 0, 0, 0], "elsewhere")
    locator_errors.main(["--runs", str(tmp_path / "elsewhere"), *arguments[2:]])
    headline = read_result("locator_errors_composed_credit", tmp_path)["headline"]
    assert headline["hit_gate"] == 4 / 8, "seed 1 of the first folder and the new seed 2"
    assert headline["early_place"] == 1.0
    with pytest.raises(SystemExit, match="no run of other"):
        locator_errors.main(["--runs", str(tmp_path / "runs"), "--experiment", "other"])
