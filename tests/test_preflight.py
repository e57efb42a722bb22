"""A fault of a node is reported with the node and the remedy; the checks themselves run in ``tests/cluster``."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from prl_ray.actors.probe import OWN_CODE, NodeFacts, versions
from prl_ray.preflight import LEAST_MEMORY, LEAST_SHARED_MEMORY, faults_of, with_clock_error
from prl_ray.urls import working_copy

HERE = versions()
SOUND = NodeFacts(
    host="w1",
    address="10.0.0.2",
    versions=HERE,
    shares_runs=True,
    has_model=True,
    sandbox_error="",
    address_error="",
    free_memory=LEAST_MEMORY,
    free_shared_memory=LEAST_SHARED_MEMORY,
    disk_used=0.9,
    clock=1_000_000.0,
)
RUNS, MODEL = Path("/shared/runs"), Path("/shared/model")


def said(facts: NodeFacts) -> list[str]:
    return [str(fault) for fault in faults_of(facts, HERE, RUNS, MODEL)]


def test_the_working_copy_of_a_url_has_to_be_shared() -> None:
    (fault,) = faults_of(replace(SOUND, shares_runs=False), HERE, working_copy("s3://bucket/runs"), MODEL)
    assert "Set XDG_CACHE_HOME, for the driver, to a folder on a file system that all nodes share" in str(fault)


def test_a_sound_node_has_no_faults() -> None:
    assert said(SOUND) == []
    assert {"python", OWN_CODE, "ray", "torch"} <= HERE.keys()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"versions": HERE | {"torch": "1.0"}}, ["torch is 1.0, the driver has", "requirements/"]),
        ({"versions": HERE | {OWN_CODE: "0"}}, ["code of prl_ray is 0", "cluster.ship_code=true"]),
        ({"versions": {k: v for k, v in HERE.items() if k != "ray"}}, ["ray is missing"]),
        ({"shares_runs": False}, ["the runs folder /shared/runs is not the driver's", "runs_dir=FOLDER"]),
        ({"has_model": False}, ["the model folder /shared/model is not there", "model.path=FOLDER"]),
        ({"model_error": "s3://b/m cannot be opened"}, ["copied to it: s3://b/m cannot be", "cluster.env"]),
        ({"sandbox_error": "no user namespaces"}, ["no user namespaces", "sandbox_workers doctor"]),
        ({"address_error": "no interface"}, ["no interface"]),
        ({"unreachable": ["10.0.0.3 (timed out)"]}, ["cannot connect to 10.0.0.3 (timed out)", "TCP ports"]),
        ({"free_memory": 2**30}, ["only 1024 MB of memory are free"]),
        ({"free_shared_memory": 2**26}, ["only 64 MB are free in /dev/shm", "--shm-size"]),
        ({"disk_used": 0.97}, ["session folder is 97% full", "beyond 95%", "--temp-dir"]),
        ({"clock_error_s": 3600.0}, ["its clock is 3600 s ahead of the driver's", "Set it"]),
        ({"clock_error_s": -86.4}, ["its clock is 86 s behind the driver's"]),
    ],
)
def test_each_fault_is_named_with_its_remedy(change: dict[str, object], words: list[str]) -> None:
    (fault,) = said(replace(SOUND, **change))  # type: ignore[arg-type]
    assert fault.startswith("w1 (10.0.0.2): ")
    for word in words:
        assert word in fault


@pytest.mark.parametrize(("off_s", "found_s"), [(0.0, 0.0), (3600.0, 3600.0), (-3600.0, -3598.0), (-1.0, 0.0)])
def test_a_clock_is_wrong_only_where_the_time_of_the_answer_does_not_explain_it(off_s: float, found_s: float) -> None:
    """The node read its clock at any moment since it was asked, two seconds ago."""
    now = time.time()
    clocked = with_clock_error(replace(SOUND, clock=now + off_s), asked_at=now - 2)
    assert clocked.clock_error_s == pytest.approx(found_s, abs=0.5)
