"""Puts this folder on the import path, so that the tests of every package can share ``trajectories``; groups the tests
for runs with several workers (``pytest -n 2``)."""

from __future__ import annotations

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A busy machine is not a failure: hypothesis' default deadline of 200 ms per example measures the machine.
settings.register_profile("prl_ray", deadline=None)
settings.load_profile("prl_ray")

SANDBOX = "tests/sandbox_workers/"
RAY = tuple(f"tests/{name}" for name in ("actors/", "cluster/", "families/", "right_results/", "test_train"))


class Groups(LoadScopeScheduling):
    """One group for the sandbox, whose tests watch the processes of the machine; one for what starts Ray or engines,
    which has fixtures worth sharing and needs the memory; every other module is a group of its own."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "sandbox" if module.startswith(SANDBOX) else "ray" if module.startswith(RAY) else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """The scheduler of runs with several workers."""
    return Groups(config, log)
