"""Hosts on this machine, see ``benchmarks/_hosts.py``. Without root or network namespaces these tests are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from host_environment import environment

from benchmarks._hosts import Hosts, hosts_on_this_machine, missing


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A head without CPUs and three workers whose names stand for 127.0.1.1; each worker holds one learner rank."""
    if reason := missing():
        pytest.skip(reason)
    shared = environment(tmp_path_factory.mktemp("shared"))
    with hosts_on_this_machine() as made:
        made.start_ray(made.add("head", shared), cpus=0)
        for name in ("w1", "w2", "w3"):
            made.start_ray(made.add(name, shared, debian=True), cpus=4)
        yield made
