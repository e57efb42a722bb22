"""Samples on all generators; every chunk goes to the verifiers, and where wanted to the scorers, as soon as it comes.

What is lost on the way with an actor or a node is asked for again: each prompt has a seed of its own, so equal weights
give the same samples again. Nothing is counted twice: an unfinished answer is thrown away whole.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass, field

import numpy as np
import ray
from ray.exceptions import RayError

from prl_ray.actors.faults import is_loss
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Generator, Sampling
from prl_ray.actors.handles import Handle, Ref, RefStream, ask, ask_stream
from prl_ray.actors.rollout import Rollout
from prl_ray.actors.scorer import Scorer
from prl_ray.actors.scoring import Scores
from prl_ray.actors.waiting import Patience, discard, done, wait
from prl_ray.errors import ActorLostError
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import TrajectoryBatch, Verdicts

log = logging.getLogger("prl_ray")

ATTEMPTS = 3
"""Times that the same prompts are sampled before the run fails."""

Numbered = list[tuple[int, Problem]]
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Chunk:
    """All samples of one prompt, and what was asked about them."""

    samples: Ref[TrajectoryBatch]
    verdicts: Ref[Verdicts]
    scores: Ref[Scores] | None


@dataclass(slots=True)
class Answer:
    """What one generator was asked, and what has come of it."""

    generator: Handle[Generator]
    asked: Numbered
    chunks: list[Chunk] = field(default_factory=list)
    """In the order in which the prompts finished."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A rollout whose verdicts, and scores where wanted, are there."""

    rollout: Rollout
    verdicts: list[Verdicts]
    """One for each chunk."""
    sampled_s: float
    """Seconds until the last sample was there."""


def sample(
    fleet: Fleet,
    problems: Sequence[Problem],
    sampling: Sampling,
    timeout_s: float,
    progress: Progress = lambda count: None,
    *,
    scored: bool = False,
) -> Collected:
    """Samples all problems, one chunk each, and waits for the verdicts; with ``scored`` for line scores as well.

    ``progress`` gets the number of problems that were finished. A generator that dies is restarted by Ray and given the
    weights that it served; what was lost is shared out anew. Raises ``ActorLostError`` after ``ATTEMPTS`` times.
    """
    start = time.perf_counter()
    todo: Numbered = list(enumerate(problems))
    found: list[tuple[Chunk, Verdicts]] = []
    for _ in range(ATTEMPTS):
        answers = _stream(fleet, todo, sampling, timeout_s, progress, scored)
        sampled_s = time.perf_counter() - start
        todo, lost = [], []
        for answer in answers:
            verdicts = _verdicts(answer, timeout_s)
            if verdicts is None:
                progress(-len(answer.chunks))
                todo += answer.asked
                lost.append(answer.generator)
            else:
                found += zip(answer.chunks, verdicts, strict=True)
        if not todo:
            return _collected(found, sampled_s)
        fleet.lost["generator"] += len(lost)
        fleet.engines.load_again(lost)
    raise ActorLostError(
        f"a generator died {ATTEMPTS} times on the same prompts, or the node that held its samples; "
        "PRL_RAY_ACTOR_LOGS=1 shows what the actors printed"
    )


def _collected(found: Sequence[tuple[Chunk, Verdicts]], sampled_s: float) -> Collected:
    chunks = [chunk for chunk, _ in found]
    scores = tuple(chunk.scores for chunk in chunks if chunk.scores is not None)
    rollout = Rollout(tuple(c.samples for c in chunks), tuple(c.verdicts for c in chunks), scores)
    return Collected(rollout, [verdicts for _, verdicts in found], sampled_s)


def score(fleet: Fleet, chunks: Sequence[Ref[TrajectoryBatch]], timeout_s: float) -> list[Ref[Scores]]:
    """Refs of the ``Scores`` of ``chunks`` once they are there, in the order of the chunks; none without scorers."""
    scorers = fleet.scorers
    if not scorers:
        return []
    # whole runs of chunks to each scorer, so that the scores join up in the order of the chunks
    parts = np.array_split(np.arange(len(chunks)), min(len(scorers), len(chunks)))
    scores = [ask(s, Scorer.score, [chunks[i] for i in part]) for s, part in zip(scorers, parts, strict=False)]
    done(scores, "line scores", timeout_s)
    return scores


def _stream(
    fleet: Fleet, todo: Numbered, sampling: Sampling, timeout_s: float, progress: Progress, scored: bool
) -> list[Answer]:
    """The generators' answers, shared out evenly; one that was cut off has lost its last chunk."""
    streams: dict[RefStream[TrajectoryBatch], Answer] = {}
    for i, generator in enumerate(fleet.generators):
        if asked := todo[i :: len(fleet.generators)]:
            ids, problems = [number for number, _ in asked], [problem for _, problem in asked]
            streams[ask_stream(generator, Generator.generate, problems, ids, sampling)] = Answer(generator, asked)
    answers = list(streams.values())
    scorers = itertools.cycle(fleet.scorers if scored else [])
    patience = _patience(streams, timeout_s)
    while streams:
        ready, _ = ray.wait(list(streams), num_returns=1, timeout=patience.slice_s(), fetch_local=False)
        if not ready:
            patience.say_or_give_up()
            continue
        patience, answer = _patience(streams, timeout_s), streams[ready[0]]
        try:
            samples = next(ready[0])
        except StopIteration:
            del streams[ready[0]]
            continue
        scorer = next(scorers, None)
        scores = ask(scorer, Scorer.score, [samples]) if scorer else None
        answer.chunks.append(Chunk(samples, fleet.verify(samples), scores))
        progress(1)
    return answers


def _patience(streams: Sized, timeout_s: float) -> Patience:
    return Patience(f"{len(streams)} generator(s) to finish one more prompt", timeout_s)


def _verdicts(answer: Answer, timeout_s: float) -> list[Verdicts] | None:
    """The verdicts of an answer that is whole; None where its generator, or an actor or a node that held a part of it,
    was lost. Other errors are raised: an error of the engine stands in the place of the last chunk."""
    try:
        verdicts = wait([chunk.verdicts for chunk in answer.chunks], "verdicts", timeout_s)
        done([ref for c in answer.chunks for ref in (c.samples, c.scores) if ref is not None], "line scores", timeout_s)
    except (RayError, ActorLostError) as error:
        if not is_loss(error):
            raise
        log.warning("%d prompts are sampled again: %s", len(answer.asked), str(error).strip().splitlines()[-1])
        discard([ref for chunk in answer.chunks for ref in (chunk.samples, chunk.verdicts, chunk.scores) if ref])
        return None
    return verdicts if len(verdicts) == len(answer.asked) else None
