import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.errors import DataError
from prl_ray.tracking import MetricsFile, read_records


def rows(path):
    return [(r.stage, r.step, r.metrics) for r in read_records(path)]


def test_each_row_is_strict_json_and_reads_back(tmp_path):
    file = MetricsFile(tmp_path / "deep" / "metrics.jsonl")
    file.append("ppo", 1, {"actor/pg_loss": 0.25, "bad": math.nan, "worse": math.inf})
    line = json.loads((tmp_path / "deep" / "metrics.jsonl").read_text(), parse_constant=pytest.fail)
    assert line["step"] == 1 and line["stage"] == "ppo" and line["time"] > 1e9
    assert line["metrics"] == {"actor/pg_loss": 0.25, "bad": None, "worse": None}
    (record,) = read_records(file.path)
    assert record.metrics["actor/pg_loss"] == 0.25 and math.isnan(record.metrics["bad"])


def test_a_row_is_on_disk_as_soon_as_it_is_written(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for step in range(3):
        file.append("ppo", step, {"x": step})
        assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == step + 1 == file.rows


def test_half_a_line_of_a_killed_process_is_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).append("ppo", 1, {"x": 1.0})
    with path.open("a") as file:
        file.write('{"step": 2, "time": 1.0, "sta')
    assert rows(path) == [("ppo", 1, {"x": 1.0})]
    again = MetricsFile(path)
    again.append("ppo", 2, {"x": 2.0})
    assert rows(path) == [("ppo", 1, {"x": 1.0}), ("ppo", 2, {"x": 2.0})]


def test_a_line_that_is_no_record_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    MetricsFile(path).append("ppo", 1, {"x": 1.0})
    with path.open("a") as file:
        file.write("[1]\n")
    with pytest.raises(DataError, match=r"metrics\.jsonl:2"):
        list(read_records(path))


def test_cut_says_whether_the_tail_went(tmp_path):
    file = MetricsFile(tmp_path / "metrics.jsonl")
    for stage, step in [("sft", 1), ("ppo", 1), ("ppo", 2), ("evaluate", 0)]:
        file.append(stage, step, {})
    assert file.cut(lambda r: r.stage == "evaluate") == (1, True)
    assert file.cut(lambda r: r.stage == "sft") == (1, False)
    assert file.cut(lambda r: False) == (0, True)
    assert rows(file.path) == [("ppo", 1, {}), ("ppo", 2, {})]


@given(st.integers(0, 8), st.lists(st.integers(0, 8), max_size=4))
def test_a_run_killed_anywhere_leaves_what_an_uninterrupted_one_leaves(tmp_path_factory, steps, kills):
    def run(file, first, last):
        for step in range(first, last + 1):
            file.append("ppo", step, {"x": step * step})

    whole = MetricsFile(tmp_path_factory.mktemp("whole") / "m.jsonl")
    run(whole, 1, steps)
    path = tmp_path_factory.mktemp("torn") / "m.jsonl"
    checkpoint = 0
    for kill in kills:  # each attempt goes on from the last even step and dies after ``kill``
        file = MetricsFile(path)
        file.cut(lambda r, k=checkpoint: r.step > k)
        run(file, checkpoint + 1, min(kill, steps))
        checkpoint = max(checkpoint, min(kill, steps) // 2 * 2)
    file = MetricsFile(path)
    file.cut(lambda r: r.step > checkpoint)
    run(file, checkpoint + 1, steps)
    assert rows(path) == rows(whole.path)
