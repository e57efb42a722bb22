"""The PPO loop over the actors: sample, verify, filter and score, learn, push weights.

With ``loop.max_staleness=0`` a step samples from the weights that it then updates. With ``k > 0`` up to ``k`` rollouts
are sampled ahead while the learner works; every token keeps the version that sampled it, and the importance weight in
the loss corrects for it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from prl_ray.actors.completions import LineValues
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Sampling
from prl_ray.actors.handles import Ref, ask, put
from prl_ray.actors.learner import Learner
from prl_ray.actors.line_plan import LinePlan, LineRequest
from prl_ray.actors.online_prm import PrmWeights
from prl_ray.actors.rollout import Rollout
from prl_ray.actors.waiting import done
from prl_ray.config import Config
from prl_ray.errors import ActorLostError
from prl_ray.problems.problem import Problem
from prl_ray.rewards.groups import GroupFilter, group_metrics
from prl_ray.sampling import complete, sample, score
from prl_ray.seeds import derive, numpy_stream
from prl_ray.trajectory import TrajectoryBatch, Verdicts

Metrics = dict[str, float]


@dataclass
class Loop:
    """The state of the PPO loop. ``step(n)`` depends only on ``n`` and the learner's state, so a run can resume at any
    step."""

    config: Config
    fleet: Fleet
    problems: Sequence[Problem]
    needs_scores: bool
    _ahead: dict[int, Future[tuple[Rollout, Metrics]]] = field(default_factory=dict)
    """Started rollouts, by step."""
    _sampler: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "rollouts"))
    """One thread: rollouts share the engines, so they run one after the other."""

    _references: list[Ref[Mapping[str, Problem]]] = field(default_factory=list)
    """The problems by task id, for the verifiers that execute lines and the generators that complete them."""

    _prm: PrmWeights | None = None
    """The newest weights of a PRM that is trained online; None for those that the scorers have loaded."""

    def __post_init__(self) -> None:
        if self.lines.executed or self.lines.completions:
            self._references = [put({problem.task_id: problem for problem in self.problems})]

    @cached_property
    def lines(self) -> LinePlan:
        """The prompts on which the verifiers execute lines, and the handling of groups without a pass."""
        return LinePlan.of(self.config)

    @cached_property
    def filter(self) -> GroupFilter:
        """The groups that a step learns from."""
        return GroupFilter(self.config.loop.filter_groups, self.lines.failing, self.config.reward.truncated)

    def step(self, number: int) -> tuple[Metrics, Rollout]:
        """Runs PPO step ``number`` (from 0); returns its metrics and its rollout."""
        start = time.perf_counter()
        rollout, metrics = self._rollout_for(number)
        if self.config.cluster.generator_sleep:
            self.fleet.engines.sleep()  # the next weights wake them
        metrics |= self._learn(rollout, number)
        metrics |= self.push_weights()
        seconds = time.perf_counter() - start
        metrics |= self.fleet.metrics()
        metrics["timing_s/step"] = seconds
        metrics["perf/throughput"] = metrics["perf/total_num_tokens"] / seconds
        return metrics, rollout

    def close(self, *, wait: bool = True) -> None:
        """Stops the rollouts that run ahead and discards their samples. With ``wait=False`` the running one ends with
        the fleet, whose actors it waits for."""
        self._sampler.shutdown(wait=wait, cancel_futures=True)

    def push_weights(self) -> Metrics:
        """Pushes the learner's weights to the engines; each engine proves that it serves the learner's weight
        version."""
        start = time.perf_counter()
        weights = self.fleet.on_learners(lambda rank: ask(rank, Learner.weights), "the learner's weights")[0]
        assert weights is not None, "rank 0 sends the weights"
        if self.config.prm.online:
            self._prm = self.fleet.on_learners(lambda rank: ask(rank, Learner.prm_weights), "the PRM's weights")[0]
        answers = self.fleet.engines.load_weights(weights)
        if len({a.version for a in answers}) != 1:
            raise ActorLostError(f"the engines serve different weight versions: {answers}")
        return {
            "timing_s/update_weights": time.perf_counter() - start,
            "training/weight_version": float(answers[0].version),
            "training/served_logprob_gap_mean": max(a.gap_mean for a in answers),
            "training/served_logprob_gap_max": max(a.gap_max for a in answers),
        }

    def prompts(self, number: int) -> list[Problem]:
        """The problems of a step, from an endless sequence of shuffled passes over all problems."""
        count, size = self.config.loop.prompts_per_step, len(self.problems)
        chosen = []
        for position in range(number * count, (number + 1) * count):
            order = numpy_stream(self.config.seed, "prompts", position // size).permutation(size)
            chosen.append(self.problems[order[position % size]])
        return chosen

    def _rollout_for(self, number: int) -> tuple[Rollout, Metrics]:
        """The step's rollout; up to ``max_staleness`` later ones are started and continue while the learner works.

        The engines answer in order: new weights wait for the rollouts started before them, unless ``loop.in_flight``
        lets engines take them between two tokens. Tokens keep the version that sampled them either way.
        """
        last = min(number + self.config.loop.max_staleness, self.config.loop.steps - 1)
        for later in range(number, max(last, number) + 1):
            if later not in self._ahead:
                self._ahead[later] = self._sampler.submit(self._sample, later)
        return self._ahead.pop(number).result()

    def _sample(self, number: int) -> tuple[Rollout, Metrics]:
        """Samples, verifies, filters and scores. Returns the refs for the learner, and the metrics of all samples,
        filtered or not. ``timing_s/reward`` is the time for verdicts and scores after the last sample."""
        loop = self.config.loop
        sampling = Sampling(
            samples=loop.samples_per_prompt,
            temperature=loop.temperature,
            max_tokens=self.config.model.max_response_tokens,
            seed=derive(self.config.seed, "rollout", number),
        )
        start, limit = time.perf_counter(), self.config.cluster.request_timeout_s
        self.fleet.adjust_generators()
        collected = sample(self.fleet, self.prompts(number), sampling, limit, lines=self._executed(number))
        found, rollout, sampled = collected.verdicts, collected.rollout, Verdicts.concat(collected.verdicts)
        outcomes = [self.filter.outcomes(group) for group in found]
        kept = self.filter.kept(outcomes)
        rest = rollout.only(kept)
        scores = score(self.fleet, rest.chunks, limit, self._prm) if self.needs_scores else []
        scored = time.perf_counter()
        done(rest.lines, "line verdicts", limit)
        located_s = time.perf_counter() - scored
        values, completions = self._complete(rest.chunks, sampling, number)
        return replace(rest, scores=tuple(scores), values=values), {
            **sampled.metrics(),
            **group_metrics(outcomes),
            **completions,
            "training/kept_groups": rest.share,
            "perf/sampled_programs": float(len(sampled.status)),
            "perf/sampled_tokens": float(sampled.tokens.sum()),
            "timing_s/gen": collected.sampled_s,
            "timing_s/reward": scored - start - collected.sampled_s,
            "timing_s/locate": located_s,
        }

    def _executed(self, number: int) -> LineRequest | None:
        """The step's share of prompts whose samples get line verdicts; None if no lines are executed."""
        if not self.lines.executed:
            return None
        chosen = numpy_stream(self.config.seed, "executed", number).random(self.config.loop.prompts_per_step)
        prompts = np.flatnonzero(chosen < self.lines.executed)
        return LineRequest(self._references, frozenset(prompts.tolist()), self.filter)

    def _complete(
        self, chunks: Sequence[Ref[TrajectoryBatch]], sampling: Sampling, number: int
    ) -> tuple[tuple[Ref[LineValues], ...], Metrics]:
        """Refs of the values of the chunks' lines by completion, and what they cost; nothing if the estimator reads
        none."""
        if not self.lines.completions:
            return (), {}
        start = time.perf_counter()
        more = replace(sampling, samples=self.lines.completions, seed=derive(self.config.seed, "completions", number))
        limit = self.config.cluster.request_timeout_s
        found = complete(self.fleet, chunks, self._references, more, limit)
        return tuple(ref for ref, _ in found), {
            "perf/completed_programs": float(sum(values.programs for _, values in found)),
            "perf/completed_tokens": float(sum(values.tokens for _, values in found)),
            "timing_s/complete": time.perf_counter() - start,
        }

    def _learn(self, rollout: Rollout, number: int) -> Metrics:
        return self.fleet.on_learners(lambda rank: ask(rank, Learner.step, rollout, number), "the learner's step")[0]
