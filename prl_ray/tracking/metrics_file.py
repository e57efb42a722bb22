"""``metrics.jsonl``: one JSON object per line with ``step``, ``time``, ``stage`` and ``metrics``."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from prl_ray.errors import DataError


class MetricsRow(TypedDict, total=False):
    """One line of ``metrics.jsonl``."""

    step: int
    time: float
    stage: str
    metrics: dict[str, float | None]
    """``None`` for a number that is not finite."""


@dataclass(frozen=True, slots=True)
class Record:
    """One row: the metrics of one step of one stage."""

    step: int
    """Step within its stage."""
    time: float
    """Seconds since the epoch."""
    stage: str
    metrics: dict[str, float]

    def to_json(self) -> str:
        """One line of strict JSON; numbers that are not finite become ``null``."""
        metrics = {k: v if math.isfinite(v) else None for k, v in self.metrics.items()}
        return json.dumps({"step": self.step, "time": round(self.time, 3), "stage": self.stage, "metrics": metrics})

    @classmethod
    def from_json(cls, line: str) -> Record:
        """Inverse of :meth:`to_json`; ``null`` becomes NaN."""
        row: MetricsRow = json.loads(line)
        metrics = {k: math.nan if v is None else float(v) for k, v in row["metrics"].items()}
        return cls(int(row["step"]), float(row["time"]), str(row["stage"]), metrics)


class MetricsFile:
    """Appends records, and removes those that a resumed run will write again.

    A process that is killed while writing leaves an incomplete last line; opening the file removes it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._drop_torn_line()
        self.rows = sum(1 for _ in read_records(path))

    def append(self, stage: str, step: int, metrics: Mapping[str, float]) -> Record:
        """Writes one record and flushes it; returns it with plain floats."""
        record = Record(int(step), time.time(), stage, {k: float(v) for k, v in metrics.items()})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(record.to_json() + "\n")
        self.rows += 1
        return record

    def cut(self, doomed: Callable[[Record], bool]) -> tuple[int, bool]:
        """Removes the records for which ``doomed`` is true.

        Returns:
            The number of removed records, and whether they were at the end of the file.
        """
        records = list(read_records(self.path))
        kept = [record for record in records if not doomed(record)]
        removed = len(records) - len(kept)
        if removed:
            replace_text(self.path, "".join(record.to_json() + "\n" for record in kept))
            self.rows = len(kept)
        return removed, kept == records[: len(kept)]

    def _drop_torn_line(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if len(whole) < len(data):
            os.truncate(self.path, len(whole))


def read_records(path: Path) -> Iterator[Record]:
    """The records of a ``metrics.jsonl``, in order; none if there is no file.

    Raises:
        DataError: a line is not a record. An incomplete last line (the writer is still writing, or was killed) is
            ignored.
    """
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith("\n"):
                return
            try:
                yield Record.from_json(line)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise DataError(f"{path}:{number}: not a metrics record ({error})") from error


def replace_text(path: Path, text: str) -> None:
    """Writes a temporary file and renames it, so that a reader sees the old or the new file, never an incomplete
    one."""
    aside = path.with_name(path.name + ".part")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
