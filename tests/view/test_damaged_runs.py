"""Runs that are torn, foreign or damaged: what can be shown is shown, and a clear word says the rest."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from view_run import write_run, write_step

from prl_ray.errors import DataError
from prl_ray.view.answers import RUN_PAGES, answer
from prl_ray.view.export import export
from prl_ray.view.runs import Runs
from prl_ray.view.tail import Tail

QUERY = {"task": "task/0", "step": "1", "row": "0"}


def ask(folder: Path, page: str, **query: str) -> dict[str, object]:
    """A page of the run ``run``, as strict JSON."""
    found = answer(Runs([folder]), page, {"run": "run", **QUERY, **query})
    return json.loads(json.dumps(found, allow_nan=False))


def said(folder: Path) -> str:
    return " ".join(ask(folder, "overview")["missing"])


def append(path: Path, *lines: str | bytes) -> None:
    with path.open("ab") as file:
        for line in lines:
            file.write((line if isinstance(line, bytes) else line.encode()) + b"\n")


@pytest.mark.parametrize(
    "line",
    [
        "{not json",
        "[1, 2]",
        "[" * 100_000,
        b"\xff\xfe\x00",
        '{"step": "three", "metrics": {}}',
        '{"step": 2, "metrics": [1]}',
        '{"step": 1e999, "metrics": {}}',
    ],
)
def test_a_bad_line_of_metrics_is_named_and_the_others_are_shown(tmp_path: Path, line: str | bytes) -> None:
    tracker = write_run(tmp_path / "run", steps=2)
    append(tmp_path / "run" / "metrics.jsonl", line)
    write_step(tracker, 2)
    assert ask(tmp_path, "overview")["step"] == 3
    assert "metrics.jsonl: 1 line not readable and left out (line 3: " in said(tmp_path)


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        '{"step": 5, "prompts": "none"}',
        '{"step": 5, "prompts": [["a", 1]]}',
        '{"step": 5, "prompts": [["a", -1, 0]]}',
        '{"step": 5, "prompts": [["a", 99999999999, 0]]}',
        '{"step": 0, "prompts": []}',
        '{"step": 5, "prompts": [], "verdicts": {"passed": "many"}}',
    ],
)
def test_a_bad_line_of_the_summary_is_named_and_the_others_are_shown(tmp_path: Path, line: str) -> None:
    write_run(tmp_path / "run", steps=2)
    append(tmp_path / "run" / "samples" / "summary.jsonl", line)
    assert ask(tmp_path, "problems")["steps"] == [0, 1]
    assert "summary.jsonl: 1 line not readable" in said(tmp_path)


def test_metrics_that_are_no_finite_numbers_are_left_out(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=1)
    odd = {"critic/score/mean": 10**400, "actor/kl": "high", "critic/rewards/mean": [1], "actor/entropy": True}
    odd |= {"timing_s/gen": 1e308, "timing_s/update_actor": 1e308, "perf/throughput": None, "val-core/x": float("nan")}
    append(tmp_path / "run" / "metrics.jsonl", json.dumps({"step": 1, "stage": "ppo", "time": 1.0, "metrics": odd}))
    found = ask(tmp_path, "overview")
    assert found["pass_rate"] == 0.2, "the newest number"
    assert found["entropy"] == 1.0
    for page in RUN_PAGES:
        if page not in ("tree", "sample"):
            ask(tmp_path, page)


def test_thousands_of_metrics_are_read(tmp_path: Path) -> None:
    many = {f"other/{i}": float(i) for i in range(5000)}
    (tmp_path / "run").mkdir()
    rows = (json.dumps({"step": s, "stage": "ppo", "time": 1.0, "metrics": many}) for s in range(20))
    append(tmp_path / "run" / "metrics.jsonl", *rows)
    assert ask(tmp_path, "overview")["state"] == "stopped"


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[100:2000] = bytes(len(data[100:2000]))
    path.write_bytes(data)


def of_another_version(path: Path) -> None:
    table = pq.read_table(path)
    pq.write_table(table.replace_schema_metadata({b"prl_ray.samples": b'{"format": 99}'}), path)


def of_nobody(path: Path) -> None:
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"prl_ray.samples": b"\xff{"}), path)


def without_a_column(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns(["line_score"]), path)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (torn, "not readable as samples"),
        (emptied, "not readable as samples"),
        (damaged, "not readable as samples"),
        (of_another_version, "another version"),
        (of_nobody, "another version"),
        (without_a_column, "no column line_score"),
    ],
)
def test_a_damaged_step_is_named_and_the_others_are_shown(
    tmp_path: Path, damage: Callable[[Path], None], word: str
) -> None:
    tracker = write_run(tmp_path / "run", steps=3)
    damage(tracker.store.path(1))
    for page in ("sample", "tree", "samples"):
        with pytest.raises(DataError, match=word):
            ask(tmp_path, page)
    steps = {step["step"]: step for step in ask(tmp_path, "problem")["steps"]}
    assert word in steps[1]["error"] and len(steps[0]["samples"]) == len(steps[2]["samples"]) == 3
    found = ask(tmp_path, "locator")
    assert [word in text for text in found["unread"]] == [True] and found["queue"]
    assert export(Runs([tmp_path]), tmp_path / "page.html", 50) > 0


def test_columns_that_this_version_does_not_know_are_left_alone(tmp_path: Path) -> None:
    tracker = write_run(tmp_path / "run", steps=2)
    path = tracker.store.path(1)
    table = pq.read_table(path)
    pq.write_table(table.append_column("from_the_future", [["x"] * len(table)]), path)
    assert ask(tmp_path, "sample")["task"] == "task/0"


@pytest.mark.parametrize(
    ("name", "text", "word"),
    [
        ("config.yaml", "a: [", "config.yaml is not readable"),
        ("config.yaml", "- a\n", "config.yaml is not a mapping"),
        ("evaluation.json", "{", "evaluation.json"),
        ("evaluation.json", '{"policies": 3}', "evaluation.json"),
        ("cluster.json", "[]", "cluster.json is not a JSON object"),
        ("cluster.json", "[" * 100_000, "nested too deeply"),
        ("problems.jsonl", "{}\n", "not a file of problems"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str, word: str) -> None:
    write_run(tmp_path / "run", steps=2)
    (tmp_path / "run" / name).write_text(text)
    words = [row.get("error", "") for row in answer(Runs([tmp_path]), "runs", {})["rows"]]
    for page in RUN_PAGES:
        try:
            ask(tmp_path, page)
        except DataError as error:
            words.append(str(error))
    assert any(word in found for found in words), words


def test_a_snapshot_of_another_shape_shows_what_it_has(tmp_path: Path) -> None:
    write_run(tmp_path / "run", steps=1)
    shot = {
        "time": "now",
        "nodes": [{"name": 7, "actors": [{"role": None}, 3]}, "x"],
        "verifiers": {"waiting": 2, "x": []},
    }
    (tmp_path / "run" / "cluster.json").write_text(json.dumps(shot))
    found = ask(tmp_path, "cluster")["snapshot"]
    assert found["verifiers"] == {"waiting": 2.0} and found["logs"] == []
    assert [(node["name"], len(node["actors"])) for node in found["nodes"]] == [("7", 1)]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.one_of(st.just(b'{"a": 1}'), st.binary(max_size=20).map(lambda b: b.replace(b"\n", b"")))),
    st.lists(st.integers(0, 300), max_size=5),
)
def test_a_tail_reads_each_line_once_wherever_the_writer_stopped(
    tmp_path: Path, lines: list[bytes], stops: list[int]
) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"")
    data = b"".join(line + b"\n" for line in lines)
    rows: list[dict[str, object]] = []
    tail = Tail(path, [tmp_path.resolve()], rows.append, rows.clear)
    written = 0
    for stop in [*sorted(stops), len(data)]:
        with path.open("ab") as file:
            file.write(data[written : max(written, stop)])
        written = max(written, min(stop, len(data)))
        tail.read()
    tail.read()
    assert len(rows) >= lines.count(b'{"a": 1}')
    assert len(rows) == len(lines) or "not readable" in tail.complaint
