"""The PPO loop over the actors: sample, verify, filter and score, learn, push weights.

With ``loop.max_staleness=0`` a step samples from the weights that it then updates. With ``k > 0`` up to ``k`` rollouts
are sampled ahead while the learner works; every token keeps the version that sampled it, and the importance weight in
the loss corrects for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import ray
from ray.exceptions import RayActorError

from prl_ray.actors.fleet import Fleet, wait
from prl_ray.actors.generator import Sampling
from prl_ray.actors.line_plan import LinePlan
from prl_ray.actors.rollout import Rollout
from prl_ray.config import Config
from prl_ray.errors import ActorLostError
from prl_ray.problems.problem import Problem
from prl_ray.seeds import derive, numpy_stream
from prl_ray.trajectory import Verdicts

GENERATOR_ATTEMPTS = 3
Metrics = dict[str, float]


@dataclass
class Loop:
    """One PPO run's moving parts. ``step(n)`` depends on ``n`` and the learner's state only, so that it resumes."""

    config: Config
    fleet: Fleet
    problems: Sequence[Problem]
    needs_scores: bool
    _ahead: dict[int, Future[tuple[Rollout, Metrics]]] = field(default_factory=dict)
    """Rollouts that were begun, by step."""
    _sampler: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "rollouts"))
    """One thread: rollouts follow each other, as they share the engines."""

    def __post_init__(self) -> None:
        if self.lines.executed:
            known = {problem.task_id: problem for problem in self.problems}
            limit = self.config.cluster.request_timeout_s
            wait(self.fleet.verifiers.learn_problems.remote(known), "the verifiers to take the references", limit)

    @cached_property
    def lines(self) -> LinePlan:
        """On which prompts the verifiers execute lines, and what becomes of groups without a pass."""
        return LinePlan.of(self.config.algorithm)

    def step(self, number: int) -> tuple[Metrics, Rollout]:
        """PPO step ``number``, from 0: its metrics, and the rollout that it learnt from."""
        start = time.perf_counter()
        rollout, metrics = self._rollout_for(number)
        metrics |= self._learn(rollout, number)
        metrics |= self.push_weights()
        seconds = time.perf_counter() - start
        metrics["timing_s/step"] = seconds
        metrics["perf/throughput"] = metrics["perf/total_num_tokens"] / seconds
        return metrics, rollout

    def push_weights(self) -> Metrics:
        """Learner -> engines; every engine proves that it serves the version that the learner has."""
        start = time.perf_counter()
        limit = self.config.cluster.request_timeout_s
        refs = wait(self.fleet.learners[0].weights.remote(), "the learner's weights", limit)
        answers = self.fleet.serve("load", refs)
        if len({a["version"] for a in answers}) != 1:
            raise ActorLostError(f"the engines serve different weight versions: {answers}")
        return {
            "timing_s/update_weights": time.perf_counter() - start,
            "training/weight_version": float(answers[0]["version"]),
            "training/served_logprob_gap_mean": max(a["gap_mean"] for a in answers),
            "training/served_logprob_gap_max": max(a["gap_max"] for a in answers),
        }

    def prompts(self, number: int) -> list[Problem]:
        """The problems of a step: the next ones of an endless sequence of shuffled passes."""
        count, size = self.config.loop.prompts_per_step, len(self.problems)
        chosen = []
        for position in range(number * count, (number + 1) * count):
            order = numpy_stream(self.config.seed, "prompts", position // size).permutation(size)
            chosen.append(self.problems[order[position % size]])
        return chosen

    def _rollout_for(self, number: int) -> tuple[Rollout, Metrics]:
        """The step's rollout; up to ``max_staleness`` later ones are begun and go on while the learner works.

        The engines answer in order: new weights wait for the rollouts begun before them, whose tokens keep the version
        that sampled them.
        """
        last = min(number + self.config.loop.max_staleness, self.config.loop.steps - 1)
        for later in range(number, max(last, number) + 1):
            if later not in self._ahead:
                self._ahead[later] = self._sampler.submit(self._sample, later)
        return self._ahead.pop(number).result()

    def _sample(self, number: int) -> tuple[Rollout, Metrics]:
        """Samples, verifies, filters and scores: the refs that the learner gets, and what the verdicts say of all
        samples, filtered or not; ``timing_s/reward`` is what verdicts and scores took after the last sample."""
        loop = self.config.loop
        sampling = Sampling(
            samples=loop.samples_per_prompt,
            temperature=loop.temperature,
            max_tokens=self.config.model.max_response_tokens,
            seed=derive(self.config.seed, "rollout", number),
        )
        start = time.perf_counter()
        limit = self.config.cluster.request_timeout_s
        chunks, verdicts = sample(self.fleet, self.prompts(number), sampling, limit)
        sampled = time.perf_counter()
        _done(verdicts, "verdicts", limit)
        found: list[Verdicts] = ray.get(verdicts)
        kept = informative(found, failing=self.lines.failing) if loop.filter_groups else list(range(len(found)))
        rest = [chunks[i] for i in kept]
        located = self._locate(rest, [verdicts[i] for i in kept], number)
        scores = score(self.fleet, rest, limit) if self.needs_scores else []
        scored = time.perf_counter()
        _done([ref for ref in located if ref is not None], "line verdicts", limit)
        share = len(kept) / len(found)
        filtered = tuple((chunks[i], verdicts[i]) for i in range(len(found)) if i not in kept)
        tokens = ray.remote(num_cpus=0)(_tokens).remote(chunks)
        kept_verdicts = tuple(verdicts[i] for i in kept)
        return Rollout(tuple(rest), kept_verdicts, tuple(scores), share, tuple(located), filtered), {
            **Verdicts.concat(found).metrics(),
            **group_metrics(found),
            "training/kept_groups": share,
            "perf/sampled_programs": float(sum(len(group.status) for group in found)),
            "perf/sampled_tokens": float(ray.get(tokens)),
            "timing_s/gen": sampled - start,
            "timing_s/reward": scored - sampled,
            "timing_s/locate": time.perf_counter() - scored,
        }

    def _locate(self, chunks: Sequence[Any], verdicts: Sequence[Any], number: int) -> list[Any]:
        """Asks the verifiers for the lines of the step's share of prompts: refs of ``LineVerdicts``, None for the other
        chunks; nothing where no lines are executed."""
        if not self.lines.executed:
            return []
        chosen = numpy_stream(self.config.seed, "executed", number).random(len(chunks)) < self.lines.executed
        pairs = zip(chunks, verdicts, chosen, strict=True)
        return [self.fleet.verifiers.locate.remote([c], [v]) if execute else None for c, v, execute in pairs]

    def _learn(self, rollout: Rollout, number: int) -> Metrics:
        answers = [learner.step.remote(rollout, number) for learner in self.fleet.learners]
        metrics: Metrics = wait(answers, "the learner's step", self.config.cluster.request_timeout_s)[0]
        return metrics


def informative(groups: Sequence[Verdicts], *, failing: bool = False) -> list[int]:
    """The groups (samples of one prompt) some of which pass their tests and some of which do not; all where none is.

    Samples that share one outcome have no advantage over each other (the filter of DAPO, Yu et al. 2025, §3.2), unless
    the estimator compares their lines: with ``failing``, groups without a pass are kept too. Only the tests decide,
    never a shaped reward. A sample without a verdict counts as neither.
    """
    kept = [i for i, g in enumerate(groups) if (g.valid & ~g.ok).any() and (failing or g.ok.any())]
    return kept or list(range(len(groups)))


def group_metrics(groups: Sequence[Verdicts]) -> dict[str, float]:
    """Shares of the sampled groups in which all samples with a verdict fail, some of them pass, and all pass."""
    failed = np.array([(g.valid & ~g.ok).any() for g in groups])
    passed = np.array([g.ok.any() for g in groups])
    return {
        "training/groups_failing": float((failed & ~passed).mean()),
        "training/groups_mixed": float((failed & passed).mean()),
        "training/groups_passing": float((passed & ~failed).mean()),
    }


def _tokens(chunks: Sequence[Any]) -> int:
    """Tokens of the responses of all chunks."""
    return sum(len(chunk.tokens) for chunk in ray.get(list(chunks)))


def sample(
    fleet: Fleet,
    problems: Sequence[Problem],
    sampling: Sampling,
    timeout_s: float,
    progress: Callable[[int], None] = lambda count: None,
) -> tuple[list[Any], list[Any]]:
    """Samples all problems on all generators; each chunk goes to the verifiers as soon as it is there.

    Returns the refs of the chunks (one a problem) and of their verdicts, in the same order. ``progress`` is told how
    many problems were finished. A generator that dies is restarted by Ray, given the weights that it served, and asked
    again; its unfinished answer is thrown away, so that nothing is counted twice. Raises ``ActorLostError`` after
    ``GENERATOR_ATTEMPTS`` times.
    """
    numbered = list(enumerate(problems))
    share = len(fleet.generators)
    todo = [(g, numbered[i::share]) for i, g in enumerate(fleet.generators) if numbered[i::share]]
    pairs: list[tuple[Any, Any]] = []
    for _ in range(GENERATOR_ATTEMPTS):
        finished, todo = _stream(fleet, todo, sampling, timeout_s, progress)
        pairs += finished
        if not todo:
            return [chunk for chunk, _ in pairs], [verdict for _, verdict in pairs]
        fleet.lost["generator"] += len(todo)
        fleet.serve_again([g for g, _ in todo])
    raise ActorLostError(
        f"a generator died {GENERATOR_ATTEMPTS} times on the same prompts; PRL_RAY_ACTOR_LOGS=1 shows what it printed"
    )


def score(fleet: Fleet, chunks: Sequence[Any], timeout_s: float) -> list[Any]:
    """Refs of the ``Scores`` of ``chunks`` once they are there, in the order of the chunks; none without scorers."""
    scorers = fleet.scorers
    if not scorers:
        return []
    # whole runs of chunks to each scorer, so that the scores join up in the order of the chunks
    parts = np.array_split(np.arange(len(chunks)), min(len(scorers), len(chunks)))
    scores = [s.score.remote([chunks[i] for i in part]) for s, part in zip(scorers, parts, strict=False)]
    _done(scores, "line scores", timeout_s)
    return scores


Part = tuple[Any, list[tuple[int, Problem]]]


def _stream(
    fleet: Fleet, todo: Sequence[Part], sampling: Sampling, timeout_s: float, progress: Callable[[int], None]
) -> tuple[list[tuple[Any, Any]], list[Part]]:
    """``(chunk, verdict)`` refs of the parts that came through whole, and the parts whose generator died."""
    streams: dict[Any, tuple[Part, list[tuple[Any, Any]]]] = {}
    for generator, numbered in todo:
        ids, problems = [i for i, _ in numbered], [p for _, p in numbered]
        stream = generator.generate.options(num_returns="streaming").remote(problems, ids, sampling)
        streams[stream] = ((generator, numbered), [])
    finished: list[tuple[Any, Any]] = []
    lost: list[Part] = []
    while streams:
        ready, _ = ray.wait(list(streams), num_returns=1, timeout=timeout_s, fetch_local=False)
        if not ready:
            raise ActorLostError(f"waited {timeout_s:g} s for the generators to finish one more prompt")
        stream = ready[0]
        part, pairs = streams[stream]
        try:
            chunk = next(stream)
            pairs.append((chunk, fleet.verifiers.verify.remote([chunk])))
            progress(1)
        except StopIteration:
            del streams[stream]
            try:
                ray.get(stream.completed())
                # an error that ended the answer stands in the place of its last chunk, and nowhere else
                wait(fleet.verifiers.whole.remote([pairs[-1][0]]), "the last prompt", timeout_s)
                finished += pairs
            except (RayActorError, ActorLostError):
                progress(-len(pairs))
                lost.append(part)
    return finished, lost


def _done(refs: Sequence[Any], what: str, timeout_s: float) -> None:
    """Waits until all refs are there without fetching them; an error among them is raised."""
    if not refs:
        return
    ready, waiting = ray.wait(list(refs), num_returns=len(refs), timeout=timeout_s, fetch_local=False)
    if waiting:
        raise ActorLostError(f"waited {timeout_s:g} s for {what}: {len(ready)} of {len(refs)} came")
