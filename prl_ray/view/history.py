"""One run over its steps: metrics, and what ``summary.jsonl`` keeps of the samples. Grows with its files."""

from __future__ import annotations

import math
import threading
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prl_ray.tracking.metrics_file import MetricsRow
from prl_ray.tracking.sample_store import SUMMARY, SampleStore, SummaryRow
from prl_ray.view.tail import Tail

PPO = "ppo"
POINTS = 240
"""Points of a curve that are sent; longer ones are averaged in equal bins."""


@dataclass
class StepSamples:
    """What is kept of the samples of one step."""

    step: int
    tasks: NDArray[np.int32]
    """int32 ``[prompts]``: numbers of the problems, in the order of the step's file."""
    samples: NDArray[np.int32]
    """int32 ``[prompts]``."""
    passed: NDArray[np.int32]
    """int32 ``[prompts]``."""
    verdicts: dict[str, int]
    """Samples by status."""
    groups: dict[str, int]
    """Prompts by kind of group."""
    gradient: dict[str, float]
    """Share of the summed size of the advantages by kind of group."""
    locators: dict[str, dict[str, int]]
    """As ``locator_counts``."""


@dataclass
class Curve:
    """One metric: a value a step."""

    steps: array[float] = field(default_factory=lambda: array("d"))
    values: array[float] = field(default_factory=lambda: array("d"))


class History:
    """Reads what is new at each :meth:`refresh`; everything else only looks at what was read. Safe between threads.

    Args:
        folder: The run.
    """

    def __init__(self, folder: Path) -> None:
        self.store = SampleStore(folder / "samples")
        self.curves: dict[str, Curve] = {}
        self.stage_seconds: dict[str, float] = {}
        self.newest = 0.0
        """Time of the newest metrics, seconds since the epoch; 0 without any."""
        self.stages: list[str] = []
        self.problem_ids: list[str] = []
        self.samples: list[StepSamples] = []
        self.version = 0
        """Changes with whatever was read."""
        self._numbers: dict[str, int] = {}
        self._lock = threading.RLock()
        self._metrics: Tail[MetricsRow] = Tail(folder / "metrics.jsonl", self._forget_metrics)
        self._summaries: Tail[SummaryRow] = Tail(folder / "samples" / SUMMARY, self._forget_samples)

    def refresh(self, samples: bool = True) -> None:
        """Reads what is new. Raises ``DataError`` where a line of it is not what it should be."""
        with self._lock:
            for metrics in self._metrics.new():
                self._take_metrics(metrics)
                self.version += 1
            if samples:
                for summary in self._summaries.new():
                    self._take_samples(summary)
                    self.version += 1

    def last(self, name: str) -> float | None:
        """Newest value of a metric."""
        curve = self.curves.get(name)
        return curve.values[-1] if curve and curve.values else None

    def names(self, prefix: str) -> list[str]:
        """Metrics that start so, sorted."""
        return sorted(name for name in self.curves if name.startswith(prefix))

    def points(self, name: str, most: int = POINTS) -> list[list[float | None]]:
        """``[steps, values]`` of a metric, at most ``most`` of them; empty where it is not logged."""
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

    def _take_metrics(self, row: MetricsRow) -> None:
        stage, step = str(row.get("stage", PPO)), int(row.get("step", 0))
        self.newest = float(row.get("time", 0.0))
        if stage not in self.stages:
            self.stages.append(stage)
        for name, value in row.get("metrics", {}).items():
            if name.endswith("timing_s/stage"):
                self.stage_seconds[stage] = self.stage_seconds.get(stage, 0.0) + float(value or 0.0)
            if value is None or not math.isfinite(value):
                continue
            curve = self.curves.setdefault(name, Curve())
            curve.steps.append(step)
            curve.values.append(value)

    def _take_samples(self, row: SummaryRow) -> None:
        for task, _, _ in row["prompts"]:
            if task not in self._numbers:
                self._numbers[task] = len(self.problem_ids)
                self.problem_ids.append(task)
        counts = np.array([(n, passed) for _, n, passed in row["prompts"]], np.int32).reshape(-1, 2)
        tasks = np.array([self._numbers[task] for task, _, _ in row["prompts"]], np.int32)
        self.samples.append(
            StepSamples(
                int(row["step"]),
                tasks,
                counts[:, 0],
                counts[:, 1],
                row.get("verdicts", {}),
                row.get("groups", {}),
                row.get("gradient", {}),
                row.get("locators", {}),
            )
        )

    def _forget_metrics(self) -> None:
        self.curves, self.stages, self.stage_seconds, self.newest = {}, [], {}, 0.0

    def _forget_samples(self) -> None:
        self.samples, self.problem_ids, self._numbers = [], [], {}


def short(value: float | None) -> float | None:
    """Four significant digits; None where it is no finite number."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.4g}")


def shorts(values: Sequence[float | None] | None) -> list[float | None] | None:
    """The same for a column; None stays None."""
    return None if values is None else [short(value) for value in values]
