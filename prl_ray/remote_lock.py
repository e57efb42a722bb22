"""One machine at a time per run behind a URL: a lease that records its holder and runs out when it is not renewed.

The kernel's lock of ``prl_ray.run_lock`` holds on one machine. Here the holder writes ``.lock`` into the run's folder
of the store and renews it every ``HEARTBEAT_S`` seconds. A lease counts until it is ``STALE_S`` seconds old; a killed
holder's runs out, or ends at once where its own machine sees that the process is gone. Clocks that disagree do no
harm: an old lease is watched for ``WATCH_S`` seconds before it is taken over.

Guarantee: where the store creates a file in one step (``Store.exclusive``), of several drivers that start at
the same time exactly one gets a free lease. Where it does not, and where a lease that ran out is taken over, each
reads its lease again after ``SETTLE_S`` seconds; one that was slower than that is ended at its next renewal.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

from prl_ray.errors import RunLockedError, StorageError
from prl_ray.run_lock import HEARTBEAT_S, NAME, STALE_S, Holder, described
from prl_ray.stores import Store

WATCH_S = 1.5 * HEARTBEAT_S
SETTLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Lease(Holder):
    """The contents of ``.lock``; times are by the holder's clock."""

    machine: str
    """Boot and process namespace of the holder, in which ``process`` is a number."""
    token: str
    beat: float
    """When it was renewed."""

    @classmethod
    def of_this_process(cls) -> Self:
        """A new lease."""
        now = time.time()
        return cls(socket.gethostname(), os.getpid(), now, _machine(), secrets.token_hex(8), now)

    @classmethod
    def read(cls, contents: bytes) -> Self | None:
        """None for contents that no holder wrote whole."""
        try:
            return cls(**json.loads(contents))
        except (ValueError, TypeError):
            return None

    def renewed(self) -> Self:
        """The same lease, renewed now."""
        return replace(self, beat=time.time())

    def written(self) -> bytes:
        """As ``read`` reads it."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def ended(self) -> bool:
        """Whether its process ran on this machine and is gone."""
        return self.machine == _machine() and not Path(f"/proc/{self.process}").exists()

    @property
    def old(self) -> bool:
        """Whether it was not renewed lately, if both clocks agree."""
        return abs(time.time() - self.beat) > STALE_S


class RemoteLock:
    """Context manager: holds the lease of the run at ``url``.

    Where another machine takes the lease over meanwhile, this process gets SIGTERM, which is to end the block, and the
    end of the block raises.

    Raises:
        RunLockedError: another process holds the lease; the message names its host, process and age.
        StorageError: the store cannot be read or written.
    """

    def __init__(self, url: str, warn: Callable[[str], None] = print) -> None:
        self.store, self._warn = Store(url), warn
        self._stop = threading.Event()
        self._lost = ""
        """Who has taken the lease over."""

    def __enter__(self) -> Self:
        self._lease = Lease.of_this_process()
        created = self.store.create(NAME, self._lease.written())
        if not created and not self._ours:  # a driver that sends a request again is told that its file is there
            self._take_over()
        elif not self.store.exclusive:
            self._settle()
        self._heart = threading.Thread(target=self._beat, name="remote-lock", daemon=True)
        self._heart.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._heart.join()
        if self._lost:
            raise RunLockedError(self._lost)
        with suppress(StorageError):  # then it runs out by itself
            if self._ours:
                self.store.remove(NAME)

    def _take_over(self) -> None:
        """Replaces a lease that nobody renews. Raises ``RunLockedError`` for any other."""
        found = self._found
        if found is None:
            found = self._watched(b"")
        elif not found.ended:
            if not found.old:
                raise self._refusal(found)
            found = self._watched(found.written())
        if found:
            self._warn(f"an earlier process of this run was killed ({described(found)}); its lease is taken over")
        self.store.remove(NAME)
        if not self.store.create(NAME, self._lease.written()):
            raise self._refusal(self._found)
        self._settle()

    def _watched(self, before: bytes) -> Lease | None:
        """The lease after ``WATCH_S`` seconds in which nobody renewed it. Raises ``RunLockedError`` if somebody did."""
        time.sleep(WATCH_S)
        found = self._found
        if found is not None and found.written() != before:
            raise self._refusal(found)
        return found

    def _settle(self) -> None:
        """Raises ``RunLockedError`` if another process has taken the lease at the same time."""
        time.sleep(SETTLE_S)
        if not self._ours:
            raise self._refusal(self._found)

    def _refusal(self, found: Lease | None) -> RunLockedError:
        runs_out = f"; its lease runs out {STALE_S:.0f} s after it was killed" if found else ""
        return RunLockedError(
            f"another process works on the run {self.store.url}: {described(found)}{runs_out}. Wait for it, stop it, "
            "or give this run another name (name=…)"
        )

    @property
    def _found(self) -> Lease | None:
        return Lease.read(self.store.read(NAME) or b"")

    @property
    def _ours(self) -> bool:
        found = self._found
        return found is not None and found.token == self._lease.token

    def _beat(self) -> None:
        while not self._stop.wait(HEARTBEAT_S):
            with suppress(StorageError):  # a store that fails for a while: the next beat may succeed
                found = self._found
                if found is not None and found.token != self._lease.token:
                    return self._give_up(found)
                self._lease = self._lease.renewed()
                self.store.replace(NAME, self._lease.written())
        return None

    def _give_up(self, found: Lease) -> None:
        self._lost = (
            f"another process has taken over the run {self.store.url}: {described(found)}. This one did not renew its "
            f"lease for {STALE_S:.0f} s, because it stood still or the store could not be reached, and ends"
        )
        if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:  # nothing is said after it
            print(f"error: RunLockedError: {self._lost}", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGTERM)


def _machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
