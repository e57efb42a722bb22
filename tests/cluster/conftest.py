"""Hosts on this machine, see ``benchmarks/_hosts.py``. Without root or network namespaces these tests are skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks._hosts import Hosts, hosts_on_this_machine, missing

ROOT = Path(__file__).resolve().parents[2]


def environment(shared: Path) -> dict[str, str]:
    """What all hosts share: the code, a cache for the model, and what torch has compiled for DeepSpeed."""
    from torch.utils.cpp_extension import get_default_build_root

    compiled = os.environ.get("TORCH_EXTENSIONS_DIR", get_default_build_root())
    return {
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(shared / "cache"),
        "TORCH_EXTENSIONS_DIR": compiled,
    }


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
