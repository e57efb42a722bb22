"""An address that cannot work is an error within seconds that says what to do; no Ray is started here."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import ray
from ray._private.utils import check_version_info

from prl_ray.actors.joining import start_ray
from prl_ray.actors.meeting import INTERFACES, interface_of
from prl_ray.actors.placement import Demand
from prl_ray.actors.roles import counted, threads_of
from prl_ray.config import ClusterConfig
from prl_ray.errors import ResourceError


def refused(address: str) -> str:
    start = time.monotonic()
    with pytest.raises(ResourceError) as error:
        start_ray(ClusterConfig(address=address))
    assert time.monotonic() - start < 15
    return str(error.value)


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture(autouse=True)
def no_ray_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other modules of this folder have started Ray in this process, which a command that joins a cluster has not."""
    monkeypatch.setattr(ray, "is_initialized", lambda: False)


def test_ray_client_is_refused_with_what_to_use_instead() -> None:
    said = refused("ray://10.0.0.1:10001")
    assert "cluster.address=auto" in said and "ray job submit" in said


START = (
    "from prl_ray.actors.joining import start_ray; from prl_ray.config import ClusterConfig; start_ray(ClusterConfig())"
)


def test_a_session_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """In a process of its own: other modules have started Ray in this one."""
    file = tmp_path / "file"
    file.touch()
    environment = os.environ | {"RAY_TMPDIR": str(file)}
    command = [sys.executable, "-c", START]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert "ResourceError: Ray did not start on this machine (" in last and str(file) in last and "RAY_TMPDIR" in last


@pytest.mark.parametrize("address", ["10.0.0.1", "head", "head:port"])
def test_an_address_without_a_port_is_named(address: str) -> None:
    assert f"cluster.address={address} is neither 'auto' nor HOST:PORT" in refused(address)


def test_a_host_that_does_not_exist_is_named() -> None:
    assert "no Ray cluster answers at cluster.address=no-such-host.invalid:6379" in refused("no-such-host.invalid:6379")


def test_so_is_a_port_that_nobody_listens_at() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert f"127.0.0.1:{port} ([Errno 111] Connection refused)" in refused(f"127.0.0.1:{port}")


@pytest.mark.parametrize("address", ["auto", "10.0.0.1:6379"])
def test_token_mode_without_a_token_says_where_it_is_looked_for(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    assert f"there is no token: {tmp_path}/.ray/auth_token does not exist" in refused(address)


def test_another_ray_or_python_on_the_head_is_named_with_both_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """With Ray's own check of the versions that the head tells, which ``ray.init`` makes."""
    head = {"ray_version": "2.9.0", "python_version": "3.9.18"}
    monkeypatch.setattr(ray, "init", lambda **options: check_version_info(head, "node 10.0.0.2"))
    said = refused("auto")
    ours = f"Ray {ray.__version__}, Python {platform.python_version()}"
    assert said.startswith(
        f"the Ray cluster at cluster.address=auto runs Ray 2.9.0, Python 3.9.18, and this process {ours}; all nodes"
    )
    assert "requirements/" in said and "\n" not in said


def test_the_interface_of_an_address_is_found_or_the_node_is_named() -> None:
    assert interface_of("127.0.0.1") == "lo"
    with pytest.raises(ResourceError, match=rf"{socket.gethostname()}.*203\.0\.113\.7.*lo 127\.0\.0\.1"):
        interface_of("203.0.113.7")
    assert "GLOO_SOCKET_IFNAME" in INTERFACES


@pytest.mark.parametrize(
    ("demand", "alone", "threads"),
    [
        (Demand("learner", 1, 0.5, 0), True, 8),
        (Demand("learner", 4, 0.5, 0), True, 2),
        (Demand("learner", 16, 0.5, 0), True, 1),
        (Demand("generator", 4, 1.0, 0), True, 8),
        (Demand("learner", 4, 2.0, 1), False, 2),
        (Demand("scorer", 1, 0.25, 0), False, 1),
    ],
)
def test_threads_follow_the_machine_or_the_cpus_that_were_asked_for(demand: Demand, alone: bool, threads: int) -> None:
    """Two CPUs a rank are two threads a rank, however many ranks a cluster has."""
    assert threads_of(demand, alone, cores=8) == threads


def test_hosts_are_counted() -> None:
    assert counted(["b", "a", "b"]) == "a, b × 2"
