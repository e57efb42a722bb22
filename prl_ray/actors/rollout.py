"""A step's rollout: as refs, which the driver passes on, and as columns, which an actor reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from prl_ray.actors.completions import LineValues
from prl_ray.actors.finite import first_not_finite
from prl_ray.actors.handles import Ref, get
from prl_ray.actors.scoring import Scores
from prl_ray.credit.columns import LineVerdicts
from prl_ray.trajectory import TrajectoryBatch, Verdicts, take_ragged


@dataclass(frozen=True, slots=True)
class Rollout:
    """Refs only: the driver never holds a token."""

    chunks: tuple[Ref[TrajectoryBatch], ...]
    """Refs of ``TrajectoryBatch``es, one per prompt."""
    verdicts: tuple[Ref[Verdicts], ...]
    """Refs of ``Verdicts``, one per chunk."""
    scores: tuple[Ref[Scores], ...]
    """Refs of ``Scores``; together they follow the order of ``chunks``."""
    share: float = 1.0
    """Share of the sampled prompts that are in here. The others have no advantage, and count as zeros in means."""
    lines: tuple[Ref[LineVerdicts], ...] = ()
    """Refs of ``LineVerdicts``, one per chunk; empty if no lines are executed."""
    values: tuple[Ref[LineValues], ...] = ()
    """Refs of the lines' values by completion, one per chunk; empty if nothing was completed."""
    filtered: tuple[tuple[Ref[TrajectoryBatch], Ref[Verdicts]], ...] = ()
    """Refs of the chunks and verdicts of those other prompts, for the stored samples."""

    def only(self, kept: Sequence[int]) -> Rollout:
        """The chunks with the given indices; the others become ``filtered``. For rollouts without scores or values."""
        assert not self.scores and not self.values, "scores are not one per chunk"
        others = [i for i in range(len(self.chunks)) if i not in kept]
        return Rollout(
            tuple(self.chunks[i] for i in kept),
            tuple(self.verdicts[i] for i in kept),
            (),
            share=self.share * len(kept) / len(self.chunks),
            lines=tuple(self.lines[i] for i in kept) if self.lines else (),
            filtered=(*self.filtered, *((self.chunks[i], self.verdicts[i]) for i in others)),
        )


@dataclass(frozen=True, slots=True)
class Experience:
    """A rollout's columns, samples ordered by prompt number whatever order they finished in."""

    batch: TrajectoryBatch
    verdicts: Verdicts
    scores: Scores
    share: float = 1.0
    """Of ``Rollout``."""
    lines: LineVerdicts | None = None
    """Line verdicts by execution; None if no lines were executed."""
    values: NDArray[np.float64] | None = None
    """float64 ``[lines]``: as ``LineCredit.values``; None if nothing was completed."""

    def tokens_of(self, rows: np.ndarray) -> np.ndarray:
        """Flat indices of the response tokens of the samples ``rows``."""
        return take_ragged(self.batch.token_offsets, rows)[0]

    def not_finite(self) -> str:
        """Name of a column with NaN or infinity; empty if all are finite. Neutral lines have no score."""
        scored = None if self.scores.line_scores is None else self.scores.line_scores[~self.batch.line_neutral]
        return first_not_finite(
            {
                "sampler log-probabilities": self.batch.logprobs,
                "line scores": scored,
                "ORM scores": self.scores.orm_scores,
                "critic features": self.scores.features,
            }
        )

    def staleness(self, version: int) -> dict[str, float]:
        """By how many weight versions the tokens are older than ``version``, and the share of samples with tokens of
        several versions."""
        versions, starts = self.batch.weight_versions, self.batch.token_offsets[:-1]
        oldest, newest = np.minimum.reduceat(versions, starts), np.maximum.reduceat(versions, starts)
        return {
            "training/staleness_mean": float(version - versions.mean()),
            "training/staleness_max": float(version - versions.min()),
            "training/mixed_versions": float((oldest != newest).mean()),
        }

    def metrics(self) -> dict[str, float]:
        """Lengths and line scores."""
        lengths = self.batch.response_lengths
        metrics = {
            "response_length/mean": float(lengths.mean()),
            "response_length/max": float(lengths.max()),
            "response_length/min": float(lengths.min()),
            "response_length/clip_ratio": float(1 - self.batch.finished.mean()),
            "perf/total_num_tokens": float(self.batch.total_lengths.sum()),
            "line/per_sample": float(np.diff(self.batch.line_offsets).mean()),
        }
        if self.batch.extracted is not None:
            metrics["response/extracted"] = float(self.batch.extracted.mean())
        scores = self.scores.line_scores
        if scores is not None and len(scores):
            passed = np.repeat(self.verdicts.ok, np.diff(self.batch.line_offsets))
            metrics["prm/score_mean"] = float(scores.mean())
            if passed.any() and not passed.all():
                metrics["prm/score_gap"] = float(scores[passed].mean() - scores[~passed].mean())
        return metrics


def gather(rollout: Rollout) -> Experience:
    """Reads a rollout from the object store and puts its samples into their canonical order."""
    chunks = get(rollout.chunks)
    verdicts = get(rollout.verdicts)
    batch = TrajectoryBatch.concat(chunks)
    order = np.argsort(batch.prompt_ids, kind="stable")
    parts, values, lines = get(rollout.scores), get(rollout.values), get(rollout.lines)
    in_order = take_ragged(batch.line_offsets, order)[0]
    return Experience(
        batch=batch.take(order),
        verdicts=Verdicts.concat(verdicts).take(order),
        scores=Scores.concat(parts).take(batch, order),
        share=rollout.share,
        lines=LineVerdicts.concat(lines).take(order, batch.line_offsets) if lines else None,
        values=np.concatenate([v.values for v in values])[in_order] if values else None,
    )
