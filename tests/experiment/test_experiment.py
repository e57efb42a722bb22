"""An experiment from its file to its page; a stand-in writes what a training run writes."""

import json
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from prl_ray.errors import ConfigError, DataError, PrlRayError
from prl_ray.experiment.__main__ import main, write
from prl_ray.experiment.page import page
from prl_ray.experiment.plan import read_experiment
from prl_ray.experiment.records import read_record
from prl_ray.experiment.runs import Place, run_all
from prl_ray.experiment.summary import summarise
from prl_ray.machine import environment
from prl_ray.view.answers import answer
from prl_ray.view.runs import Runs
from tests.experiment.toy import FILE


class Trainer:
    """Writes the files of a run: the gate passes one of four problems more."""

    def __init__(self) -> None:
        self.calls: list[dict[str, str]] = []
        self.fail: set[str] = set()

    def __call__(self, overrides: Sequence[str]) -> int:
        given = dict(o.split("=", 1) for o in overrides)
        self.calls.append(given)
        folder = Path(given["runs_dir"]) / given["name"]
        (folder / "checkpoints" / "step_000001").mkdir(parents=True, exist_ok=True)
        if given["name"] in self.fail:
            return 1
        if "stages" in given:
            artifact = folder.parent / "artifacts" / f"sft-of-{given['name']}"
            artifact.mkdir(parents=True)
            (folder / "sft").symlink_to(artifact)  # as the stages do
            return 0
        assert Path(given["model.path"]).is_dir()
        right = {"sft": 1, "ppo": 3 if "gate" in given["name"] else 2}
        better = 0.25 + 0.125 * int(given["seed"]) * ("gate" in given["name"])
        figures = {"by_difficulty": {"10": {"pass@1": better, "se": 0.1, "n": 2}, "2": {"pass@1": 0.5, "n": 2}}}
        (folder / "evaluation.json").write_text(json.dumps({"policies": dict.fromkeys(right, figures)}))
        for policy, count in right.items():
            for mode in ("greedy", "sampled"):
                rows = [
                    {"task_id": f"t{i}", "completion": "", "status": "passed" if i < count else "wrong_answer"}
                    for i in range(4)
                ]
                text = "".join(json.dumps(row) + "\n" for row in rows)
                (folder / f"samples_{policy}_{mode}.jsonl").write_text(text)
        score = [
            {"critic/score/mean": 0.1 * step, "timing_s/step": 2.0, "perf/sampled_tokens": 100.0, "actor/lr": 1.0}
            for step in range(2)
        ]
        rows = [{"step": i, "time": 0.0, "stage": "ppo", "metrics": m} for i, m in enumerate(score)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return 0


def test_from_the_file_to_the_page(file: Path, tmp_path: Path) -> None:
    experiment = read_experiment(file)
    plans = experiment.runs()
    assert [plan.name for plan in plans] == ["toy-outcome-s1", "toy-gate-s1", "toy-outcome-s2", "toy-gate-s2"]
    trainer, place = Trainer(), Place(tmp_path / "runs", tmp_path / "records")
    trainer.fail = {"toy-gate-s2"}
    with pytest.raises(PrlRayError, match="1 of 4 runs failed: toy-gate-s2: exit code 1"):
        run_all(experiment, plans, place, execute=trainer)
    assert [call["name"] for call in trainer.calls] == ["toy-start", *[plan.name for plan in plans]]
    resumable = {folder.parent.name for folder in place.runs.glob("*/checkpoints")}
    assert resumable == {"toy-start", "toy-gate-s2"}  # those of runs with a record are gone

    trainer.fail, trainer.calls = set(), []
    records = run_all(experiment, plans, place, execute=trainer)
    assert [call["name"] for call in trainer.calls] == ["toy-gate-s2"]  # nothing is run twice, the start neither
    assert trainer.calls[0]["seed"] == "2" and trainer.calls[0]["loop.steps"] == "2"
    assert [record.arm for record in records] == ["outcome", "gate", "outcome", "gate"]

    result = summarise(experiment, records)
    gate = result["arms"]["gate"]
    assert gate["pass1_sampled"] == 0.75 and result["arms"]["outcome"]["pass1_sampled"] == 0.5
    assert gate["over_baseline"]["sampled"]["value"] == 0.25
    assert gate["over_baseline"]["sampled"]["holm_p"] == gate["over_baseline"]["sampled"]["p"]  # a single comparison
    assert gate["over_start"]["sampled"]["value"] == 0.5
    # 0.375 and 0.5, less 0.25 each
    assert list(gate["by_difficulty"]) == ["2", "10"]
    assert gate["by_difficulty"]["10"] == {"pass1": 0.4375, "over_baseline": 0.1875, "over_baseline_se": 0.0625}
    assert result["arms"]["outcome"]["by_difficulty"]["10"] == {"pass1": 0.25}
    assert "43.8% (+18.8 ± 6.2)" in page(result)
    assert gate["costs"] == {"sampled_tokens": 200.0, "steps": 2.0, "wall_s": 4.0}
    assert gate["costs_over_baseline"]["sampled_tokens"] == 1.0
    assert gate["curves"]["critic/score/mean"] == [[0.0, 0.0, 0.0, 0.0], [1.0, 0.1, 0.1, 0.1]]
    assert "over_baseline" not in result["arms"]["outcome"] and result["missing"] == []
    text = page(result)
    assert "Lines &amp; outcomes: &lt; 5 points." in text and "+25.0 [" in text and text.count("<svg") == 1
    assert page(summarise(experiment, records[:1])).count("Without a record yet") == 1
    here = f"{environment()['cores']} cores, {environment()['processor']}"
    assert result["machines"] == {here: len(records)}
    assert f"Runs by machine: {len(records)} on {here}." in unescape(text)
    unknown = [replace(r, by_difficulty={p: {"0": {"pass@1": 0.5}} for p in r.by_difficulty}) for r in records]
    assert "by difficulty" in text and "by difficulty" not in page(summarise(experiment, unknown))
    # seconds are compared at the seed that both ran on one machine; other costs at both
    moved = [replace(r, environment={**r.environment, "cores": 99}) if r is records[0] else r for r in records]
    moved = [replace(r, costs={k: 3 * v for k, v in r.costs.items()}) if r is records[1] else r for r in moved]
    ratios = summarise(experiment, moved)["arms"]["gate"]["costs_over_baseline"]
    assert (ratios["sampled_tokens"], ratios["wall_s"]) == (2.0, 1.0)
    apart = [replace(r, environment={**r.environment, "cores": 99}) if r.arm == "gate" else r for r in records]
    assert set(summarise(experiment, apart)["arms"]["gate"]["costs_over_baseline"]) == {"sampled_tokens", "steps"}
    old = [replace(record, environment={}) for record in records[:1]]
    assert "1 on a machine that is not recorded; 1 on" in page(summarise(experiment, [*old, records[1]]))

    write(experiment, place)
    shown = answer(Runs([place.runs]), "runs", {})["experiments"][0]
    assert (shown["name"], shown["baseline"], shown["missing"]) == ("toy", "outcome", [])
    arm = next(arm for arm in shown["arms"] if arm["arm"] == "gate")
    assert arm["over"]["value"] == 0.25 and arm["over"]["low"] <= 0.25 <= arm["over"]["high"] and arm["seeds"] == [1, 2]
    assert (shown["hypotheses"], arm["against"], arm["over_other"]) == (["Lines & outcomes: < 5 points."], "", None)
    assert arm["curves"]["critic/score/mean"][1] == [1.0, 0.1, 0.1, 0.1]


def test_starts_follow_each_other(file: Path, tmp_path: Path) -> None:
    one = '{overrides: [model=tiny, "stages=[sft]"]}'
    two = '{overrides: [model=tiny, "stages=[sft]", sft.epochs=2], seed: 7}'
    file.write_text(FILE.replace(f"start: {one}", f"start: [{one}, {two}]"))
    experiment, trainer = read_experiment(file), Trainer()
    place = Place(tmp_path / "runs", tmp_path / "records")
    run_all(experiment, experiment.runs(("gate",), (1,)), place, execute=trainer)
    first, second, arm = trainer.calls
    assert [first["name"], second["name"]] == ["toy-start", "toy-start-2"] and "model.path" not in first
    assert (second["model.path"], second["seed"]) == (str(place.runs / "artifacts" / "sft-of-toy-start"), "7")
    assert arm["model.path"] == str(place.runs / "artifacts" / "sft-of-toy-start-2")
    file.write_text(FILE.replace(f"start: {one}", f"start: [{one}, {{seed: -1}}]"))
    with pytest.raises(ConfigError, match=r"start\[1\]\.seed must be a non-negative integer"):
        read_experiment(file)


def test_arms_share_what_the_start_has_made(file: Path, tmp_path: Path) -> None:
    file.write_text(FILE.replace("algorithm.estimator=rloo]", 'algorithm.estimator=rloo, "prm.path={start}/prm"]'))
    experiment, trainer = read_experiment(file), Trainer()
    place = Place(tmp_path / "runs", tmp_path / "records", ["problems.path=/here/mbpp.jsonl"])
    [record] = run_all(experiment, experiment.runs(("gate",), (1,)), place, execute=trainer)
    assert trainer.calls[1]["prm.path"] == str(place.runs / "toy-start" / "prm")
    assert all(call["problems.path"] == "/here/mbpp.jsonl" for call in trainer.calls)
    assert "prm.path={start}/prm" in record.overrides and not any("here" in o for o in record.overrides)
    assert read_record(place.records, experiment.runs(("gate",), (1,))[0]) == record  # the same on every machine
    without = FILE.replace('start: {overrides: [model=tiny, "stages=[sft]"]}', "")
    file.write_text(without.replace("loop.steps=2", '"prm.path={start}/prm"'))
    with pytest.raises(ConfigError, match=r"there is no `start` run whose folder \{start\} could be"):
        read_experiment(file)
    file.write_text(FILE.replace("[model=tiny,", '["prm.path={start}/prm",'))
    with pytest.raises(ConfigError, match=r"start\.overrides: \{start\} is for `common` and the arms"):
        read_experiment(file)


def test_the_start_may_be_a_model_that_exists_already(file: Path, tmp_path: Path) -> None:
    file.write_text(FILE.replace('{overrides: [model=tiny, "stages=[sft]"]}', "{model: mine}"))
    with pytest.raises(ConfigError, match=r"start\.model: there is no folder .*mine"):
        read_experiment(file)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "weights").write_text("1")
    trainer, place = Trainer(), Place(tmp_path / "runs", tmp_path / "records")
    [plan] = read_experiment(file).runs(("gate",), (1,))
    run_all(read_experiment(file), [plan], place, execute=trainer)
    assert [call["model.path"] for call in trainer.calls] == [str(tmp_path / "mine")]
    (tmp_path / "mine" / "weights").write_text("2")
    [changed] = read_experiment(file).runs(("gate",), (1,))
    with pytest.raises(DataError, match="has other settings than"):
        read_record(place.records, changed)
    file.write_text(FILE.replace('{overrides: [model=tiny, "stages=[sft]"]}', "{model: mine, seed: 3}"))
    with pytest.raises(ConfigError, match=r"start has unknown keys \['seed'\]"):
        read_experiment(file)


def test_a_record_of_other_settings_is_not_taken_for_this_one(file: Path, tmp_path: Path) -> None:
    experiment = read_experiment(file)
    place = Place(tmp_path / "runs", tmp_path / "records")
    run_all(experiment, experiment.runs(["outcome"], [1]), place, execute=Trainer())
    file.write_text(FILE.replace("loop.steps=2", "loop.steps=3"))
    changed = read_experiment(file)
    with pytest.raises(DataError, match="has other settings than"):
        read_record(place.records, changed.runs(["outcome"], [1])[0])
    with pytest.raises(DataError, match="has other settings than"):
        run_all(changed, changed.runs(), place, execute=Trainer())
    file.write_text(FILE.replace("model=tiny", "model=smollm2"))
    with pytest.raises(DataError, match="has other settings than"):
        run_all(read_experiment(file), read_experiment(file).runs(["outcome"], [1]), place, execute=Trainer())


def test_arms_against_each_other(file: Path, tmp_path: Path) -> None:
    both = "[Lines teach., 'Added later: long gains no less than gate.']"
    text = FILE.replace('"Lines & outcomes: < 5 points."', both)
    file.write_text(text + "  long: {overrides: [loop.steps=4], against: gate}\n")
    experiment, place = read_experiment(file), Place(tmp_path / "runs", tmp_path / "records")
    run_all(experiment, experiment.runs(["outcome", "gate"]), place, execute=Trainer())
    records = run_all(experiment, experiment.runs(["long"], [2]), place, execute=Trainer())
    result = summarise(experiment, [*records, *run_all(experiment, experiment.runs(["outcome", "gate"]), place)])
    long, gate = result["arms"]["long"], result["arms"]["gate"]
    assert long["against"]["arm"] == "gate" and "against" not in gate
    # the stand-in passes a problem less than the gate's, at the only common seed
    assert long["against"]["over"]["sampled"]["value"] == -0.25 and long["against"]["over"]["sampled"]["seeds"] == 1
    assert long["against"]["costs"]["sampled_tokens"] == 1.0
    # three comparisons: two over the baseline, one of these arms
    least = min(d["p"] for d in (long["over_baseline"]["sampled"], gate["over_baseline"]["sampled"]))
    assert gate["over_baseline"]["sampled"]["holm_p"] == min(1, 3 * least)
    assert "Arms against each other" in page(result) and "-25.0 [" in page(result)
    assert "<blockquote>Added later: long gains no less than gate.</blockquote>" in page(result)
    write(experiment, place)
    shown = answer(Runs([place.runs]), "runs", {})["experiments"][0]
    assert shown["hypotheses"] == ["Lines teach.", "Added later: long gains no less than gate."]
    arm = next(arm for arm in shown["arms"] if arm["arm"] == "long")
    assert (arm["against"], arm["over_other"]["value"]) == ("gate", -0.25)
    alone = summarise(experiment, records)
    assert "against" not in alone["arms"]["long"] and "Arms against" not in page(alone)


def test_an_interruption_starts_no_further_run(file: Path, tmp_path: Path) -> None:
    experiment, trainer = read_experiment(file), Trainer()

    def interrupted(overrides: Sequence[str]) -> int:
        code = trainer(overrides)
        if "s1" in trainer.calls[-1]["name"]:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGTERM)
            time.sleep(0.5)
        return code

    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run_all(experiment, experiment.runs(), Place(tmp_path / "runs", tmp_path / "records"), execute=interrupted)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert [call["name"] for call in trainer.calls] == ["toy-start", "toy-outcome-s1"]


def test_the_command_checks_settings_and_lists_runs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(file), "--dry-run", "--seeds", "2"])
    listed = [line for line in capsys.readouterr().out.splitlines() if line.startswith(("todo", "done"))]
    assert listed == [  # libraries that are imported here for the first time print lines of their own
        "todo  toy-outcome-s2  loop.steps=2 reward=outcome",
        "todo  toy-gate-s2  loop.steps=2 reward=outcome algorithm.estimator=rloo",
    ]
    file.write_text(FILE.replace("[loop.steps=2]", '[loop.steps=2, "prm.path={start}/prm"]'))
    main([str(file), "--dry-run", "--seeds", "2", "--arms", "gate", "problems.path=mbpp.jsonl", "cluster.threads=1"])
    assert "prm.path={start}/prm reward=outcome" in capsys.readouterr().out
    wrong = (
        (FILE, ["--arms", "none_such"]),
        (FILE, ["--dry-run", "loop.steps=3"]),
        (FILE, ["--dry-run", "cluster.threadz=1"]),
        (FILE.replace("loop.steps=2", "loop.stepz=2"), ["--dry-run"]),
    )
    for text, words in wrong:
        file.write_text(text)
        with pytest.raises(SystemExit) as ended:
            main([str(file), *words])
        assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "only the settings of this machine" in err and "cluster.threads" in err and "loop.stepz" in err
