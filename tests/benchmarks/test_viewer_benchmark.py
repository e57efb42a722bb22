"""The synthetic run that the viewer is measured on, and the requests of the measurement."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import viewer
from benchmarks._synthetic_run import Size, write_run
from prl_ray.tracking.metrics_file import read_records
from prl_ray.tracking.sample_store import SampleStore

SIZE = Size(steps=6, prompts=6, samples=2, problems=12, varieties=4)


def test_a_synthetic_run_is_as_large_as_asked(tmp_path: Path) -> None:
    """Only the varieties are written anew, so only their seconds are known; later steps have the same samples."""
    seconds = write_run(tmp_path, SIZE)
    store = SampleStore(tmp_path / "samples")
    assert len(seconds) == SIZE.varieties
    assert [summary["step"] for summary in store.summaries()] == list(range(SIZE.steps))
    assert store.path(4).read_bytes() == store.path(0).read_bytes() != store.path(1).read_bytes()
    rows = store.read(5).to_pylist()
    assert len(rows) == SIZE.prompts * SIZE.samples
    assert all(row["program"] for row in rows)
    assert len(list(read_records(tmp_path / "metrics.jsonl"))) == SIZE.steps


def test_every_page_is_asked_for(tmp_path: Path) -> None:
    """A page that cannot show the run would end the measurement with an HTTP error."""
    (tmp_path / "synthetic").mkdir()
    write_run(tmp_path / "synthetic", SIZE)
    pages, first_s, megabytes = viewer.measure(tmp_path, SIZE)
    assert {len(seconds) for seconds in pages.values()} == {viewer.REPEATS}
    assert {"overview", "problem", "tree", "sample", "compare"} <= set(pages)
    assert first_s > 0
    assert megabytes > 10
