"""The cost of forking on this machine: clone, exit and wait of the zygote's own interpreter, bare and layer by layer.

Runs as a separate program, started as a zygote is, so that only the zygote's memory is copied.
"""

from __future__ import annotations

import gc
import importlib
import itertools
import json
import os
import resource
import statistics
import sys
import time
import types

PACKAGE = sys.argv[1]
PROGRAMS = int(sys.argv[2])
package = sys.modules["sandbox_workers"] = types.ModuleType("sandbox_workers")
package.__path__ = [PACKAGE]

from sandbox_workers.inside import seccomp, start, syscalls  # noqa: E402 - after the stub
from sandbox_workers.preload import STANDARD_LIBRARY  # noqa: E402

for name in STANDARD_LIBRARY:
    importlib.import_module(name)
gc.collect()
start.fill_gaps()

from sandbox_workers.inside import child, protocol, runner  # noqa: E402 - last, as in a zygote

UID = 1_500_000_000
SINK = os.open(os.devnull, os.O_WRONLY)  # takes the reports of the small program
CLOSE = syscalls.close_from(SINK + 1)
JOB = protocol.pack(runner.rehearsal(()))  # the small program
ROUNDS = 10


def main() -> None:
    child.warm_up()
    start.share_code()
    gc.collect()
    gc.freeze()
    syscalls.prctl(syscalls.PR_SET_NO_NEW_PRIVS, 1)  # as in the jail: without it, nobody but root may install a filter
    bare, jailed = syscalls.Cloner(0), syscalls.Cloner(syscalls.CLONE_NEWPID)
    prepared = [identity, close, limit]
    steps = {
        "clone, exit, wait": (bare, []),
        "+ process-id namespace": (jailed, []),
        "+ session, user id": (jailed, [identity]),
        "+ descriptors closed": (jailed, [identity, close]),
        "+ limits": (jailed, prepared),
        "+ a small program": (jailed, [*prepared, program]),
        "+ a filter of its own": (jailed, [*prepared, program, forbid]),
    }
    rounds: dict[str, list[list[float]]] = {name: [] for name in steps}
    for _ in range(ROUNDS):  # in turn, so that a busy moment meets all alike
        for name, (clone, actions) in steps.items():
            rounds[name].append([seconds(clone, actions) for _ in range(PROGRAMS // ROUNDS)])
    per_second = {name: statistics.median(len(r) / sum(r) for r in found) for name, found in rounds.items()}
    p99_ms = {name: 1000 * statistics.quantiles(itertools.chain(*found), n=100)[-1] for name, found in rounds.items()}
    print(json.dumps({"per_second": per_second, "p99_ms": p99_ms}))


def identity() -> None:
    os.setsid()
    os.setresuid(UID, UID, UID)


def limit() -> None:
    memory = child.address_space + (256 << 20)
    small = ((resource.RLIMIT_NPROC, 64), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_FSIZE, 16 << 20))
    child.limit(((resource.RLIMIT_CPU, 3), (resource.RLIMIT_AS, memory), *small))


def close() -> None:
    CLOSE()


def program() -> None:
    runner.perform(SINK, protocol.unpack(protocol.ProgramJob, JOB))


def forbid() -> None:
    syscalls.seccomp(seccomp.child_filter(1, may_fork=False, may_exec=False))


def seconds(clone, actions) -> float:
    """How long one child takes."""
    started = time.perf_counter()
    pid, descriptor = clone()
    if pid == 0:
        status = 1
        try:
            for action in actions:
                action()
            status = 0
        finally:
            os._exit(status)
    if status := os.wait4(pid, 0)[1]:
        raise SystemExit(f"a child failed with status {status}")
    os.close(descriptor)
    return time.perf_counter() - started


main()
