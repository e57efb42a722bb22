"""Puts this folder on the import path, so that the tests of every package can share ``trajectories``; groups the tests
for runs with several workers (``pytest -n 2``)."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# A busy machine is not a failure: hypothesis' default deadline of 200 ms per example measures the machine.
settings.register_profile("prl_ray", deadline=None)
settings.load_profile("prl_ray")

# Test processes share the cores: threads that wait for each other in every small operation cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")

FOLDERS = tuple(f"tests/{name}" for name in ("sandbox_workers/", "actors/", "cluster/", "families/", "right_results/"))


class Groups(LoadScopeScheduling):
    """One group for each folder whose tests share what is expensive (Ray, engines, models), and one for the sandbox's,
    which watch the processes of the machine; every other module is a group of its own."""

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return next((folder for folder in FOLDERS if module.startswith(folder)), module)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    """The scheduler of runs with several workers."""
    return Groups(config, log)
