"""The layouts of the documentation, placed by Ray itself on fake nodes in every order of the roles."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
pytestmark = pytest.mark.slow
COUNTS = {
    "one node": {"learner": 1, "generator": 1, "scorer": 1},
    "two nodes": {"learner": 8, "generator": 4, "scorer": 1},
    "three nodes": {"learner": 16, "generator": 6, "scorer": 1},
}


@pytest.fixture(scope="module")
def placed() -> list[dict[str, object]]:
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


def test_every_layout_is_placed_in_every_order(placed: list[dict[str, object]]) -> None:
    found = {(row["layout"], tuple(row["order"])) for row in placed}  # type: ignore[arg-type]
    orders = list(itertools.permutations(["learner", "generator", "scorer"]))
    assert found == {(layout, order) for layout in COUNTS for order in orders}
    for row in placed:
        assert {role: len(nodes) for role, nodes in row["nodes"].items()} == COUNTS[row["layout"]]  # type: ignore


def test_ranks_of_one_node_follow_each_other_on_as_few_nodes_as_there_are(placed: list[dict[str, object]]) -> None:
    for row in placed:
        ranks = row["nodes"]["learner"]  # type: ignore[index]
        runs = [node for node, _ in itertools.groupby(ranks)]
        assert len(runs) == len(set(ranks)), f"ranks alternate between nodes: {row}"
        if row["order"][0] == "learner":  # type: ignore[index]
            assert len(runs) == -(-len(ranks) // 8), row
