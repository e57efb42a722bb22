"""Ends a run whose Ray head is gone with one message, before Ray ends it with its own log."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable

import ray

PATIENCE_S = 45.0
"""Longer than a short cut of the network; Ray itself gives up after 60 s, and ends the process without our message."""
EVERY_S = 5.0
CONNECT_S = 3.0


def watch_head(lost: Callable[[str], None] | None = None) -> None:
    """Watches, in a thread of its own, the head of the cluster that this process has joined. ``lost`` is called with
    the message; without it, the message is printed and the process ends with 1."""
    address = str(ray.get_runtime_context().gcs_address)
    threading.Thread(target=_watch, args=(address, lost or _end), name="head", daemon=True).start()


def _watch(address: str, lost: Callable[[str], None]) -> None:
    answered = time.monotonic()
    while ray.is_initialized() and str(ray.get_runtime_context().gcs_address) == address:
        if answers(address):
            answered = time.monotonic()
        elif time.monotonic() - answered >= PATIENCE_S:
            return lost(
                f"the head of the Ray cluster ({address}) has not answered for {PATIENCE_S:.0f} s, and no run outlives "
                "it. Start Ray on the nodes again and give the same command: it resumes from the newest checkpoint"
            )
        time.sleep(EVERY_S)
    return None


def answers(address: str) -> bool:
    """Whether anything listens at ``HOST:PORT``."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=CONNECT_S).close()
    except OSError:
        return False
    return True


def _end(message: str) -> None:
    print(f"\nerror: ResourceError: {message}", file=sys.stderr, flush=True)
    sys.stdout.flush()
    # The main thread may wait inside Ray, where no exception reaches it; nothing that closes actors would answer.
    os._exit(1)
