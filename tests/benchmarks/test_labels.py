"""The parts of the labels' benchmark, on rows made by hand."""

import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.labels_mbpp import disagreements, survival
from prl_ray.problems import Problem
from prl_ray.supervision import LabelledProgram
from sandbox_workers import TestSuite

PROBLEM = Problem("t", "Double x.", "f", TestSuite("assert", tests=("assert f(2) == 4",)), (), "train")


def row(program: str, passed: bool) -> LabelledProgram:
    return LabelledProgram("t", "Double x.", "", program, (), passed, "arithmetic", 1, -1, "")


def test_a_label_that_a_plain_run_denies_is_found() -> None:
    right, wrong = "def f(x):\n    return x * 2", "def f(x):\n    return x * 3"
    rows = [row(right, True), row(wrong, False), row(right, False), row(wrong, True), row("def f(:", False)]
    found = disagreements([PROBLEM], rows, count=5, seed=0, workers=2)
    assert sorted((r["program"], r["plain"]) for r in found) == [(right, True), (wrong, False)]


def test_survival_is_of_what_the_tests_decided() -> None:
    table = {
        "arithmetic": Counter(killed=3, survived=1, executed=5, sandbox_error=1),
        "rename_local": Counter(survived=9, executed=9),
        "loop_once": Counter(),
    }
    assert survival(table) == {"arithmetic": {"decided": 4, "survived": pytest.approx(0.25), "one_node": 0.14}}
