"""The labelled samples that a PRM learns from during PPO: those of the step, and a draw from those of earlier steps.

A step labels a few dozen samples. A PRM that learns from these alone forgets what it knew of the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from prl_ray.actors.rollout import Experience
from prl_ray.supervision.rows import UNLABELLED
from prl_ray.trajectory import TrajectoryBatch, take_ragged

FILE = "prm_replay.npz"


@dataclass(frozen=True, slots=True)
class LabelledSamples:
    """Samples with at least one labelled line. Their texts are left out, and prompts are numbered from 0."""

    batch: TrajectoryBatch
    labels: NDArray[np.float32]
    """float32 ``[lines]``: as ``LineVerdicts.labels``."""

    @classmethod
    def of(cls, experience: Experience) -> Self:
        """The samples of a step with executed lines."""
        batch = experience.batch
        labels = np.full(len(batch.line_ends), UNLABELLED, dtype=np.float32)
        if experience.lines is not None:
            labels = experience.lines.labels(batch)
        sample = np.repeat(np.arange(len(batch)), np.diff(batch.line_offsets))
        blank = ("",) * len(batch)
        _, prompts = np.unique(batch.prompt_ids, return_inverse=True)
        without_text = replace(batch, task_ids=blank, programs=blank, prompt_ids=prompts.astype(np.int64))
        return cls(without_text, labels).take(np.unique(sample[labels != UNLABELLED]))

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Concatenates along the samples axis. Steps number their prompts alike, and a pack shares those of one number:
        here each part has its own numbers."""
        counts = [int(p.batch.prompt_ids.max(initial=-1)) + 1 for p in parts]
        firsts = np.cumsum([0, *counts[:-1]])
        apart = [
            replace(p.batch, prompt_ids=p.batch.prompt_ids + first) for p, first in zip(parts, firsts, strict=True)
        ]
        return cls(TrajectoryBatch.concat(apart), np.concatenate([p.labels for p in parts]))

    def take(self, samples: NDArray[np.integer]) -> Self:
        """The given samples, in the given order."""
        lines, _ = take_ragged(self.batch.line_offsets, samples)
        return type(self)(self.batch.take(samples), self.labels[lines])

    def metrics(self) -> dict[str, float]:
        """Numbers of labelled lines, and of those labelled as wrong."""
        known, wrong = (self.labels != UNLABELLED).sum(), (self.labels == 0).sum()
        return {"prm/online_labels": float(known), "prm/online_negative": float(wrong)}


class Replay:
    """The labelled samples of the newest ``steps`` steps (``prm.online_replay``). All ranks keep the same ones."""

    def __init__(self, steps: int) -> None:
        self._kept: deque[LabelledSamples] = deque(maxlen=steps)

    def mixed(self, own: LabelledSamples, seed: int) -> LabelledSamples:
        """``own``, and as many samples drawn from the kept ones, or all of them if there are fewer."""
        if not self._kept:
            return own
        kept = LabelledSamples.concat(self._kept)
        drawn = np.random.default_rng(seed).permutation(len(kept.batch))[: len(own.batch)]
        return LabelledSamples.concat([own, kept.take(drawn)])

    def keep(self, own: LabelledSamples) -> None:
        """Keeps the samples of a step, in place of those of the oldest one."""
        self._kept.append(own)

    def save(self, folder: Path) -> None:
        """Writes the kept samples into a checkpoint; nothing where none are ever kept."""
        if self._kept.maxlen:
            columns = {f"{i}/{name}": c for i, part in enumerate(self._kept) for name, c in _columns(part).items()}
            np.savez(folder / FILE, allow_pickle=False, **columns)

    def load(self, folder: Path) -> None:
        """Reads what ``save`` wrote."""
        self._kept.clear()
        if not self._kept.maxlen:
            return
        parts: dict[int, dict[str, NDArray[np.generic]]] = {}
        with np.load(folder / FILE) as file:
            for key in file.files:
                step, name = key.split("/")
                parts.setdefault(int(step), {})[name] = file[key]
        self._kept.extend(_samples(parts[step]) for step in sorted(parts))


def _columns(samples: LabelledSamples) -> dict[str, NDArray[np.generic]]:
    columns = {f.name: getattr(samples.batch, f.name) for f in fields(TrajectoryBatch)}
    arrays = {name: column for name, column in columns.items() if isinstance(column, np.ndarray)}
    return {**arrays, "unit": np.array(samples.batch.unit), "labels": samples.labels}


def _samples(columns: dict[str, Any]) -> LabelledSamples:
    labels, unit, blank = columns.pop("labels"), columns.pop("unit").item(), ("",) * len(columns["finished"])
    return LabelledSamples(TrajectoryBatch(task_ids=blank, programs=blank, unit=unit, **columns), labels)
