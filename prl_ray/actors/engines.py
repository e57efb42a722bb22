"""The engines of a run: the weights that they serve, and how an engine that Ray restarted gets them again."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import ray
from ray.exceptions import RayActorError, RayError

from prl_ray.actors.faults import is_loss
from prl_ray.actors.generator import Generator
from prl_ray.actors.handles import Handle, Ref, ask, ask_in
from prl_ray.actors.in_flight import WEIGHTS
from prl_ray.actors.waiting import wait, wait_restarted
from prl_ray.actors.weights import SentWeights, Served
from prl_ray.config import ClusterConfig
from prl_ray.errors import ActorLostError, LearnerLostError

log = logging.getLogger("prl_ray")

T = TypeVar("T")

LOADS = 3
"""Times that an engine is asked to load weights before the run fails."""


@dataclass
class Engines:
    """``Generator`` actors that serve the same weights. The thread that learns pushes weights, and that of the rollouts
    has restarted engines load them again."""

    cluster: ClusterConfig
    actors: list[Handle[Generator]] = field(default_factory=list)
    in_flight: bool = False
    """Whether the engines take the learner's weights while they sample."""
    _load: Callable[[Handle[Generator]], Ref[object]] | None = None
    """Asks an engine to load the weights that all of them serve; None while these are the weights of the start."""
    _asking: threading.Lock = field(default_factory=threading.Lock)
    """An engine loads in the order in which it is asked, and the newest weights are asked for last."""

    def load_weights(self, weights: SentWeights) -> list[Served]:
        """All engines load the learner's weights (``Learner.weights``) and prove that they serve them."""
        if self.in_flight:
            return self._serve(lambda generator: ask_in(WEIGHTS, generator, Generator.receive, weights))
        return self._serve(lambda generator: ask(generator, Generator.load, weights))

    def load_folder(self, folder: Path, version: int) -> list[int]:
        """All engines load the weights of a Hugging Face folder. Returns the version that each serves."""
        return self._serve(lambda generator: ask(generator, Generator.load_folder, folder, version))

    def sleep(self) -> None:
        """All engines free their GPU memory until they load weights again."""
        self._loaded(self.actors, lambda generator: ask(generator, Generator.sleep))

    def load_again(self, generators: Sequence[Handle[Generator]]) -> None:
        """Restarted engines load the weights that the others serve."""
        self._loaded(generators, self._load_newest)

    def _load_newest(self, generator: Handle[Generator]) -> Ref[object]:
        return self._load(generator) if self._load else ask(generator, Generator.ready)

    def _serve(self, load: Callable[[Handle[Generator]], Ref[T]]) -> list[T]:
        with self._asking:
            self._load = load
        return self._loaded(self.actors, load)

    def _loaded(self, generators: Sequence[Handle[Generator]], load: Callable[[Handle[Generator]], Ref[T]]) -> list[T]:
        """The answers to ``load``. An engine that dies meanwhile is asked again once Ray has restarted it; one that
        does not come back is not used again.

        Raises ``ActorLostError`` if none is left, and ``LearnerLostError`` where the weights were lost with the learner
        or with its node.
        """
        answers: list[T] = []
        todo = list(generators)
        for _ in range(LOADS):
            with self._asking:
                asked, todo = [(generator, load(generator)) for generator in todo], []
            for generator, ref in asked:
                try:
                    answers.append(wait(ref, "an engine to load weights", self.cluster.request_timeout_s))
                except ActorLostError as error:
                    if not isinstance(error.__cause__, RayActorError):
                        raise
                    if self._is_back(generator):
                        todo.append(generator)
                except RayError as error:
                    if not is_loss(error):
                        raise
                    raise LearnerLostError("the weights that the engines serve were lost with it") from error
            if not todo:
                return answers
        raise ActorLostError(f"an engine died {LOADS} times while it loaded weights")

    def _is_back(self, generator: Handle[Generator]) -> bool:
        try:
            limit = self.cluster.start_timeout_s
            wait_restarted([generator], lambda g: ask(g, Generator.ready), "a generator to be restarted", limit)
        except ActorLostError as error:
            if generator in self.actors:  # the other thread may have removed it
                self.actors.remove(generator)
            ray.kill(generator)
            if not self.actors:
                raise
            log.warning("a generator did not come back, %d remain: %s", len(self.actors), error)
            return False
        return True
