"""One aligned text line for each PPO step."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

from prl_ray.tracking.progress import duration


@dataclass(frozen=True, slots=True)
class Column:
    """One column: the first of ``keys`` that the step's metrics have."""

    heading: str
    keys: tuple[str, ...]
    width: int
    form: str


COLUMNS = (
    Column("pass", ("critic/score/mean", "pass"), 6, ".3f"),
    Column("reward", ("critic/rewards/mean", "reward"), 8, "+.3f"),
    Column("kl", ("actor/kl", "kl"), 8, ".4f"),
    Column("clip", ("actor/pg_clipfrac", "clipfrac"), 6, ".3f"),
    Column("entropy", ("actor/entropy", "entropy"), 8, ".3f"),
    Column("len", ("response_length/mean", "len"), 6, ".1f"),
    Column("sec", ("timing_s/step", "seconds"), 7, ".1f"),
)
"""``step`` and ``steps`` (the total) come before these; the last column is the estimated remaining time."""

HEADING_EVERY = 20
RECENT = 5
"""Number of steps whose median duration gives the estimate of the remaining time."""


class StepLines:
    """Formats the lines of one stage and keeps the durations of its steps."""

    def __init__(self) -> None:
        self._lines = 0
        self._seconds: deque[float] = deque(maxlen=RECENT)

    def add(self, metrics: Mapping[str, float | None]) -> tuple[str, str]:
        """The heading ("" if it is not due) and the line of one step. Missing metrics show as ``-``."""
        heading = self._heading() if self._lines % HEADING_EVERY == 0 else ""
        self._lines += 1
        step, steps = int(metrics["step"] or 0), int(metrics.get("steps") or 0)
        count = f"{step}/{steps}" if steps else f"{step}"
        cells = [f"{count:>9}"]
        cells += [_cell(column, _value(column, metrics)) for column in COLUMNS]
        seconds = _value(COLUMNS[-1], metrics)
        if seconds is not None:
            self._seconds.append(seconds)
        return heading, " ".join([*cells, f"{self._left(steps - step):>8}"])

    def _heading(self) -> str:
        names = [f"{column.heading:>{column.width}}" for column in COLUMNS]
        return " ".join([f"{'step':>9}", *names, f"{'ETA':>8}"])

    def _left(self, steps: int) -> str:
        if steps <= 0 or not self._seconds:
            return "-"
        return duration(steps * statistics.median(self._seconds))


def _value(column: Column, metrics: Mapping[str, float | None]) -> float | None:
    found = (metrics[key] for key in column.keys if metrics.get(key) is not None)
    value = next(found, None)
    return None if value is None else float(value)


def _cell(column: Column, value: float | None) -> str:
    if value is None or math.isnan(value):
        return f"{'-':>{column.width}}"
    return f"{value:{column.form}}".rjust(column.width)
