"""Sampling on all generators; each finished chunk goes to the verifiers, and optionally to the scorers, at once.

Prompts whose samples are lost with an actor or a node are sampled again: each prompt has its own seed, so equal weights
give the same samples. Nothing is counted twice: an unfinished answer is discarded whole.
"""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import ray
from ray.exceptions import RayError

from prl_ray.actors.completions import LineValues
from prl_ray.actors.faults import is_loss
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Generator, Sampling
from prl_ray.actors.handles import Handle, Ref, RefStream, ask, ask_stream
from prl_ray.actors.line_plan import LineRequest
from prl_ray.actors.online_prm import PrmWeights
from prl_ray.actors.rollout import Rollout
from prl_ray.actors.scorer import Scorer
from prl_ray.actors.scoring import Scores
from prl_ray.actors.waiting import Patience, discard, done, names_of, wait
from prl_ray.credit.columns import LineVerdicts
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
    """All samples of one prompt, with the refs of their verdicts, scores and line verdicts."""

    samples: Ref[TrajectoryBatch]
    verdicts: Ref[Verdicts]
    scores: Ref[Scores] | None
    lines: Ref[LineVerdicts] | None

    @property
    def refs(self) -> list[Ref[TrajectoryBatch] | Ref[Verdicts] | Ref[Scores] | Ref[LineVerdicts]]:
        """All refs."""
        return [ref for ref in (self.samples, self.verdicts, self.scores, self.lines) if ref is not None]


@dataclass(slots=True)
class Answer:
    """The prompts sent to one generator, and the chunks received so far."""

    generator: Handle[Generator]
    asked: Numbered
    chunks: list[Chunk] = field(default_factory=list)
    """In the order in which the prompts finished."""


@dataclass(frozen=True, slots=True)
class Collected:
    """A finished rollout with verdicts, and with scores if requested."""

    rollout: Rollout
    verdicts: list[Verdicts]
    """One for each chunk."""
    sampled_s: float
    """Seconds until the last sample arrived."""


def sample(
    fleet: Fleet,
    problems: Sequence[Problem],
    sampling: Sampling,
    timeout_s: float,
    progress: Progress = lambda count: None,
    *,
    scored: bool = False,
    lines: LineRequest | None = None,
) -> Collected:
    """Samples all problems, one chunk each, and waits for the verdicts; with ``scored`` for line scores as well.

    The line verdicts of ``lines`` are asked for as each prompt's samples finish, and are not waited for.

    ``progress`` gets the number of finished problems. A generator that dies is restarted by Ray and loads its weights
    again; its lost prompts are distributed again. Raises ``ActorLostError`` after ``ATTEMPTS`` attempts.
    """
    start = time.perf_counter()
    todo: Numbered = list(enumerate(problems))
    found: list[tuple[Chunk, Verdicts]] = []
    for _ in range(ATTEMPTS):
        answers = _stream(fleet, todo, sampling, timeout_s, progress, scored, lines)
        sampled_s = time.perf_counter() - start
        todo, lost = [], []
        for answer in answers:
            verdicts = _verdicts(fleet, answer, timeout_s)
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
        f"a generator, or the node that held its samples, died {ATTEMPTS} times on the same prompts; "
        "PRL_RAY_ACTOR_LOGS=1 shows what the actors printed"
    )


def _collected(found: Sequence[tuple[Chunk, Verdicts]], sampled_s: float) -> Collected:
    chunks = [chunk for chunk, _ in found]
    scores = tuple(chunk.scores for chunk in chunks if chunk.scores is not None)
    lines = tuple(chunk.lines for chunk in chunks if chunk.lines is not None)
    rollout = Rollout(tuple(c.samples for c in chunks), tuple(c.verdicts for c in chunks), scores, lines=lines)
    return Collected(rollout, [verdicts for _, verdicts in found], sampled_s)


def score(
    fleet: Fleet, chunks: Sequence[Ref[TrajectoryBatch]], timeout_s: float, prm: PrmWeights | None = None
) -> list[Ref[Scores]]:
    """Waits for the ``Scores`` of ``chunks``, with the PRM's weights ``prm`` if given; returns their refs in the order
    of the chunks, an empty list without scorers."""
    scorers = fleet.scorers
    if not scorers:
        return []
    # each scorer gets consecutive chunks, so that the scores concatenate in the order of the chunks
    parts = np.array_split(np.arange(len(chunks)), min(len(scorers), len(chunks)))
    scores = [ask(s, Scorer.score, [chunks[i] for i in part], prm) for s, part in zip(scorers, parts, strict=False)]
    done(scores, "line scores", timeout_s)
    return scores


def complete(
    fleet: Fleet,
    chunks: Sequence[Ref[TrajectoryBatch]],
    problems: Sequence[Ref[Mapping[str, Problem]]],
    sampling: Sampling,
    timeout_s: float,
) -> list[tuple[Ref[LineValues], LineValues]]:
    """Completes the first lines of the samples of ``chunks`` and verifies the completions; waits for the values.

    Returns them in the order of the chunks, with their refs. ``problems`` is the ref of the problems by task id. What
    is lost with an actor is asked for again; raises ``ActorLostError`` after ``ATTEMPTS`` attempts.
    """
    found: dict[int, tuple[Ref[LineValues], LineValues]] = {}
    for _ in range(ATTEMPTS):
        lost: list[Handle[Generator]] = []
        asked: list[tuple[int, Handle[Generator], Ref[LineValues]]] = []
        todo = [i for i in range(len(chunks)) if i not in found]
        for i, generator in zip(todo, itertools.cycle(fleet.generators), strict=False):
            made = ask(generator, Generator.complete, [chunks[i]], problems, sampling)
            asked.append((i, generator, fleet.line_values(made)))
        for i, generator, ref in asked:
            try:
                found[i] = (ref, wait(ref, "the values of completed lines", timeout_s))
            except (RayError, ActorLostError) as error:
                if not is_loss(error):
                    raise
                lost += [generator] if generator not in lost else []
        if not lost:
            return [found[i] for i in range(len(chunks))]
        fleet.lost["generator"] += len(lost)
        fleet.engines.load_again(lost)
    raise ActorLostError(f"a generator died {ATTEMPTS} times while it completed the lines of the same samples")


def _stream(
    fleet: Fleet,
    todo: Numbered,
    sampling: Sampling,
    timeout_s: float,
    progress: Progress,
    scored: bool,
    lines: LineRequest | None,
) -> list[Answer]:
    """The answers of the generators, each given an equal part; an interrupted answer lacks its last chunk."""
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
        verdicts = fleet.verify(samples)
        located = fleet.locate(samples, verdicts, lines) if lines else None
        answer.chunks.append(Chunk(samples, verdicts, scores, located))
        progress(1)
    return answers


def _patience(streams: Mapping[RefStream[TrajectoryBatch], Answer], timeout_s: float) -> Patience:
    def who() -> str:
        return names_of(answer.generator for answer in streams.values())

    return Patience(f"{len(streams)} generator(s) to finish one more prompt", timeout_s, who=who)


def _verdicts(fleet: Fleet, answer: Answer, timeout_s: float) -> list[Verdicts] | None:
    """The verdicts of a complete answer; None if its generator, or an actor or node that held a part of it, was lost.
    Other errors are raised: an error of the engine takes the place of the last chunk."""
    try:
        asked = [chunk.verdicts for chunk in answer.chunks]
        verdicts = wait(asked, "verdicts", timeout_s, fleet.slow_verifiers)
        done([ref for c in answer.chunks for ref in (c.samples, c.scores) if ref is not None], "line scores", timeout_s)
    except (RayError, ActorLostError) as error:
        if not is_loss(error):
            raise
        log.warning("%d prompts are sampled again: %s", len(answer.asked), str(error).strip().splitlines()[-1])
        discard([ref for chunk in answer.chunks for ref in chunk.refs])
        return None
    return verdicts if len(verdicts) == len(answer.asked) else None
