import json
import xml.etree.ElementTree as ET

import pytest
from stored_samples import sample, table_of

from prl_ray import report
from prl_ray.errors import DataError
from prl_ray.report import write_report
from prl_ray.tracking import Tracker
from prl_ray.tracking.evaluation_tables import evaluation_table


def figures(greedy, sampled, best):
    return {
        "greedy": {"pass@1": greedy, "se": 0.03},
        "sampled": {"pass@1": sampled, "se": 0.02, "pass@4": best},
        "by_difficulty": {
            "1": {"pass@1": greedy, "n": 40},
            "10": {"pass@1": 0.1, "n": 20},
            "2": {"pass@1": 0.5, "n": 30},
        },
        "verdicts": {"passed": 90, "timeout": 1},
    }


EVALUATION = {
    "problems": "composed",
    "split": "test",
    "n_problems": 240,
    "policies": {"base": figures(0.02, 0.015, 0.05), "sft": figures(0.61, 0.51, 0.7), "ppo": figures(0.72, 0.64, 0.8)},
    "gain": {"ppo-sft": {"sampled": {"gain": 0.13, "se": 0.03}, "greedy": {"gain": 0.11, "se": 0.0}}},
}


@pytest.fixture
def run_folder(tmp_path):
    tracker = Tracker(tmp_path / "demo", "demo", "off", "p", {})
    for step in range(1, 5):
        tracker.log(step, {"loss": 1 / step}, stage="sft")
    tracker.log(4, {"timing_s/stage": 250.0}, stage="sft")
    for step in range(1, 11):
        rewards = [*[0.0] * 12, 0.25, 0.0]
        tracker.store.write(step, table_of([sample(group=1)], ["wrong_answer"], scores=[0.5, 0.75], rewards=rewards))
        tracker.log(
            step,
            {"critic/rewards/mean": step / 10, "timing_s/step": 10.0, "timing_s/gen": 6.0, "timing_s/reward": 1.0},
        )
    tracker.log(8, {"val-core/composed/acc/mean@1": 0.6})
    (tmp_path / "demo" / "evaluation.json").write_text(json.dumps(EVALUATION))
    (tmp_path / "demo" / "config.yaml").write_text("seed: 1\n")
    return tmp_path / "demo"


def test_the_report_has_all_sections_and_figures(run_folder):
    text = write_report(run_folder).read_text()
    assert text.startswith("# demo\n")
    assert "240 held-out problems (composed, test)" in text
    assert "| policy | greedy pass@1 | sampled pass@1 | sampled pass@4 |" in text
    assert "| after PPO | 72.0 ± 3.0 | 64.0 ± 2.0 | 80.0 |" in text
    assert "- PPO over SFT, sampled: +13.0 ± 3.0 points, paired over problems, 4.3 standard errors" in text
    assert "- PPO over SFT, greedy: +11.0 ± 0.0 points, paired over problems\n" in text
    rows = [line for line in text.splitlines() if line.startswith(("| 1 |", "| 2 |", "| 10 |"))]
    assert rows[0] == "| 1 | 40 | 2.0 | 61.0 | 72.0 |" and rows[2].startswith("| 10 | 20 |"), "difficulties in order"
    assert "| after SFT | 90 | 1 |" in text
    assert "| sampling | 6.00 | 60.0 | 85.7% | `cluster.generators" in text and "| **step** | 10.00 | 100.0 |" in text
    assert "| sft | 4:10 |" in text
    assert "10 PPO steps, 1:40 in all" in text
    assert "`task/1`: wrong_answer, 1 of 4 tests, reward +0.250" in text and " 0.50  +0.250 │     return x" in text
    assert "### Step 1\n" in text and "### Step 10\n" in text and "### Step 5\n" not in text
    assert "seed: 1" in text


def test_plots_are_written_and_linked(run_folder):
    text = write_report(run_folder).read_text()
    names = {path.stem for path in (run_folder / "plots").iterdir()}
    assert names == {"reward", "validation", "sft"}
    assert "(report.html)" in text and "step_000010" not in text
    pages = (run_folder / "report.html").read_text()
    assert 'id="data"' in pages and len(pages) < 8_000_000
    for name in names:
        ET.parse(run_folder / "plots" / f"{name}.svg")
        assert f"(plots/{name}.svg)" in text
    assert "critic/rewards/mean: `▁▂▃▃▄▅▆▆▇█` 0.1 → 1" in text


def test_a_run_that_is_not_done_has_a_report_of_what_there_is(tmp_path):
    Tracker(tmp_path, "n", "off", "p", {}).log(1, {"critic/rewards/mean": 0.5})
    text = write_report(tmp_path).read_text()
    assert "## Curves" in text and "## pass@k" not in text and "## Time" not in text


def test_an_empty_folder_and_a_broken_evaluation_are_errors(tmp_path):
    with pytest.raises(DataError, match="anything to report"):
        write_report(tmp_path)
    (tmp_path / "evaluation.json").write_text('{"policies": {}}')
    with pytest.raises(DataError, match=r"evaluation\.json"):
        write_report(tmp_path)


def test_missing_figures_leave_blanks():
    columns, rows = evaluation_table(
        {"policies": {"base": {"greedy": {"pass@1": 0.5}}, "x": {"sampled": {"pass@2": 1}}}}
    )
    assert columns == ["policy", "greedy pass@1", "sampled pass@2"]
    assert rows == [["before SFT", "50.0", ""], ["x", "", "100.0"]]


def test_the_command_prints_where_the_report_is(run_folder, capsys):
    assert report.main([str(run_folder)]) == 0
    assert capsys.readouterr().out.strip() == str(run_folder / "report.md")
    assert report.main([]) == 2
