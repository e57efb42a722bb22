"""The run that comes with the package: small, whole, and without a trace of the machine that made it."""

from __future__ import annotations

import importlib.resources
import re
from pathlib import Path

import pytest

from prl_ray.tracking import read_records
from prl_ray.tracking.sample_store import SampleStore
from prl_ray.view.answers import answer
from prl_ray.view.demo import NAME, unpack_demo
from prl_ray.view.runs import Runs


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (run,) = unpack_demo(tmp_path_factory.mktemp("demo")).iterdir()
    return run


def test_it_is_small() -> None:
    assert len((importlib.resources.files("prl_ray.view") / NAME).read_bytes()) < 1_000_000


def test_it_has_what_the_pages_show(demo: Path) -> None:
    store = SampleStore(demo / "samples")
    steps = store.steps()
    assert len(steps) >= 3
    located = store.read(steps[-1], ["located_line", "line_compared"])
    assert located.column("located_line").drop_null() and located.column("line_compared").drop_null()
    rewards = store.read(steps[-1]).column("reward").to_pylist()
    assert any(rewards) and all(sample is None or len(sample) for sample in rewards), "filtered samples have none"
    records = list(read_records(demo / "metrics.jsonl"))
    assert {"label", "prm", "ppo"} <= {record.stage for record in records}
    assert (demo / "problems.jsonl").read_text().count("\n") > 0


def test_its_credit_is_computed_again_to_the_stored_advantages(demo: Path) -> None:
    runs, rules = Runs([demo]), set()
    for step in SampleStore(demo / "samples").steps():
        for row in range(0, 48, 4):
            credit = answer(runs, "sample", {"run": demo.name, "step": str(step), "row": str(row)})["credit"]
            if credit is not None:
                assert credit["right"], (step, row)
                rules.add(credit["lines"]["rule"])
    assert rules == {"lines", "located", "outcome"}


def test_no_path_of_a_machine_is_in_it(demo: Path) -> None:
    for file in demo.rglob("*"):
        if file.suffix in (".yaml", ".json", ".jsonl"):
            assert not re.search(r"[\"' ]/(home|root|tmp|work|mnt|data)/", file.read_text()), file.name
