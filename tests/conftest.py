"""Puts this folder on the import path, so that the tests of every package can share ``trajectories``; groups the tests
for runs with several workers (``pytest -n 2 --dist loadgroup``)."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is not a failure: hypothesis' default deadline of 200 ms per example measures the machine.
settings.register_profile("prl_ray", deadline=None)
settings.load_profile("prl_ray")

HERE = Path(__file__).parent
SANDBOX, RAY = "sandbox_workers", ("actors", "cluster", "families", "right_results", "test_train")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One group for the sandbox, whose tests watch the processes of the machine; one for what starts Ray or engines,
    which has fixtures worth sharing and needs the memory; every other module is a group of its own."""
    for item in items:
        place = item.path.relative_to(HERE).as_posix()
        group = SANDBOX if place.startswith(SANDBOX) else "ray" if place.startswith(RAY) else place
        item.add_marker(pytest.mark.xdist_group(group))
