"""Resident memory of processes over the steps of a run, and how fast it grows."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20
SETTLED = 0.5
"""Slopes are taken over this last share of the steps that a process saw: what is loaded once is loaded by then."""
LEAST_SHARE = 0.3
"""Of the steps of the run, for a process to be listed."""
LONG_LIVED = 0.5
"""Of the steps of the run, for its growth to count: a process that was restarted still loads what it needs."""

Reading = tuple[int, float, float]
"""Step, resident megabytes, and those of them that no other process shares."""


@dataclass
class MemoryWatch:
    """Readings by process."""

    readings: dict[tuple[str, int], list[Reading]] = field(default_factory=lambda: defaultdict(list))
    """By name and id."""

    def read(self, step: int, processes: Iterable[tuple[str, int]]) -> None:
        """One reading of each (name, id); a process that has ended has none."""
        for name, pid in processes:
            try:
                _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text().split()
            except OSError:
                continue
            own = int(resident) - int(shared)
            if int(resident):
                self.readings[name, pid].append((step, int(resident) * PAGE_MB, own * PAGE_MB))

    def growth(self, steps: int) -> list[dict[str, float | str]]:
        """Megabytes per 100 steps of each process that saw many steps: the slope of a line through its settled
        readings."""
        rows: list[dict[str, float | str]] = []
        for (name, _), readings in sorted(self.readings.items()):
            seen = np.array(readings)
            if np.ptp(seen[:, 0]) < LEAST_SHARE * steps:
                continue
            settled = seen[seen[:, 0] >= seen[-1, 0] - SETTLED * np.ptp(seen[:, 0])]
            slopes = [100 * float(np.polyfit(settled[:, 0], settled[:, i], 1)[0]) for i in (1, 2)]
            rows.append(
                {
                    "process": name,
                    "steps": float(np.ptp(seen[:, 0])),
                    "rss_mb": float(seen[-1, 1]),
                    "rss_growth_mb_per_100_steps": slopes[0],
                    "own_growth_mb_per_100_steps": slopes[1],
                }
            )
        return rows


def largest(rows: Iterable[Mapping[str, float | str]], steps: int) -> float:
    """The fastest growth of resident memory among the long-lived of ``MemoryWatch.growth``; 0 without one."""
    old = [row for row in rows if float(row["steps"]) >= LONG_LIVED * steps]
    return max((float(row["rss_growth_mb_per_100_steps"]) for row in old), default=0.0)
