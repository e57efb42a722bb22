"""Step files on disk: written whole, thinned from the oldest, resumed without a trace of what was undone."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stored_samples import sample, table_of

from prl_ray.errors import DataError
from prl_ray.tracking.sample_schema import ADDED, SCHEMA
from prl_ray.tracking.sample_store import ROW_GROUP, SampleStore


@pytest.fixture(scope="module")
def table() -> pa.Table:
    return table_of([sample(), sample(), sample(group=1)], ["passed", "timeout", "passed"])


def test_a_step_is_read_back_whole_and_in_part(tmp_path):
    many = [sample(group=i) for i in range(ROW_GROUP + 20)]
    table = table_of(many, ["passed"] * len(many))
    store = SampleStore(tmp_path / "samples")
    store.write(3, table)
    assert store.steps() == [3] and store.read(3).equals(table)
    part = store.read(3, ["prompt_id", "program"], slice(ROW_GROUP + 1, ROW_GROUP + 4))
    assert part.column("prompt_id").to_pylist() == [ROW_GROUP + 1, ROW_GROUP + 2, ROW_GROUP + 3]
    assert store.read(3, ["prompt_id"], slice(5, 6)).column("prompt_id").to_pylist() == [5]
    assert [path.suffix for path in store.folder.iterdir() if path.stem.startswith("step")] == [".parquet"]


def test_the_summary_outlives_the_file(tmp_path, table):
    store = SampleStore(tmp_path / "samples", keep=2)
    for step in range(5):
        store.write(step, table)
    assert len(store.steps()) == 2 and [row["step"] for row in store.summaries()] == [0, 1, 2, 3, 4]
    assert store.summaries()[0]["prompts"] == [["task/0", 2, 1], ["task/1", 1, 1]]
    assert store.summaries()[0]["verdicts"] == {"passed": 2, "timeout": 1}
    assert store.summaries()[0]["groups"] == {"mixed": 1, "passing": 1}


@given(keep=st.integers(1, 12), steps=st.integers(1, 40))
def test_thinning_keeps_the_newest_and_takes_from_the_older_half(tmp_path_factory, keep, steps):
    store = SampleStore(tmp_path_factory.mktemp("thin"), keep)
    for step in range(steps):
        store.path(step).touch()
        store._thin()
    left = store.steps()
    assert len(left) == min(keep, steps) and left[-1] == steps - 1
    if keep > 2:
        assert left[0] == 0, "the first step stays"
        newest = len(left) - len(left) // 2
        assert left[-newest:] == list(range(steps - newest, steps))


def test_a_resumed_run_writes_its_steps_again(tmp_path, table):
    for step in range(5):
        SampleStore(tmp_path).write(step, table)
    store = SampleStore(tmp_path)
    store.rewind(2)
    assert store.steps() == [0, 1, 2] and [row["step"] for row in store.summaries()] == [0, 1, 2]
    store.write(3, table)
    SampleStore(tmp_path).write(3, table)
    assert [row["step"] for row in store.summaries()] == [0, 1, 2, 3]
    store.rewind(-1)
    assert store.steps() == [] and store.summaries() == []


def test_half_a_line_of_a_writer_that_was_killed_is_dropped(tmp_path, table):
    SampleStore(tmp_path).write(0, table)
    with (tmp_path / "summary.jsonl").open("a") as file:
        file.write('{"step": 1, "sam')
    assert [row["step"] for row in SampleStore(tmp_path).summaries()] == [0]
    SampleStore(tmp_path).write(1, table)
    assert [row["step"] for row in SampleStore(tmp_path).summaries()] == [0, 1]


def test_columns_that_came_later_are_null_in_older_files(tmp_path, table):
    store = SampleStore(tmp_path)
    store.write(0, table)
    facts = pq.read_schema(store.path(0)).metadata
    older = table.drop_columns(sorted(ADDED)).replace_schema_metadata(facts)
    pq.write_table(older, store.path(0))
    found = store.read(0)
    assert set(found.schema.names) == set(SCHEMA.names) and found.column("line_compared").null_count == len(table)
    assert store.read(0, ["located_line", "task_id"], slice(1, 3)).column("located_line").to_pylist() == [None, None]


def test_files_of_another_version_and_missing_ones_are_named(tmp_path, table):
    store = SampleStore(tmp_path)
    with pytest.raises(DataError, match="no samples of step 7"):
        store.read(7)
    facts = {b"prl_ray.samples": json.dumps({"format": 99}).encode()}
    pq.write_table(table.replace_schema_metadata(facts), store.path(7))
    with pytest.raises(DataError, match="another version"):
        store.read(7)
    store.path(8).write_bytes(b"PAR1 and then nothing")
    with pytest.raises(DataError, match="step_000008"):
        store.read(8)
