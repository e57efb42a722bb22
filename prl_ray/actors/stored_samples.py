"""The samples of a step with the learner's columns, for the run folder."""

from __future__ import annotations

import numpy as np
import ray

from prl_ray.actors.columns import Columns
from prl_ray.actors.rollout import Experience, Rollout
from prl_ray.credit.columns import FOUND_BY, LineVerdicts
from prl_ray.tracking.sample_table import LineFindings, SamplePart
from prl_ray.trajectory import TrajectoryBatch, Verdicts


def learnt_part(experience: Experience, columns: Columns | None) -> SamplePart:
    """The samples that the learner got, with its per-token columns; without them if the step was skipped."""
    if columns is None:
        return SamplePart(experience.batch, experience.verdicts)
    divisor = columns.weights.divisor(np.arange(len(experience.batch)))
    return SamplePart(
        experience.batch,
        experience.verdicts,
        experience.scores.line_scores,
        _findings(experience.lines),
        learnt={
            "reward": columns.rewards,
            "kl": np.where(columns.read, columns.kl, np.nan),
            "value": columns.values,
            "return": columns.returns,
            "advantage": columns.advantages,
            "old_logprob": np.where(columns.read, columns.old, np.nan),
            "reference_logprob": np.where(columns.read, columns.reference, np.nan),
            "loss_weight": columns.weights.tokens * np.float32(experience.share / divisor),
        },
        compared=columns.compared,
    )


def _findings(lines: LineVerdicts | None) -> LineFindings | None:
    if lines is None:
        return None
    found_by = [FOUND_BY[code] for code in lines.found_by]
    return LineFindings(lines.wrong, found_by, lines.states, () if lines.traces is None else list(lines.traces))


def filtered_parts(rollout: Rollout) -> list[SamplePart]:
    """The samples of the prompts that were left out: no scores, no rewards."""
    chunks: list[TrajectoryBatch] = ray.get([chunk for chunk, _ in rollout.filtered])
    verdicts: list[Verdicts] = ray.get([verdict for _, verdict in rollout.filtered])
    return [SamplePart(TrajectoryBatch.concat(chunks), Verdicts.concat(verdicts))] if chunks else []
