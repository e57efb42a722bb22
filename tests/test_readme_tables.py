import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks._results import RESULTS, write_result  # noqa: E402
from benchmarks.readme_tables import MARK, PAGES, TableError, main, number, render, table  # noqa: E402


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    write_result("speed", {"per_second": 812.4, "programs": 10000}, {}, [{}], folder=folder)
    headline = {
        "minutes": 24.25,
        "pass1_base": 0.02,
        "pass1_sft": 0.51,
        "pass1_ppo": 0.64,
        "gain": 0.13,
        "gain_se": 0.03,
    }
    config = {"minutes_of": "the command"}
    write_result("main_job", headline, config, [run([], 0.64, 0.13), run(["reward=outcome"], 0.6, 0.09)], folder=folder)
    return folder


def run(overrides, ppo, gain):
    def policy(value):
        figures = {"pass@1": value, "se": 0.03}
        return {"sampled": figures, "greedy": figures, "by_difficulty": {"2": {**figures, "n": 9}}}

    policies = {"base": policy(0.02), "sft": policy(0.51), "ppo": policy(ppo)}
    gains = {"ppo-sft": {mode: {"gain": gain, "se": 0.03} for mode in ("sampled", "greedy")}}
    return {"overrides": overrides, "policies": policies, "gain": gains, "n_problems": 200}


def test_readme_and_docs_are_current():
    done = subprocess.run([sys.executable, ROOT / "benchmarks" / "readme_tables.py", "--check"], capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_tables_are_filled_and_everything_else_stays(results):
    text = "# A\n<!-- table:speed -->\nold\n<!-- /table -->\nbetween\n<!-- table:main_job -->\n<!-- /table -->\nend\n"
    new = render(text, results)
    assert (
        new.startswith("# A\n<!-- table:speed -->\n")
        and "\nbetween\n" in new
        and new.endswith("<!-- /table -->\nend\n")
    )
    assert "| speed | per_second | 812 |" in new and "| speed | programs | 10,000 |" in new and "old" not in new
    assert "| PPO, line rewards | 64.0 ± 3.0 | 64.0 ± 3.0 |" in new and "24.2 minutes (the command)" in new
    assert "| PPO, reward=outcome: gain over SFT, paired | +9.0 ± 3.0 | +9.0 ± 3.0 |" in new
    assert "| 2 | 2.0 ± 3.0 | 51.0 ± 3.0 | 64.0 ± 3.0 | 60.0 ± 3.0 |" in new
    assert render(new, results) == new, "a second time changes nothing"


def test_several_results_share_a_table(results):
    new = render("<!-- table:speed,main_job -->\n<!-- /table -->", results)
    assert "| speed | programs |" in new and "| main_job | gain | 0.13 |" in new


@pytest.mark.parametrize("text", ["<!-- table:nothing -->\n<!-- /table -->", "<!-- table:speed -->\nno end"])
def test_a_marker_that_cannot_be_filled_is_named(results, text):
    with pytest.raises(TableError, match=r"table:nothing needs|without <!-- /table"):
        render(text, results)


def test_a_marker_without_an_end_does_not_swallow_the_next(results):
    with pytest.raises(TableError, match="speed"):
        render("<!-- table:speed -->\n\n<!-- table:main_job -->\n<!-- /table -->", results)


def test_check_says_what_is_stale_and_the_command_mends_it(results, tmp_path, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- table:speed -->\n<!-- /table -->\n")
    options = ["--pages", str(readme), "--results", str(results), "--images", str(tmp_path / "images")]
    assert main(["--check", *options]) == 1
    assert "+| speed | programs | 10,000 |" in capsys.readouterr().out
    assert readme.read_text() == "<!-- table:speed -->\n<!-- /table -->\n"
    assert main(options) == 0 and main(["--check", *options]) == 0


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (10000.0, "10,000"), (0.12345, "0.123"), (1234.5, "1,234"), (-2.5, "-2.5")]
)
def test_numbers(value, text):
    assert number(value) == text


def test_mbpp_table(tmp_path):
    def policy(one, five):
        sampled = {"pass@1": one, "se@1": 0.01, "pass@5": five, "se@5": 0.02, "se": 0.01}
        return {"sampled": sampled, "greedy": {"pass@1": 2 * one, "se": 0.015}}

    policies = {"base": policy(0.01, 0.02), "sft": policy(0.1, 0.3), "ppo": policy(0.125, 0.31)}
    gain = {"ppo-sft": {"sampled": {"gain": 0.025, "se": 0.01}, "greedy": {"gain": -0.002, "se": 0.02}}}
    row = {"policies": policies, "gain": gain, "n_problems": 500, "minutes": 61.4}
    write_result("mbpp", {"gain": 0.025}, {}, [row], folder=tmp_path)
    text = table("mbpp", tmp_path)
    assert "| PPO, line rewards | 12.5 ± 1.0 | 31.0 ± 2.0 | 25.0 ± 1.5 |" in text
    assert "| gain over SFT, paired | +2.5 ± 1.0 |  | -0.2 ± 2.0 |" in text
    assert "500 problems; 61 minutes" in text


def test_step_anatomy_table(tmp_path):
    headline = {"overhead_share_tiny": 0.081, "overhead_share_smollm2": 0.03, "trl_ratio": 1.5}
    phases = {"tiny": {"gen": 1.0, "step": 2.5}, "smollm2": {"gen": 10.0, "step": 25.25}}
    write_result("step_anatomy", headline, {"phases": phases}, [{}], folder=tmp_path)
    text = table("step_anatomy", tmp_path)
    assert "| gen | 1.00 | 10.00 |" in text and "| step | 2.50 | 25.25 |" in text
    assert "8.1% of a step of tiny, 3.0% of a step of smollm2" in text
    assert "TRL takes 1.50 times as long as ours" in text


def test_readme_shows_the_short_form(results):
    text = table("main_job/short", results)
    assert "| SFT | 51.0 ± 3.0 |" in text and "| gain of PPO over SFT, paired | +13.0 ± 3.0 |" in text
    assert "reward=outcome" not in text and "24.2 minutes" in text


def test_pictures_are_drawn_from_results(tmp_path, capsys):
    layers = {"layers_per_second": {"fork": 1000.0, "+ limits": 500.0}}
    write_result("verifier_throughput", {"per_second": 1.0}, {}, [layers], folder=tmp_path)
    page = tmp_path / "page.md"
    page.write_text("no table\n")
    options = ["--pages", str(page), "--results", str(tmp_path), "--images", str(tmp_path / "images")]
    assert main(["--check", *options]) == 1
    assert "verifier_layers.svg" in capsys.readouterr().err
    assert main(options) == 0 and main(["--check", *options]) == 0
    assert "+ limits" in (tmp_path / "images" / "verifier_layers.svg").read_text()


def test_every_stored_result_has_a_place_in_the_docs():
    shown = {
        name.partition("/")[0]
        for page in PAGES
        for mark in MARK.finditer(page.read_text())
        for name in mark["name"].split(",")
    }
    stored = {path.stem for path in RESULTS.glob("*.json")}
    assert not stored - shown, "add <!-- table:NAME --> and <!-- /table --> to docs/results.md, then run the command"
