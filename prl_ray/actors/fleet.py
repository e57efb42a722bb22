"""The actors of a run: started in parallel, watched while they start, and shared by the stages.

Importing torch and vLLM takes tens of seconds, so actors start at the same time and are kept between stages where they
can be: one engine serves evaluation and PPO. Each role has its resources reserved before its first actor starts, see
``prl_ray.actors.placement``; sft, reward models and PPO's learner use the learners' resources one after the other.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import ray
from ray.exceptions import GetTimeoutError, RayError

from prl_ray.actors.completions import Completions, LineValues
from prl_ray.actors.elastic import Elastic
from prl_ray.actors.engines import Engines
from prl_ray.actors.faults import is_loss
from prl_ray.actors.generator import Generator
from prl_ray.actors.handles import Handle, Ref, ask, call, get, put
from prl_ray.actors.joining import start_ray
from prl_ray.actors.learner import Learner, LearnerSetup
from prl_ray.actors.line_plan import LineRequest
from prl_ray.actors.placement import ROLES, on_this_node
from prl_ray.actors.places import Places
from prl_ray.actors.roles import R, counted, here
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.actors.scorer import Scorer
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.actors.supervised import SupervisedSetup, SupervisedTrainer
from prl_ray.actors.verifier import Suites, VerifierSetup
from prl_ray.actors.verifier_pool import PoolReport, VerifierPool
from prl_ray.actors.waiting import died_first, wait
from prl_ray.config import ClusterConfig, SandboxConfig
from prl_ray.credit.columns import LineVerdicts
from prl_ray.errors import ActorLostError, LearnerLostError, PrlRayError, ResourceError
from prl_ray.examples import Example
from prl_ray.problems.problem import Problem, language_of
from prl_ray.trajectory import TrajectoryBatch, Verdicts
from sandbox_workers import TestSuite

log = logging.getLogger("prl_ray")

REPORT_S = 60.0
"""Seconds for the pool to answer: Ray may have to restart it."""
CLOSE_S = 30.0
"""Seconds for the verifiers to stop; after that they are killed."""
ANSWER_S = 5.0
"""Seconds for the pool to answer a question that a message is made of."""

A = TypeVar("A")
T = TypeVar("T")


@dataclass
class Fleet:
    """The actors of a run. ``close`` ends them all."""

    cluster: ClusterConfig
    sandbox: SandboxConfig
    run_name: str
    scorers: list[Handle[Scorer]] = field(default_factory=list)
    learners: list[Handle[Learner]] = field(default_factory=list)
    pool: Handle[VerifierPool] | None = None
    """None until ``start_verifiers``."""
    lost: Counter[str] = field(default_factory=Counter)
    """Requests that were lost with their actor and sent again, by role."""
    say: Callable[[str], None] = print
    plugins: Collection[str] = ()
    """Modules of the user's own parts, which actors import too."""
    _tests: dict[str, TestSuite] = field(default_factory=dict)
    """Test suites that the verifiers know, by task id, and ``_suites``, the same in the object store."""
    _suites: list[Ref[Suites]] = field(default_factory=list)
    _wished: int = 0
    """Newest requested number of verifiers, by the configuration or by ``python -m prl_ray.scale``."""
    _elastic: Elastic | None = None
    """None until ``start_generators``."""

    def __post_init__(self) -> None:
        self.engines = Engines(self.cluster)
        self.places = Places(self.cluster, self.run_name)

    @property
    def generators(self) -> list[Handle[Generator]]:
        """The run's own engines."""
        return self.engines.actors

    def open(self, roles: Collection[str] = ROLES) -> None:
        """Starts or joins Ray and reserves the resources of the roles for all stages.

        Raises ``ResourceError`` if the cluster cannot be reached or has no room.
        """
        start_ray(self.cluster, self.plugins)
        self.places.reserve(roles, verifiers=self.pool is None)

    @property
    def verifiers(self) -> Handle[VerifierPool]:
        """The verifier pool, once ``start_verifiers`` has started it."""
        assert self.pool is not None, "start_verifiers comes first"
        return self.pool

    def start_verifiers(self, problems: Sequence[Problem]) -> Handle[VerifierPool]:
        """The verifier pool, which gets the tests of ``problems``; one pool serves the whole run. It is named
        ``verifiers-RUN`` so that `python -m prl_ray.scale` finds it."""
        if self.pool is None:
            self.pool = self._new_pool(language_of(problems))
            start, limit = time.monotonic(), self.cluster.start_timeout_s
            report = wait(ask(self.pool, VerifierPool.ready), "the first verifier to start", limit)
            self._wished = self.cluster.verifiers
            self.say(f"verifiers: {report} ({time.monotonic() - start:.0f} s)")
        self._tests |= {p.task_id: p.tests for p in problems}
        self._suites = [put(dict(self._tests))]
        return self.verifiers

    def _new_pool(self, language: str) -> Handle[VerifierPool]:
        """On the driver's node, which the run needs anyway; Ray restarts it and sends its requests again if it dies."""
        cluster, sandbox = self.cluster, self.sandbox
        setup = VerifierSetup(cluster.isolation, sandbox.wall_s, sandbox.memory_mb, sandbox.attempts, language)
        actor = ray.remote(num_cpus=0, max_concurrency=10_000, max_restarts=-1, max_task_retries=-1)(VerifierPool)
        try:
            pool: Handle[VerifierPool] = actor.options(
                name=f"verifiers-{self.run_name}", scheduling_strategy=on_this_node()
            ).remote(setup, cluster.verifiers, cluster.verifier_cpus, cluster.max_verifiers)
        except ValueError as error:
            raise ResourceError(
                f"a run named {self.run_name} is going on in this Ray cluster; end it first, or give this one another "
                "name (name=…)"
            ) from error
        return pool

    def verify(self, chunk: Ref[TrajectoryBatch]) -> Ref[Verdicts]:
        """Asks for the verdicts of a chunk of samples."""
        return ask(self.verifiers, VerifierPool.verify, [chunk], self._suites)

    def locate(self, chunk: Ref[TrajectoryBatch], verdicts: Ref[Verdicts], request: LineRequest) -> Ref[LineVerdicts]:
        """Asks for the line verdicts of one prompt's samples."""
        return ask(self.verifiers, VerifierPool.locate, [chunk], [verdicts], request)

    def line_values(self, completions: Ref[Completions]) -> Ref[LineValues]:
        """Asks for the values of lines, from the verdicts on completions."""
        return ask(self.verifiers, VerifierPool.line_values, [completions], self._suites)

    def verifier_report(self) -> PoolReport:
        """Counts and size of the pool; a pool that Ray restarted gets its size back."""
        report = wait(
            ask(self.verifiers, VerifierPool.report), "the verifiers' counters", self.cluster.request_timeout_s
        )
        if report.restored:
            wait(ask(self.verifiers, VerifierPool.resize, self._wished, True), "the verifiers to be resized", 60)
        else:
            self._wished = report.wanted
        return report

    def slow_verifiers(self) -> str:
        """Names the verifiers that have not answered for long; empty if there are none, or the pool is silent."""
        try:
            return get(ask(self.verifiers, VerifierPool.slow), timeout_s=ANSWER_S)
        except (GetTimeoutError, RayError):
            return ""

    def metrics(self) -> dict[str, float]:
        """Number of verifiers, and of actors that were lost since the run started."""
        report = self.verifier_report()
        return {
            "perf/verifiers": float(report.workers),
            "perf/lost/verifiers": float(report.counts.restarted),
            "perf/lost/generators": float(self.lost["generator"]),
            "perf/lost/learners": float(self.lost["learner"]),
        }

    def start_generators(self, setup: GeneratorSetup) -> list[Handle[Generator]]:
        """Generators for ``setup``, the same for the whole run: those that run already are kept."""
        if not self.generators:
            self.engines.actors = self.places.fill(Generator, "generator", setup, **setup.actor_options)
            self.engines.in_flight = setup.in_flight
            self._elastic = Elastic(self.engines, self.places, setup, self.cluster.start_timeout_s, self.say)
        return self.generators

    def adjust_generators(self) -> None:
        """Between two rollouts: as many generators as ``python -m prl_ray.scale`` asks for."""
        if self._elastic is not None:
            self._elastic.adjust()

    def start_engines(self, setup: GeneratorSetup) -> list[Handle[Generator]]:
        """Generators of another model instead of the run's own, which must not run; end them with ``stop``."""
        assert not self.generators, "the run's own generators hold the resources"
        engines = self.places.fill(Generator, "generator", setup, **setup.actor_options)
        self._wait_ready("engines", engines, Generator.ready)
        return engines

    def start_scorers(self, setup: ScorerSetup) -> list[Handle[Scorer]]:
        """Scorers for ``setup``. Ray restarts a lost one and sends its requests again."""
        self.scorers = self.places.fill(Scorer, "scorer", setup, max_restarts=-1, max_task_retries=-1)
        return self.scorers

    def start_learners(self, setup: LearnerSetup) -> list[Handle[Learner]]:
        """PPO learner ranks."""
        self.learners = self.places.ranks(Learner, setup)
        return self.learners

    def start_trainer(self, setup: SupervisedSetup, examples: Sequence[Example]) -> list[Handle[SupervisedTrainer]]:
        """Ranks of supervised training; end them with ``stop``."""
        return self.places.ranks(SupervisedTrainer, setup, put(list(examples)))

    def on_learners(self, call: Callable[[Handle[Learner]], Ref[T]], what: str, ranks: int | None = None) -> list[T]:
        """The answers of all ranks, or of the first ones, in order.

        Raises ``LearnerLostError`` where a rank was lost, or something that it was to read.
        """
        try:
            return wait([call(rank) for rank in self.learners[:ranks]], what, self.cluster.request_timeout_s)
        except (RayError, ActorLostError) as error:
            if (
                isinstance(error, ActorLostError)
                or is_loss(error)
                or died_first(self.learners, lambda rank: ask(rank, Learner.ready), error)
            ):
                said = str(error).strip().splitlines()[-1]  # the lines before are the traceback of another process
                raise LearnerLostError(said if isinstance(error, ActorLostError) else f"{what}: {said}") from error
            raise

    def restart_learners(self, setup: LearnerSetup) -> None:
        """Replaces a group that lost a rank; the resources are reserved anew, on nodes that are alive."""
        self.lost["learner"] += 1
        self.stop(self.learners)
        self.learners = []
        self.places.reserve_anew("learner", self.cluster.start_timeout_s)
        self.start_learners(setup)
        self._wait_ready("learners", self.learners, Learner.ready)

    def wait_ready(self) -> None:
        """Waits until every started actor can work."""
        self._wait_ready("generators", self.generators, Generator.ready)
        self._wait_ready("scorers", self.scorers, Scorer.ready)
        self._wait_ready("learners", self.learners, Learner.ready)

    def _wait_ready(self, role: str, actors: Sequence[Handle[R]], ready: Callable[[R], str]) -> None:
        if not actors:
            return
        start, limit = time.monotonic(), self.cluster.start_timeout_s
        answers = wait([ask(a, ready) for a in actors], f"the start of the {role}", limit)
        places = wait([call(a, here) for a in actors], f"the nodes of the {role}", limit)
        self.say(f"{role}: {len(actors)} × {answers[0]} on {counted(places)} ({time.monotonic() - start:.0f} s)")

    def stop(self, actors: Iterable[Handle[object]]) -> None:
        """Ends actors; their resources stay reserved for those that follow."""
        for actor in actors:
            ray.kill(actor)

    def close(self) -> None:
        """Ends all actors and gives the resources back. An error while closing is logged, so that it never hides the
        one that ended the run."""
        self.stop([*self.generators, *self.scorers, *self.learners])
        if self._elastic is not None:
            self._elastic.close()
            self._elastic = None
        self.engines = Engines(self.cluster)
        self.scorers, self.learners = [], []
        if self.pool is not None:
            try:
                wait(ask(self.pool, VerifierPool.close), "the verifiers to stop", CLOSE_S)
            except (RayError, PrlRayError) as error:
                log.warning("the verifier pool did not stop by itself and was killed: %s", error)
            ray.kill(self.pool)
            self.pool = None
        self.places.release()
