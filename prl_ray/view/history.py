"""One run over its steps: metrics, and the sample summaries of ``summary.jsonl``. Grows with its files."""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from prl_ray.tracking.sample_schema import SampleRow, sample_rows
from prl_ray.tracking.sample_store import SUMMARY, SampleStore
from prl_ray.view.files import count, inside, named, number
from prl_ray.view.tail import Tail

PPO = "ppo"
BINS = 60
"""Number of bins of steps in a page's bar charts."""
POINTS = 240
"""Maximum number of points of a curve; longer curves are averaged in equal bins."""


@dataclass
class StepSamples:
    """The summary of one step's samples."""

    step: int
    tasks: NDArray[np.int32]
    """int32 ``[prompts]``: numbers of the problems, in the order of the step's file."""
    samples: NDArray[np.int32]
    """int32 ``[prompts]``."""
    passed: NDArray[np.int32]
    """int32 ``[prompts]``."""
    verdicts: dict[str, int]
    """Number of samples by status."""
    groups: dict[str, int]
    """Number of prompts by kind of group."""
    gradient: dict[str, float]
    """Share of the sum of absolute advantages by kind of group."""
    locators: dict[str, dict[str, int]]
    """As ``locator_counts``."""


@dataclass
class Curve:
    """One metric: one value per step."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))


class History:
    """Reads new data at each :meth:`refresh`; all other methods use the data read so far. Readers hold :attr:`lock`, so
    that nothing changes between two calls.

    Args:
        folder: The run.
        roots: Folders in which its files may be.
    """

    def __init__(self, folder: Path, roots: Sequence[Path]) -> None:
        self.lock = threading.RLock()
        self.store = SampleStore(folder / "samples")
        self.curves: dict[str, Curve] = {}
        self.stage_seconds: dict[str, float] = {}
        self.newest = 0.0
        """Time of the newest metrics, seconds since the epoch; 0 without any."""
        self.stages: list[str] = []
        self.problem_ids: list[str] = []
        self.samples: list[StepSamples] = []
        self._roots = roots
        self._numbers: dict[str, int] = {}
        self._metrics = Tail(folder / "metrics.jsonl", roots, self._take_metrics, self._forget_metrics)
        self._summaries = Tail(folder / "samples" / SUMMARY, roots, self._take_samples, self._forget_samples)

    def refresh(self, samples: bool = True) -> None:
        """Reads new data. Raises ``DataError`` if a file is a link to a place outside the given folders."""
        with self.lock:
            self._metrics.read()
            if samples:
                self._summaries.read()

    @property
    def complaints(self) -> list[str]:
        """Descriptions of unreadable data."""
        return [tail.complaint for tail in (self._metrics, self._summaries) if tail.complaint]

    def steps(self) -> list[int]:
        """Steps with stored samples, ascending."""
        return self.store.steps()

    def rows(self, step: int, columns: Sequence[str] | None = None, rows: slice | None = None) -> list[SampleRow]:
        """Stored samples of a step, as :meth:`table`."""
        return sample_rows(self.table(step, columns, rows))

    def table(self, step: int, columns: Sequence[str] | None = None, rows: slice | None = None) -> pa.Table:
        """The same as a table, as ``SampleStore.read``.

        Raises:
            DataError: the step has no file that this version can read, or the file is a link out of the folders.
        """
        inside(self.store.path(step), self._roots)
        return self.store.read(step, columns, rows)

    def entry(self, step: int) -> StepSamples | None:
        """The summary of a step's samples; None if there are none."""
        return next((entry for entry in self.samples if entry.step == step), None)

    def last(self, name: str) -> float | None:
        """Newest value of a metric."""
        curve = self.curves.get(name)
        return curve.values[-1] if curve and curve.values else None

    def names(self, prefix: str) -> list[str]:
        """Metrics with this prefix, sorted."""
        return sorted(name for name in self.curves if name.startswith(prefix))

    def points(self, name: str, most: int = POINTS) -> list[list[float | None]]:
        """``[steps, values]`` of a metric, at most ``most`` of them; empty if it is not logged."""
        curve = self.curves.get(name)
        if curve is None:
            return [[], []]
        steps, values = np.asarray(curve.steps), np.asarray(curve.values)
        if len(steps) > most:
            edges = np.linspace(0, len(steps), most + 1).astype(int)[:-1]
            counts = np.diff(np.append(edges, len(steps)))
            steps, values = np.add.reduceat(steps, edges) / counts, np.add.reduceat(values, edges) / counts
        return [[short(s) for s in steps.tolist()], [short(v) for v in values.tolist()]]

    def number(self, task_id: str) -> int | None:
        """The number of a problem in ``StepSamples.tasks``."""
        return self._numbers.get(task_id)

    def _take_metrics(self, row: dict[str, object]) -> None:
        stage, step = str(row.get("stage", PPO)), number(row.get("step", 0))
        metrics = row.get("metrics", {})
        if step is None or not isinstance(metrics, dict):
            raise ValueError("not a record of metrics")
        self.newest = number(row.get("time")) or self.newest
        if stage not in self.stages:
            self.stages.append(stage)
        for name, found in metrics.items():
            value = number(found)
            if value is None:
                continue
            if name.endswith("timing_s/stage"):
                self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + value
            curve = self.curves.setdefault(name, Curve())
            curve.steps.append(step)
            curve.values.append(value)

    def _take_samples(self, row: dict[str, object]) -> None:
        try:
            step = count(row["step"])
            prompts = [(str(task), count(n), count(passed)) for task, n, passed in _triples(row["prompts"])]
        except KeyError as error:
            raise ValueError(f"no {error}") from error
        if self.samples and step <= self.samples[-1].step:
            raise ValueError(f"step {step} follows step {self.samples[-1].step}")
        for task, _, _ in prompts:
            if task not in self._numbers:
                self._numbers[task] = len(self.problem_ids)
                self.problem_ids.append(task)
        counts = np.array([(n, passed) for _, n, passed in prompts], np.int32).reshape(-1, 2)
        tasks = np.array([self._numbers[task] for task, _, _ in prompts], np.int32)
        self.samples.append(
            StepSamples(
                step,
                tasks,
                counts[:, 0],
                counts[:, 1],
                verdicts=_counts(row.get("verdicts")),
                groups=_counts(row.get("groups")),
                gradient={name: number(share) or 0.0 for name, share in named(row.get("gradient")).items()},
                locators={name: _counts(found) for name, found in named(row.get("locators")).items()},
            )
        )

    def _forget_metrics(self) -> None:
        self.curves, self.stages, self.stage_seconds, self.newest = {}, [], {}, 0.0

    def _forget_samples(self) -> None:
        self.samples, self.problem_ids, self._numbers = [], [], {}


def _triples(value: object) -> list[tuple[object, object, object]]:
    if not isinstance(value, list) or any(not isinstance(one, list) or len(one) != 3 for one in value):
        raise ValueError("prompts is not a list of problem, samples and passes")
    return [(one[0], one[1], one[2]) for one in value]


def _counts(value: object) -> dict[str, int]:
    return {name: count(found) for name, found in named(value).items()}


def short(value: float | None) -> float | None:
    """The value with four significant digits; None if it is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")


def shorts(values: Sequence[float | None] | None) -> list[float | None] | None:
    """The same for a column; None stays None."""
    return None if values is None else [short(value) for value in values]
