"""The samples of an evaluation: made by the actors, gathered by a generator, one row per problem."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import numpy as np
from ray.exceptions import RayError

from prl_ray.actors.faults import is_loss
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Generator, Sampling
from prl_ray.actors.handles import call
from prl_ray.actors.rollout import Experience, Rollout, gather
from prl_ray.actors.waiting import wait
from prl_ray.errors import ActorLostError, NotFiniteError, ResourceError
from prl_ray.evaluation import FloatArray, Sampled
from prl_ray.problems.problem import Problem
from prl_ray.sampling import ATTEMPTS, sample
from prl_ray.trajectory import STATUSES, TrajectoryBatch

T = TypeVar("T")


def sample_programs(
    fleet: Fleet,
    problems: Sequence[Problem],
    sampling: Sampling,
    timeout_s: float,
    progress: Callable[[int], None] = lambda count: None,
    *,
    scored: bool = False,
) -> Sampled:
    """Samples and verifies; with ``scored`` the fleet's scorers score the samples. Only texts, verdicts and scores are
    sent to the driver. Raises ``ResourceError`` if no program has a verdict."""
    rollout = sample(fleet, problems, sampling, timeout_s, progress, scored=scored).rollout
    return with_verdicts(_gathered(fleet, rollout, timeout_s))


def _gathered(fleet: Fleet, rollout: Rollout, timeout_s: float) -> Sampled:
    """By a generator, which is idle then: a Ray task would start a worker process each time, which takes seconds."""
    for _ in range(ATTEMPTS):
        generator = fleet.generators[0]
        try:
            return wait(call(generator, partial(_gather_on, rollout)), "the samples to be gathered", timeout_s)
        except ActorLostError as error:
            if not isinstance(error.__cause__, RayError) or not is_loss(error.__cause__):
                raise  # it does not answer
            fleet.lost["generator"] += 1
            fleet.engines.load_again([generator])
    raise ActorLostError(f"a generator died {ATTEMPTS} times while it gathered the samples of an evaluation")


def _gather_on(rollout: Rollout, _: Generator) -> Sampled:
    return by_problem(gather(rollout))


def with_verdicts(rows: Sampled) -> Sampled:
    """``rows``. Raises ``ResourceError`` if no program has a verdict: a pass rate of 0 would be the sandbox's error,
    not of the policy."""
    if rows.statuses and not rows.counted().any():
        counts = Counter(status for row in rows.statuses for status in row)
        said = ", ".join(f"{status} × {count}" for status, count in counts.most_common())
        raise ResourceError(
            f"no program has a verdict ({said}): look at `python -m sandbox_workers doctor` on the verifiers' nodes"
        )
    return rows


def by_problem(experience: Experience) -> Sampled:
    """Texts, verdicts and scores of a rollout, one row per prompt number. Raises ``NotFiniteError`` for scores or
    log-probabilities that are NaN or infinite: programs could not be ranked by them."""
    batch, scores = experience.batch, experience.scores
    if cause := experience.not_finite():
        raise NotFiniteError(
            f"samples cannot be evaluated: their {cause} are not finite; look at the weights of the model"
        )
    ends = np.flatnonzero(np.diff(batch.prompt_ids, append=-1)) + 1
    starts = [0, *ends[:-1]]

    def rows(column: Sequence[T]) -> list[list[T]]:
        return [list(column[a:b]) for a, b in zip(starts, ends, strict=True)]

    return Sampled(
        task_ids=[batch.task_ids[i] for i in starts],
        programs=rows(batch.programs),
        statuses=rows([STATUSES[code] for code in experience.verdicts.status]),
        line_scores=[] if scores.line_scores is None else rows(_line_scores(batch, scores.line_scores)),
        orm_scores=[] if scores.orm_scores is None else rows(np.where(batch.finished, scores.orm_scores, 0.0).tolist()),
        extracted=[] if batch.extracted is None else rows(batch.extracted.tolist()),
        finished=rows(batch.finished.tolist()),
    )


def _line_scores(batch: TrajectoryBatch, scores: FloatArray) -> list[list[float]]:
    counted = ~batch.line_neutral
    rows = []
    for i, finished in enumerate(batch.finished):
        lines = slice(int(batch.line_offsets[i]), int(batch.line_offsets[i + 1]))
        rows.append(scores[lines][counted[lines]].tolist() + ([] if finished else [0.0]))
    return rows
