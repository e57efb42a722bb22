"""The figures of best of n from the files of a run folder, by hand."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import best_of_n
from benchmarks._results import read_result
from benchmarks.readme_tables import table

# (passes, line scores, ORM score) of the samples of three problems
SAMPLES = [
    [(True, [0.9, 0.6], 0.2), (False, [0.9, 0.5], 0.9)],
    [(False, [0.8, 0.7], 0.9), (True, [1.0, 0.6], 0.1)],
    [(False, [0.5, 0.5], 0.5), (False, [0.4, 0.4], 0.4)],
]


def run_folder(root: Path, scored: bool = True, problems: str = "mbpp", orm: bool = True) -> Path:
    folder = root / "run"
    folder.mkdir()
    evaluation = {"policies": {"sft": {}, "ppo": {}}, "problems": problems, "split": "test"}
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    rows = []
    for i, samples in enumerate(SAMPLES):
        for passes, lines, whole in samples:
            row = {"task_id": f"t/{i}", "completion": "", "status": "passed" if passes else "wrong_answer"}
            rows.append(row | ({"line_scores": lines} if scored else {}) | ({"orm_score": whole} if orm else {}))
    (folder / "samples_ppo_sampled.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_headline_and_every_aggregate(tmp_path: Path) -> None:
    best_of_n.main([str(run_folder(tmp_path)), "--results", str(tmp_path)])
    result = read_result("best_of_n", tmp_path)
    # random 1/2 1/2 0; the ORM is wrong throughout; the lowest line is right in the first problem only
    assert result["headline"] == {
        "n": 2,
        "random": pytest.approx(1 / 3),
        "orm": 0,
        "prm": pytest.approx(1 / 3),
        "oracle": pytest.approx(2 / 3),
    }
    (row,) = result["repeats"]
    rates = {name: row[f"prm_{name}"]["pass@1"] for name in ("min", "product", "mean", "last")}
    # second problem: product 0.56 and 0.6, mean 0.75 and 0.8, last 0.7 and 0.6
    expected = {"min": 1 / 3, "product": 2 / 3, "mean": 2 / 3, "last": 1 / 3}
    assert rates == {name: pytest.approx(rate) for name, rate in expected.items()}
    assert row["prm_mean"]["gain"] == pytest.approx(1 / 3) and row["policy"] == "ppo"
    assert str(tmp_path) not in (tmp_path / "best_of_n.json").read_text()
    text = table("best_of_n", tmp_path)
    assert "| run: mbpp test, ppo, one of 2 |" in text and "| prm_mean | 66.7 ± 33.3 | +33.3 ± 16.7 |" in text


def test_another_problem_set_has_a_result_of_its_own(tmp_path: Path) -> None:
    best_of_n.main([str(run_folder(tmp_path, problems="composed")), "--results", str(tmp_path)])
    assert [file.name for file in tmp_path.glob("*.json")] == ["best_of_n_composed.json"]
    assert "| run: composed test, ppo, one of 2 |" in table("best_of_n_composed", tmp_path)


def test_without_an_orm_the_other_ways_are_told(tmp_path: Path) -> None:
    best_of_n.main([str(run_folder(tmp_path, orm=False)), "--results", str(tmp_path)])
    assert list(read_result("best_of_n", tmp_path)["headline"]) == ["n", "random", "prm", "oracle"]
    assert "| orm |" not in table("best_of_n", tmp_path)


def test_stored_figures_of_other_runs_are_kept_with_their_date(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    best_of_n.main([str(run), "--results", str(tmp_path)])
    then = read_result("best_of_n", tmp_path)["environment"]
    for _ in range(2):  # a second time the run stands in the place of itself
        best_of_n.main([str(run.rename(tmp_path / "other")), "--keep", "--results", str(tmp_path)])
        run = tmp_path / "other"
    first, second = read_result("best_of_n", tmp_path)["repeats"]
    assert (first["run"], second["run"]) == ("other", "run")
    assert second.pop("measured") == {"date": then["date"], "commit": then["commit"]}
    assert "measured" not in first and first | {"run": "run"} == second
    assert f"run: {then['date'][:10]}, commit" in table("best_of_n", tmp_path)


def test_what_a_run_lacks_is_named(tmp_path: Path) -> None:
    folder = run_folder(tmp_path, scored=False, orm=False)
    with pytest.raises(SystemExit, match=r"evaluate\.rerank=\[prm,orm\]"):
        best_of_n.main([str(folder), "--results", str(tmp_path)])
    with pytest.raises(SystemExit, match="has not evaluated 'sft'"):
        best_of_n.main([str(folder), "--policy", "sft", "--results", str(tmp_path)])
