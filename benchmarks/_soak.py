"""An endurance run: many programs in one zygote, and the growth that they cause."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.verifier_workload import Reference
from sandbox_workers import Sandbox

CHECKPOINTS = 20
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def soak(work: Sequence[Reference], programs: int) -> Iterator[dict[str, float]]:
    """Runs the programs; yields at every twentieth the current figures minus those at the first.

    ``zygotes`` counts those that were replaced: while it is 0 the growth is that of one zygote.
    """
    step = max(1, programs // CHECKPOINTS)
    with Sandbox(recycle_after=programs * 2) as sandbox:
        first, zygote, passed = _footprint(sandbox), sandbox.zygote_pid, 0
        for number in range(1, programs + 1):
            reference = work[number % len(work)]
            passed += sandbox.run(reference.program, reference.suite).ok
            if number == step:
                first = _footprint(sandbox)
            if number % step == 0:
                growth = {f"growth_{key}": value - first[key] for key, value in _footprint(sandbox).items()}
                replaced = int(sandbox.zygote_pid != zygote)
                yield {"programs": number, "passed": passed, "zygotes_replaced": replaced, **growth}


def _footprint(sandbox: Sandbox) -> dict[str, float]:
    zygote = Path(f"/proc/{sandbox.zygote_pid}")
    places = [Path("/proc/self"), zygote]
    return {
        "mb": sum(int((place / "statm").read_text().split()[1]) for place in places)
        * os.sysconf("SC_PAGE_SIZE")
        / 2**20,
        "descriptors": sum(len(list((place / "fd").iterdir())) for place in places),
        "processes": len((zygote / "task" / zygote.name / "children").read_text().split()),
        "mounts": sum(len((place / "mounts").read_text().splitlines()) for place in places),
        "threads": threading.active_count(),
    }
