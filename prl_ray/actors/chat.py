"""The project's own vLLM engines as a chat, for the LLM teacher."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace

from ray.exceptions import GetTimeoutError, RayActorError

from prl_ray.actors.generator import Generator
from prl_ray.actors.handles import Handle, Ref, ask, get
from prl_ray.actors.waiting import wait_restarted
from prl_ray.errors import ActorLostError
from prl_ray.supervision.llm.chat import Answer, Request

_Waiting = tuple[Request, "Future[Answer]"]


class EngineChat:
    """Asks ``Generator`` actors. Requests that several threads send while the engines are busy are joined into one
    batch.

    An engine that dies is restarted by Ray with the weights that it started with, and asked again.

    Args:
        engines: ``Fleet.start_engines``.
        timeout_s: of one batch.
        attempts: times that a batch is sent before the run fails.
    """

    def __init__(self, engines: Sequence[Handle[Generator]], timeout_s: float, attempts: int = 3) -> None:
        self.engines = list(engines)
        self.timeout_s, self.attempts = timeout_s, attempts
        self._waiting: list[_Waiting] = []
        self._waiting_lock = threading.Lock()
        self._engines_lock = threading.Lock()

    def ask(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order.

        Raises:
            ActorLostError: an engine died ``attempts`` times, or took too long.
        """
        mine: list[_Waiting] = [(request, Future()) for request in requests]
        with self._waiting_lock:
            self._waiting += mine
        with self._engines_lock:
            with self._waiting_lock:
                batch, self._waiting = self._waiting, []
            self._settle(batch)  # empty if another thread has sent our requests with its own
        return [future.result() for _, future in mine]

    def _settle(self, batch: Sequence[_Waiting]) -> None:
        try:
            answers = self._answers([request for request, _ in batch])
        except BaseException as error:
            for _, future in batch:
                future.set_exception(error)
            return
        for (_, future), answer in zip(batch, answers, strict=True):
            future.set_result(answer)

    def _answers(self, requests: Sequence[Request]) -> list[Answer]:
        answers = [Answer()] * len(requests)
        share = len(self.engines)
        parts = {i: list(requests[i::share]) for i in range(min(share, len(requests)))}
        for attempt in range(self.attempts):
            refs = {i: ask(self.engines[i], Generator.answer, part) for i, part in parts.items()}
            for i, ref in refs.items():
                part = self._part(ref, len(parts[i]))
                if part is not None:
                    answers[i::share] = [replace(answer, attempts=attempt + 1) for answer in part]
                    del parts[i]
            if not parts:
                return answers
            restarted = [self.engines[i] for i in parts]
            wait_restarted(
                restarted, lambda e: ask(e, Generator.ready), "the teacher's engine to be restarted", self.timeout_s
            )
        raise ActorLostError(f"the teacher's engine died {self.attempts} times on the same questions")

    def _part(self, ref: Ref[list[Answer]], count: int) -> list[Answer] | None:
        """One engine's answers; None if it died."""
        try:
            return get(ref, timeout_s=self.timeout_s)
        except GetTimeoutError as error:
            raise ActorLostError(
                f"waited {self.timeout_s:g} s for the teacher's engine to answer {count} questions; raise "
                "cluster.request_timeout_s if it is only slow"
            ) from error
        except RayActorError:
            return None
