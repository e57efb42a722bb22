"""The requests of one sampling loop: the only place that steps an engine while it samples, and between whose steps the
weights may change."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from collections.abc import Generator as Yields
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vllm import LLM, SamplingParams
    from vllm.outputs import CompletionOutput, RequestOutput

K = TypeVar("K")

_PROBE = "probe"
"""Id of the request that proves new weights; the others are numbered."""


@dataclass(frozen=True, slots=True)
class _Request(Generic[K]):
    key: K
    prompt: list[int]
    params: SamplingParams


class Requests(Generic[K]):
    """The requests that one engine samples, each with a key of the caller. No other requests may run.

    Args:
        llm: The engine.
        at_once: Requests that the engine holds at a time; 0 for all. A smaller number than the engine's own
            (``max_num_seqs``) keeps a place free for the probe of new weights.
        salt: Of the prefix cache: requests share entries with requests of equal salt only.
    """

    def __init__(self, llm: LLM, at_once: int = 0, salt: str = "") -> None:
        self.llm, self.salt = llm, salt
        self._at_once = at_once
        self._count = 0
        self._queue: deque[_Request[K]] = deque()
        """Those that the engine has not been given."""
        self._running: dict[str, _Request[K]] = {}
        """Those that it has, by id, until their outputs are handed out."""
        self._finished: list[RequestOutput] = []
        """Outputs that are not handed out yet."""
        self._probe: RequestOutput | None = None

    def add(self, key: K, prompt: Sequence[int], params: SamplingParams) -> None:
        """Adds a request; the engine gets it in this order."""
        self._queue.append(_Request(key, list(prompt), params))

    def outputs(self, between: Callable[[], None] = lambda: None) -> Yields[tuple[K, CompletionOutput], None, None]:
        """The outputs of the requests as they finish, each with its key. ``between`` is called before each step.
        Requests that are left when the consumer stops reading, or when something fails, are aborted."""
        try:
            while self._queue or self._running:
                between()
                self._step()
                finished, self._finished = self._finished, []
                for output in finished:
                    yield self._running.pop(output.request_id).key, output.outputs[0]
        finally:
            if self._running:
                self.llm.llm_engine.abort_request([_PROBE, *self._running])

    def change_weights(self, load: Callable[[], None], version: int, salt: str) -> None:
        """Calls ``load``, which changes the engine's weights to ``version``, between two steps.

        vLLM labels every token with the version that sampled it. A request that has begun keeps its KV entries, which
        the older weights computed. One that has not begins with ``salt``, so that it shares no such entry.
        """
        engine = self.llm.llm_engine
        engine.sleep(level=0, mode="keep")  # schedules nothing; memory and requests stay
        try:
            # An engine with several batches under way has sampled the next tokens already, with the older weights.
            for _ in range(engine.vllm_config.max_concurrent_batches):
                self._take(engine.step())
            load()
            engine.set_weight_version(str(version))
            self.salt = salt
            self._withdraw()
        finally:
            engine.wake_up(["scheduling"])

    def probe(self, prompt: Sequence[int], params: SamplingParams) -> RequestOutput:
        """The output of one more request, which goes before those that have not begun. The others go on; what they
        finish is handed out by ``outputs``."""
        self.llm.llm_engine.add_request(_PROBE, self._prompt(prompt), params)
        while self._probe is None:
            self._step()
        output, self._probe = self._probe, None
        return output

    def _step(self) -> None:
        while self._queue and not 0 < self._at_once <= len(self._running):
            request = self._queue.popleft()
            name, self._count = str(self._count), self._count + 1
            self.llm.llm_engine.add_request(name, self._prompt(request.prompt), request.params)
            self._running[name] = request
        self._take(self.llm.llm_engine.step())

    def _take(self, outputs: Sequence[RequestOutput]) -> None:
        for output in outputs:
            if output.request_id == _PROBE:
                self._probe = output
            elif output.finished:
                self._finished.append(output)

    def _withdraw(self) -> None:
        """Takes back the requests that the engine has and of which it has sampled nothing."""
        states = self.llm.llm_engine.output_processor.request_states.values()
        waiting = [state.external_req_id for state in states if state.is_prefilling]
        self.llm.llm_engine.abort_request(waiting)
        self._queue.extendleft(reversed([self._running.pop(name) for name in waiting]))

    def _prompt(self, tokens: Sequence[int]) -> dict[str, object]:
        prompt: dict[str, object] = {"prompt_token_ids": list(tokens)}
        return prompt | ({"cache_salt": self.salt} if self.salt else {})
