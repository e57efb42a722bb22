"""Starting Ray on this machine, or joining a cluster, with errors that say what to do."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections.abc import Collection
from pathlib import Path

import ray
from ray.exceptions import AuthenticationError

from prl_ray.actors.head_watch import watch_head
from prl_ray.actors.shipping import runtime_env
from prl_ray.config import ClusterConfig
from prl_ray.errors import PrlRayError, ResourceError

CONNECT_S = 10.0
"""Ray itself keeps trying for minutes if there is no answer."""
TOKEN = (
    "`ray start --head` turned token authentication on: give this process the head's token (RAY_AUTH_MODE=token with "
    "RAY_AUTH_TOKEN, or the head's ~/.ray/auth_token copied to this user's home)"
)

_OTHER_VERSION = re.compile(
    r"Version mismatch:.*?Ray: (?P<head_ray>\S+)\s+Python: (?P<head_python>\S+)"
    r".*?Ray: (?P<own_ray>\S+)\s+Python: (?P<own_python>\S+)",
    re.DOTALL,
)
"""Ray's message to a driver of other versions than the head's."""


def start_ray(cluster: ClusterConfig, plugins: Collection[str] = ()) -> None:
    """Starts Ray here, or joins the cluster at ``cluster.address``; does nothing if this process has done so already.
    ``plugins`` are the modules of the user's own parts, which are carried to the nodes.

    Raises ``ResourceError`` if Ray does not start here, or if the cluster cannot be reached, requires a token, or runs
    another Ray or Python.
    """
    if ray.is_initialized():
        return
    _check_address(cluster.address)
    on_termination = signal.getsignal(signal.SIGTERM)
    try:
        with runtime_env(cluster, plugins) as carried:
            ray.init(
                address=cluster.address or "local",  # None would follow RAY_ADDRESS into another cluster
                namespace="prl_ray",
                include_dashboard=False if cluster.address is None else None,
                log_to_driver=os.environ.get("PRL_RAY_ACTOR_LOGS", "0") == "1",
                logging_level="ERROR",
                runtime_env=carried,
            )
    except AuthenticationError as error:
        raise ResourceError(
            f"the Ray cluster at cluster.address={cluster.address} refused this process. {TOKEN}"
        ) from error
    except PrlRayError:
        raise  # the code that is to be carried
    except Exception as error:  # failures of Ray's own processes are bare Exceptions
        raise _not_started(cluster.address, error) from error
    if on_termination is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_termination)  # Ray's would print a stack trace and abort
    if cluster.address is not None:
        watch_head()


def _not_started(address: str | None, error: Exception) -> ResourceError:
    """Says why Ray did not start on this machine, or did not let this process join a cluster."""
    if address in (None, "local"):
        return ResourceError(
            f"Ray did not start on this machine ({_first_line(error)}). It needs a writable folder for its session (by "
            "default in /tmp; RAY_TMPDIR chooses another one), free memory, and idle cores: the logs are in "
            "session_latest/logs there. The same command tries again"
        )
    if found := _OTHER_VERSION.search(str(error)):
        theirs, ours = (f"Ray {found[kind + '_ray']}, Python {found[kind + '_python']}" for kind in ("head", "own"))
        return ResourceError(
            f"the Ray cluster at cluster.address={address} runs {theirs}, and this process {ours}; all nodes need the "
            "same. Install the versions of requirements/ on all of them"
        )
    return ResourceError(
        f"this process cannot join a Ray cluster at cluster.address={address} ({_first_line(error)}): "
        "start one with `ray start --head`, or take cluster=local. If there is one, this host must be a node of it "
        f"(`ray start --address=…` here). {TOKEN}"
    )


def _check_address(address: str | None) -> None:
    """Refuses addresses that cannot work, and checks within seconds whether a server listens at ``HOST:PORT``."""
    if address is None:
        return None
    if "://" in address:
        raise ResourceError(
            f"cluster.address={address}: Ray Client does not carry a run, whose driver has to be on a node of the "
            "cluster. Run the command there with cluster.address=auto, or submit it: ray job submit --address "
            "http://HEAD:8265 -- python -m prl_ray.train +cluster=multi_node"
        )
    if address in ("auto", "local"):
        return _check_token()
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ResourceError(f"cluster.address={address} is neither 'auto' nor HOST:PORT, such as 10.0.0.1:6379")
    _check_token()
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError as error:
        raise ResourceError(
            f"no Ray cluster answers at cluster.address={address} ({error}): is that the head node's address, does "
            "`ray start --head` run there, and does a firewall let this host through?"
        ) from error
    return None


def _check_token() -> None:
    if os.environ.get("RAY_AUTH_MODE", "").lower() != "token" or os.environ.get("RAY_AUTH_TOKEN"):
        return
    file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")
    if not file.is_file():
        raise ResourceError(f"RAY_AUTH_MODE=token is set, but there is no token: {file} does not exist. {TOKEN}")


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
