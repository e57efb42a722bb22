"""Hosts on this machine, see ``benchmarks/_hosts.py``. Without root or network namespaces these tests are skipped."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks._hosts import Hosts, hosts_on_this_machine, missing, shared_environment


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    """A head and a worker whose name stands for 127.0.1.1; each has room for one learner rank."""
    if reason := missing():
        pytest.skip(reason)
    shared = shared_environment(tmp_path_factory.mktemp("shared"))
    with hosts_on_this_machine() as made:
        for name in ("head", "w1"):
            made.start_ray(made.add(name, shared, debian=name != "head"), cpus=4)
        yield made
