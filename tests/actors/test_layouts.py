"""The layouts of the documentation, placed by Ray itself on fake nodes in every order of the roles."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from layouts import COUNTS, Placed, right

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def placed() -> list[Placed]:
    done = subprocess.run(
        [sys.executable, str(HERE / "layouts.py")],
        env={**{k: v for k, v in os.environ.items() if not k.startswith("RAY_")}, "PYTHONPATH": str(HERE.parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_every_layout_is_placed_right_in_every_order(placed: list[Placed]) -> None:
    found = {(row["layout"], tuple(row["order"])) for row in placed}
    orders = list(itertools.permutations(["learner", "generator", "scorer"]))
    assert found == {(layout, order) for layout in COUNTS for order in orders}
    for row in placed:
        assert right(row), row


def test_ranks_that_alternate_between_nodes_or_lack_a_place_are_wrong(placed: list[Placed]) -> None:
    row = next(row for row in placed if row["layout"] == "two nodes")
    ranks = row["nodes"]["learner"]
    other = next(node for node in row["nodes"]["generator"] if node != ranks[0])
    alternating = [other if i % 2 else ranks[0] for i in range(len(ranks))]
    assert not right({**row, "nodes": {**row["nodes"], "learner": alternating}})
    assert not right({**row, "nodes": {**row["nodes"], "scorer": []}})
