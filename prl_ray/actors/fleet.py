"""Starts the actors of each role, waits for them with a watchdog, and hands them out.

Actors start side by side, since importing torch and vLLM takes tens of seconds, and are kept between stages where they
can be: one engine serves evaluation and PPO.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError, RayTaskError

from prl_ray.actors.engine import RankInfo, free_port
from prl_ray.actors.faults import cause_of_death, start_error
from prl_ray.actors.generator import Generator, GeneratorSetup
from prl_ray.actors.learner import Learner, LearnerSetup
from prl_ray.actors.placement import check_fits, demands
from prl_ray.actors.scorer import Scorer
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.actors.supervised import Example, SupervisedSetup, SupervisedTrainer
from prl_ray.actors.verifier import VerifierPool, VerifierSetup
from prl_ray.config import ClusterConfig, SandboxConfig
from prl_ray.errors import ActorLostError, PrlRayError, ResourceError
from prl_ray.problems.problem import Problem


def start_ray(cluster: ClusterConfig) -> None:
    """Starts Ray here, or joins the cluster at ``cluster.address``, and compares resources with the demand.

    Raises ``ResourceError`` where the cluster cannot be reached or has no room.
    """
    if not ray.is_initialized():
        on_termination = signal.getsignal(signal.SIGTERM)
        environment = {"RAY_DEDUP_LOGS": "1", "TOKENIZERS_PARALLELISM": "false"}
        try:
            ray.init(
                address=cluster.address or "local",  # None would follow RAY_ADDRESS into somebody's cluster
                namespace="prl_ray",
                include_dashboard=False if cluster.address is None else None,
                log_to_driver=os.environ.get("PRL_RAY_ACTOR_LOGS", "0") == "1",
                logging_level="ERROR",
                runtime_env={"env_vars": environment},
            )
        except ConnectionError as error:
            raise ResourceError(
                f"no Ray cluster answers at cluster.address={cluster.address}: start one with `ray start --head` (and "
                "give this process its token: RAY_AUTH_MODE=token and RAY_AUTH_TOKEN or ~/.ray/auth_token), or take "
                f"cluster=local ({error})"
            ) from error
        if on_termination is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, on_termination)  # Ray's would print a stack trace and abort
    check_fits(demands(cluster), [node["Resources"] for node in ray.nodes() if node["Alive"]])


def wait(refs: Any, what: str, timeout_s: float) -> Any:
    """``ray.get`` with a watchdog. Raises ``ActorLostError`` naming what was waited for, or the actor's own error."""
    try:
        return ray.get(refs, timeout=timeout_s)
    except GetTimeoutError as error:
        raise ActorLostError(
            f"waited {timeout_s:g} s for {what}; raise cluster.*_timeout_s if it is only slow"
        ) from error
    except RayTaskError as error:
        if isinstance(error.cause, PrlRayError | OSError):
            raise error.cause from None
        raise
    except RayActorError as error:
        if ours := start_error(error):
            raise ours from None
        raise ActorLostError(f"{what}: the actor died: {cause_of_death(error)}") from error


def wait_restarted(actors: Sequence[Any], what: str, timeout_s: float) -> None:
    """Waits until actors answer ``ready``, and asks again where Ray is restarting one: such a call fails at once."""
    deadline = time.monotonic() + timeout_s
    for actor in actors:
        while True:
            try:
                ray.get(actor.ready.remote(), timeout=max(1.0, deadline - time.monotonic()))
                break
            except ActorUnavailableError as error:
                if time.monotonic() > deadline:
                    raise ActorLostError(f"waited {timeout_s:g} s for {what}") from error
                time.sleep(0.5)
            except (GetTimeoutError, RayActorError) as error:
                raise ActorLostError(f"waited for {what}: {cause_of_death(error)}") from error


@dataclass
class Fleet:
    """The actors of a run. ``close`` ends them all."""

    cluster: ClusterConfig
    sandbox: SandboxConfig
    run_name: str
    generators: list[Any] = field(default_factory=list)
    scorers: list[Any] = field(default_factory=list)
    learners: list[Any] = field(default_factory=list)
    verifiers: Any = None
    served: tuple[str, tuple[Any, ...]] | None = None
    """What the engines serve: the method of ``Generator`` that took it up and its arguments; None while it is what they
    started with."""
    lost: Counter[str] = field(default_factory=Counter)
    """Requests that were lost with their actor and sent again, by role."""
    say: Callable[[str], None] = print

    def start_verifiers(self, problems: Sequence[Problem]) -> Any:
        """The verifier pool, which learns the tests of ``problems``; one pool serves the whole run. It is named
        ``verifiers-RUN`` so that `python -m prl_ray.scale` finds it."""
        if self.verifiers is None:
            setup = VerifierSetup(
                self.cluster.isolation, self.sandbox.wall_s, self.sandbox.memory_mb, self.sandbox.attempts
            )
            pool = ray.remote(num_cpus=0, max_concurrency=10_000)(VerifierPool)
            self.verifiers = pool.options(name=f"verifiers-{self.run_name}").remote(
                setup, self.cluster.verifiers, self.cluster.verifier_cpus, self.cluster.max_verifiers
            )
            self._wait_ready("verifiers", [self.verifiers])
        wait(self.verifiers.learn.remote({p.task_id: p.tests for p in problems}), "the verifiers to take the tests", 60)
        return self.verifiers

    def start_generators(self, setup: GeneratorSetup) -> list[Any]:
        """Generators for ``setup``, which is one for the whole run: those that run already are kept."""
        actor = self._remote(Generator, self.cluster.generator_cpus, self.cluster.generator_gpus, max_restarts=-1)
        if not self.generators:
            self.generators = [actor.remote(setup) for _ in range(self.cluster.generators)]
        return self.generators

    def start_engines(self, setup: GeneratorSetup) -> list[Any]:
        """Generators of a model of their own, beside the run's and as many; end them with ``stop``."""
        actor = self._remote(Generator, self.cluster.generator_cpus, self.cluster.generator_gpus, max_restarts=-1)
        engines = [actor.remote(setup) for _ in range(self.cluster.generators)]
        self._wait_ready("engines", engines)
        return engines

    def serve(self, method: str, *args: Any) -> list[Any]:
        """All engines take up weights by a method of ``Generator`` (``load``, ``load_folder``); their answers."""
        self.served = (method, args)
        return self.serve_again(self.generators)

    def serve_again(self, generators: Sequence[Any]) -> list[Any]:
        """Engines that were restarted take up what the others serve."""
        if self.served is None:
            return []
        method, args = self.served
        limit = self.cluster.request_timeout_s
        wait_restarted(generators, "a restarted engine", limit)
        loads = [getattr(g, method).remote(*args) for g in generators]
        answers: list[Any] = wait(loads, "the engines to load weights", limit)
        return answers

    def start_scorers(self, setup: ScorerSetup) -> list[Any]:
        """Scorers for ``setup``."""
        actor = self._remote(
            Scorer, self.cluster.scorer_cpus, self.cluster.scorer_gpus, max_restarts=-1, max_task_retries=2
        )
        self.scorers = [actor.remote(setup) for _ in range(self.cluster.scorers)]
        return self.scorers

    def start_learners(self, setup: LearnerSetup) -> list[Any]:
        """PPO learner ranks."""
        self.learners = self._ranks(Learner, setup)
        return self.learners

    def start_trainer(self, setup: SupervisedSetup, examples: Sequence[Example]) -> list[Any]:
        """Ranks of supervised training; end them with ``stop``."""
        data = ray.put(list(examples))
        return self._ranks(SupervisedTrainer, setup, data)

    def wait_ready(self) -> None:
        """Waits until every started actor can work."""
        for role, actors in (("generators", self.generators), ("scorers", self.scorers), ("learners", self.learners)):
            self._wait_ready(role, actors)

    def _wait_ready(self, role: str, actors: list[Any]) -> None:
        if actors:
            start = time.monotonic()
            answers = wait([a.ready.remote() for a in actors], f"the {role} to start", self.cluster.start_timeout_s)
            self.say(f"{role}: {len(actors)} × {answers[0]} ({time.monotonic() - start:.0f} s)")

    def stop(self, actors: Sequence[Any]) -> None:
        """Ends actors and gives their resources back."""
        for actor in actors:
            ray.kill(actor)

    def stop_verifiers(self) -> None:
        """Ends the pool with its workers."""
        if self.verifiers is not None:
            try:
                wait(self.verifiers.resize.remote(0), "the verifiers to stop", 30)
            finally:
                ray.kill(self.verifiers)
                self.verifiers = None

    def close(self) -> None:
        """Ends all actors."""
        self.stop([*self.generators, *self.scorers, *self.learners])
        self.generators, self.scorers, self.learners = [], [], []
        self.stop_verifiers()

    def _remote(self, cls: type, cpus: float, gpus: float, *, sharing: int = 1, **options: Any) -> Any:
        """A Ray actor class of a role that runs a model. ``sharing`` actors of the role work at the same time."""
        # Ray would give OpenMP one thread a requested CPU. Roles ask for less than they use, as they take turns.
        cores = (os.cpu_count() or 1) if self.cluster.address is None else max(1, round(cpus))
        threads = self.cluster.threads or max(1, cores // sharing)
        environment = {"env_vars": {"OMP_NUM_THREADS": str(threads)}}
        return ray.remote(num_cpus=cpus, num_gpus=gpus, runtime_env=environment, **options)(cls)

    def _ranks(self, cls: type, *args: Any) -> list[Any]:
        world = self.cluster.learners
        # A rank that dies takes the group down: the run ends with an error and resumes from its checkpoint.
        actor = self._remote(cls, self.cluster.learner_cpus, self.cluster.learner_gpus, max_restarts=0, sharing=world)
        address, port = "127.0.0.1", 0
        if world > 1:
            address, port = ray.get(ray.remote(num_cpus=0)(_meeting_point).remote())
        return [actor.remote(RankInfo(rank, world, address, port), *args) for rank in range(world)]


def _meeting_point() -> tuple[str, int]:
    return ray.util.get_node_ip_address(), free_port()
