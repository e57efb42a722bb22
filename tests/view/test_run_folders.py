"""Run folders with odd names, links and pipes in them; runs that come, go, stop, and grow while they are read."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path

import pytest
from view_run import write_run, write_step

from prl_ray.errors import DataError
from prl_ray.view.answers import answer
from prl_ray.view.export import export
from prl_ray.view.runs import Runs


def state_of(folder: Path) -> object:
    return answer(Runs([folder]), "overview", {"run": "run"})["state"]


@pytest.mark.parametrize(
    "name",
    ["a,b", "two words", "hash#and?query&x=1%20", "‮evil", "<b>bold", "~", "x" * 255, "…", "quote'\"", "\\", "+"],
)
def test_runs_with_odd_names_have_pages(tmp_path: Path, name: str) -> None:
    write_run(tmp_path / name, steps=1)
    write_run(tmp_path / "other", steps=1)
    runs = Runs([tmp_path])
    assert answer(runs, "overview", {"run": name})["run"] == name
    assert answer(runs, "compare", {"runs": f"{name}/other"})["runs"] == [name, "other"]


def test_a_name_that_is_no_text_is_spelled_out(tmp_path: Path) -> None:
    write_run(tmp_path / "plain", steps=1)
    (tmp_path / "plain").rename(os.fsdecode(bytes(tmp_path) + b"/caf\xe9"))
    runs = Runs([tmp_path])
    assert [row["run"] for row in answer(runs, "runs", {})["rows"]] == ["caf\\xe9"]
    assert answer(runs, "overview", {"run": "caf\\xe9"})["step"] == 1
    assert export(runs, tmp_path / "page.html", 5) > 0


@pytest.mark.parametrize("inner", ["metrics.jsonl", "samples", "samples/summary.jsonl", "samples/step_000001.parquet"])
def test_links_inside_a_run_that_lead_out_of_it_are_refused(tmp_path: Path, inner: str) -> None:
    write_run(tmp_path / "secret" / "run", steps=2)
    write_run(tmp_path / "runs" / "run", steps=2)
    path = tmp_path / "runs" / "run" / inner
    path.rename(tmp_path / "aside")
    path.symlink_to(tmp_path / "secret" / "run" / inner)
    with pytest.raises(DataError, match="outside the given folders"):
        answer(Runs([tmp_path / "runs"]), "sample", {"run": "run", "step": "1", "row": "0"})


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text("seed: 1\n")
    os.mkfifo(tmp_path / "run" / "metrics.jsonl")
    row = answer(Runs([tmp_path]), "runs", {})["rows"][0]
    assert row["state"] == "unreadable" and "metrics.jsonl is not a file" in row["error"]


def test_an_empty_folder_has_no_runs_and_a_run_may_appear_and_go(tmp_path: Path) -> None:
    runs = Runs([tmp_path])
    assert answer(runs, "runs", {})["rows"] == []
    write_run(tmp_path / "run", steps=1)
    assert answer(runs, "overview", {"run": "run"})["step"] == 1
    (tmp_path / "run").rename(tmp_path / "moved")
    with pytest.raises(DataError, match="no run 'run'"):
        answer(runs, "overview", {"run": "run"})


def test_an_interrupted_run_is_told_from_one_that_goes_on(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=1)
    metrics = tmp_path / "run" / "metrics.jsonl"
    metrics.write_text(metrics.read_text().replace('"time": 1', '"time": 0.0, "was": 1'))
    with metrics.open("a") as file:
        file.write(json.dumps({"step": 0, "stage": "ppo", "time": 1.0, "metrics": {}}) + "\n")
    assert state_of(tmp_path) == "stopped"
    (tmp_path / "run" / ".lock").write_text('{"process": 1}\n')
    assert state_of(tmp_path) == "running", "its process is there, and logs nothing for minutes"
    os.utime(tmp_path / "run" / ".lock", (1.0, 1.0))
    assert state_of(tmp_path) == "stopped", "it was killed"


def test_pages_are_whole_while_the_run_grows_and_is_rewound(tmp_path: Path) -> None:
    tracker = write_run(tmp_path / "run", steps=2)
    runs, done, failures = Runs([tmp_path]), threading.Event(), []

    def read(page: str) -> None:
        while not done.is_set():
            try:
                answer(runs, page, {"run": "run", "task": "task/0"})
            except DataError as error:
                if "thinned out" not in str(error):
                    failures.append(repr(error))
            except Exception as error:  # whatever it is, in a thread it would be lost
                failures.append(repr(error))
                return

    threads = [threading.Thread(target=read, args=(p,)) for p in ("overview", "problems", "problem", "locator")]
    for thread in threads:
        thread.start()
    for step in range(2, 14):
        write_step(tracker, step)
        if step % 5 == 0:
            tracker.rewind("ppo", step - 2)
            write_step(tracker, step - 1)
            write_step(tracker, step)
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert answer(runs, "problems", {"run": "run"})["last"] == 13
