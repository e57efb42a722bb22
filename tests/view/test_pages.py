"""The data of each page, on a small run whose figures were worked out by hand."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pytest
from view_run import HOSTILE, PROGRAM, STEPS, write_run, write_step

from prl_ray.errors import DataError
from prl_ray.tracking import Tracker
from prl_ray.view.answers import RUN_PAGES, NoPageError, answer
from prl_ray.view.history import short
from prl_ray.view.runs import Runs


@pytest.mark.parametrize("page", RUN_PAGES)
def test_every_page_is_plain_json(runs: Runs, page: str) -> None:
    query = {"run": "one", "task": "task/0", "step": "3", "row": "1"}
    assert json.loads(json.dumps(answer(runs, page, query), allow_nan=False))["run"] == "one"


def test_the_table_of_runs_has_the_newest_figures(runs: Runs) -> None:
    rows = {row["run"]: row for row in answer(runs, "runs", {})["rows"]}
    assert set(rows) == {"one", "two"}
    assert rows["one"]["state"] == "finished" and rows["two"]["state"] == "running"
    assert rows["one"]["step"] == STEPS and rows["one"]["evaluation"]["ppo"] == [0.5, 0.1]
    assert rows["one"]["settings"]["reward.name"] == HOSTILE


def test_compared_runs_differ_where_their_settings_do(runs_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(runs_folder, tmp_path, dirs_exist_ok=True)
    config = tmp_path / "two" / "config.yaml"
    config.write_text(config.read_text().replace("seed: 1", "seed: 2"))
    found = answer(Runs([tmp_path]), "compare", {"runs": "one/two"})
    assert found["differences"] == [{"key": "seed", "values": ["1", "2"]}]
    assert [arm["runs"] for arm in found["arms"]] == [["one", "two"]], "only the seed differs"
    assert found["missing"] == {"one": [], "two": []}
    passes = found["charts"][0]
    assert passes["says"] == "critic/score/mean"
    assert [(band["label"], band["rows"][1]) for band in passes["bands"]] == [("one", [1.0, 0.21, 0.21, 0.21])]
    config.write_text(config.read_text().replace("gamma: 1.0", "gamma: 0.9"))
    found = answer(Runs([tmp_path]), "compare", {"runs": "one/two"})
    assert [row["key"] for row in found["differences"]] == ["algorithm.gamma", "seed"]
    assert [line["label"] for line in found["charts"][0]["lines"]] == ["one", "two"]


def test_seeds_of_an_arm_are_a_band(runs_folder: Path, tmp_path: Path) -> None:
    for name, seed, gamma, up in (("a1", 1, 1.0, 0.0), ("a2", 2, 1.0, 0.2), ("b1", 1, 0.9, 0.1)):
        tracker = Tracker(tmp_path / name, name, "off", "p", {})
        for step in range(3):
            tracker.log(step, {"critic/score/mean": 0.1 * step + up})
        (tmp_path / name / "config.yaml").write_text(f"name: {name}\nseed: {seed}\nalgorithm: {{gamma: {gamma}}}\n")
    found = answer(Runs([tmp_path]), "compare", {"runs": "a1/a2/b1"})
    assert [(arm["label"], arm["runs"]) for arm in found["arms"]] == [("gamma=1.0", ["a1", "a2"]), ("b1", ["b1"])]
    bands = {band["label"]: band["rows"] for band in found["charts"][0]["bands"]}
    assert bands["gamma=1.0"][1] == [1.0, 0.2, 0.1, 0.3] and bands["b1"][2] == [2.0, 0.3, 0.3, 0.3]


def test_the_heat_map_counts_passes(runs: Runs) -> None:
    found = answer(runs, "problems", {"run": "one", "sort": "easiest"})
    assert [row["task"] for row in found["rows"]] == ["task/0", "task/1"]
    assert found["rows"][0]["rates"] == [short(1 / 3)] * STEPS and found["rows"][1]["rate"] == 0.0
    assert answer(runs, "problems", {"run": "one", "search": "/1"})["count"] == 1
    assert answer(runs, "problems", {"run": "one", "search": "give X back"})["count"] == 2
    assert found["rows"][0]["asks"].startswith("Give x back.") and found["all"]["samples"] == 6 * STEPS
    assert found["all"]["rates"] == [short(1 / 6)] * STEPS and found["last"] == STEPS - 1
    with pytest.raises(DataError, match="no order"):
        answer(runs, "problems", {"run": "one", "sort": "x"})


def test_a_problem_lists_its_samples_by_step(runs: Runs) -> None:
    found = answer(runs, "problem", {"run": "one", "task": "task/1"})
    assert found["steps"][0]["step"] == STEPS - 1
    assert [s["row"] for s in found["steps"][0]["samples"]] == [3, 4, 5]
    assert {s["learnt"] for s in found["steps"][0]["samples"]} == {False}
    assert found["text"]["tests"][0] == {"given": "f(1)", "expected": "1"}


def test_the_tree_parts_where_programs_do(runs: Runs) -> None:
    tree = answer(runs, "tree", {"run": "one", "task": "task/0", "step": "2"})["tree"]
    assert tree["count"] == 3 and tree["passed"] == 1
    wrong, right = tree["children"]
    assert (wrong["count"], wrong["passed"], wrong["rows"]) == (2, 0, [0, 2])
    assert wrong["lines"][0].startswith("    y = ") and wrong["lines"][-1] == "<end>"
    assert right["lines"] == ["    return x", "<end>"], "the comment is neutral"
    assert wrong["wrong"] == 2


def test_a_sample_has_every_line_token_and_test(runs: Runs) -> None:
    found = answer(runs, "sample", {"run": "one", "step": "3", "row": "0"})
    assert "\n".join([found["given"], *(line["text"] for line in found["lines"][:-1])]) == PROGRAM
    assert "".join(found["tokens"]["text"]) == PROGRAM[9:]
    assert [line["verdict"] for line in found["lines"]] == [0, None, None] and found["lines"][-1]["end"]
    assert [test["outcome"] for test in found["tests"][:2]] == ["passed", "failed"]
    assert found["tests"][0]["got"] == "1" and found["tests"][1]["got"] == HOSTILE
    assert sum(line["reward"] for line in found["lines"]) == pytest.approx(found["reward"], abs=0.05)
    first, last = found["lines"][0]["tokens"]
    assert "".join(found["tokens"]["text"][first : last + 1]).strip("\n") == found["lines"][0]["text"]
    other = answer(runs, "sample", {"run": "one", "step": "3", "row": "4"})
    assert not other["learnt"] and other["tokens"]["reward"] is None and other["lines"][0]["reward"] is None


def test_the_locator_counts_what_the_lowest_score_finds(runs: Runs) -> None:
    found = answer(runs, "locator", {"run": "one"})
    executed = found["quality"][0]
    assert executed["kind"] == "executed" and executed["all"]["known"] == 2 * STEPS
    assert executed["all"]["place"] == 1.0 and executed["all"]["at"] == 0
    kinds = {row["kind"] for row in found["queue"]}
    assert "low line in a pass" in kinds or "wrong place" in kinds
    sizes = [row["size"] for row in found["queue"]]
    assert sizes == sorted(sizes, reverse=True)


def test_an_alarm_rings_where_the_reward_rises_alone(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "run", "run", "off", "p", {})
    for step in range(30):
        tracker.log(step, {"critic/rewards/mean": 0.1 * step, "critic/score/mean": 0.3 + 0.01 * (step % 2)})
    rung = answer(Runs([tmp_path]), "overview", {"run": "run"})["alarms"]
    assert [alarm["title"] for alarm in rung] == ["Reward rises, pass rate does not"]


def test_no_alarm_rings_where_both_rise(tmp_path: Path) -> None:
    tracker = Tracker(tmp_path / "run", "run", "off", "p", {})
    for step in range(30):
        tracker.log(step, {"critic/rewards/mean": 0.1 * step, "critic/score/mean": 0.02 * step})
    assert answer(Runs([tmp_path]), "overview", {"run": "run"})["alarms"] == []


@pytest.mark.parametrize(
    ("title", "first", "last"),
    [
        ("Programs shrink", {"line/per_sample": 9.0}, {"line/per_sample": 5.0}),
        ("Filler lines", {"hack/neutral_share": 0.05}, {"hack/neutral_share": 0.4}),
        ("Filler lines", {"hack/repeated_share": 0.05}, {"hack/repeated_share": 0.4}),
        ("The PRM does not distinguish passes from failures", {"prm/score_gap": 0.3}, {"prm/score_gap": 0.01}),
    ],
)
def test_each_alarm_rings_for_its_own_trouble_alone(
    tmp_path: Path, title: str, first: dict[str, float], last: dict[str, float]
) -> None:
    healthy = {"line/per_sample": 8.0, "hack/neutral_share": 0.05, "hack/repeated_share": 0.05, "prm/score_gap": 0.3}
    tracker = Tracker(tmp_path / "run", "run", "off", "p", {})
    for step in range(30):
        own = first if step < 15 else last
        wobble = 0.001 * (step % 3)
        tracker.log(step, {"critic/score/mean": 0.3 + wobble, **{k: v + wobble for k, v in (healthy | own).items()}})
    rung = answer(Runs([tmp_path]), "overview", {"run": "run"})["alarms"]
    assert [alarm["title"] for alarm in rung] == [title] and rung[0]["seen"] and rung[0]["do"]


def test_the_alarm_of_a_locator_that_is_worse_than_its_most_frequent_place(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=1)
    path = tmp_path / "run" / "samples" / "summary.jsonl"
    row = json.loads(path.read_text())
    for prm, rings in ((20, True), (90, False)):
        counts = {"known": 100, "at_0": 60, "at_2": 40, "prm": prm, "prm_asked": 100}
        path.write_text(json.dumps({**row, "locators": {"executed": counts}}) + "\n")
        titles = [alarm["title"] for alarm in answer(Runs([tmp_path]), "overview", {"run": "run"})["alarms"]]
        assert ("The locator is worse than a guess" in titles) is rings


def test_the_bottleneck_is_named_with_its_setting(runs: Runs) -> None:
    found = answer(runs, "overview", {"run": "one"})["anatomy"]["slowest"]
    assert found["label"] == "sampling" and found["share"] == 0.75 and "cluster.generators" in found["setting"]


def test_a_growing_run_is_read_on(tmp_path: Path) -> None:
    tracker = write_run(tmp_path / "run", steps=2)
    runs = Runs([tmp_path])
    assert answer(runs, "overview", {"run": "run"})["step"] == 2
    write_step(tracker, 2)
    assert answer(runs, "overview", {"run": "run"})["step"] == 3
    assert answer(runs, "problems", {"run": "run"})["steps"] == [0, 1, 2]
    tracker.rewind("ppo", 0)
    assert answer(runs, "overview", {"run": "run"})["step"] == 1
    assert answer(runs, "problems", {"run": "run"})["steps"] == [0]


def test_thinned_steps_stay_in_the_heat_map_and_say_so(tmp_path: Path) -> None:
    tracker = write_run(tmp_path / "run", steps=3)
    tracker.store.path(1).unlink()
    runs = Runs([tmp_path])
    assert answer(runs, "problems", {"run": "run"})["steps"] == [0, 1, 2]
    with pytest.raises(DataError, match="thinned out"):
        answer(runs, "sample", {"run": "run", "step": "1", "row": "0"})
    assert [c["stored"] for c in answer(runs, "problem", {"run": "run", "task": "task/0"})["curve"]] == [
        True,
        False,
        True,
    ]


def test_runs_of_older_versions_and_broken_ones_say_what_is_missing(tmp_path: Path) -> None:
    old, broken = tmp_path / "old", tmp_path / "broken"
    Tracker(old, "old", "off", "p", {}).log(0, {"critic/score/mean": 0.5, "odd": math.nan})
    (old / "samples").mkdir()
    (old / "samples" / "step_000000.jsonl").write_text("{}\n")
    broken.mkdir()
    (broken / "metrics.jsonl").write_text("not json\n")
    runs = Runs([tmp_path])
    rows = {row["run"]: row for row in answer(runs, "runs", {})["rows"]}
    assert rows["broken"]["state"] == "unreadable" and "not JSON" in rows["broken"]["error"]
    said = " ".join(answer(runs, "overview", {"run": "old"})["missing"])
    assert "older version" in said and "config.yaml" in said
    for page in ("problems", "locator", "labels", "cluster", "samples"):
        assert answer(runs, page, {"run": "old"})["run"] == "old"


@pytest.mark.parametrize(
    ("page", "query", "message"),
    [
        ("overview", {"run": "three"}, "no run"),
        ("overview", {"run": "../one"}, "no run"),
        ("sample", {"run": "one", "step": "3", "row": "99"}, "no sample"),
        ("sample", {"run": "one", "step": "-1"}, "whole number"),
        ("tree", {"run": "one", "step": "3", "task": "nope"}, "no samples"),
        ("problem", {"run": "one", "task": "x" * 1000}, "longer than"),
        ("compare", {"runs": ""}, "choose"),
    ],
)
def test_wrong_addresses_say_what_is_wrong(runs: Runs, page: str, query: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        answer(runs, page, query)
    with pytest.raises(NoPageError):
        answer(runs, "nope", {})


def test_links_out_of_the_folders_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    write_run(secret / "hidden", steps=1)
    folder = tmp_path / "runs"
    write_run(folder / "run", steps=1)
    (folder / "linked").symlink_to(secret / "hidden")
    (folder / "run" / "cluster.json").symlink_to(secret / "hidden" / "config.yaml")
    runs = Runs([folder])
    assert [run.name for run in runs.all()] == ["run"]
    with pytest.raises(DataError, match="outside"):
        answer(runs, "cluster", {"run": "run"})
