"""The rollout generator: a vLLM engine in a Ray actor that yields line-segmented trajectories as they finish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import ray

from prl_ray.actors import gauges
from prl_ray.actors.completions import Completions, FirstLines
from prl_ray.actors.handles import Ref, ask, get, restarted, this_actor
from prl_ray.actors.in_flight import Mailbox
from prl_ray.actors.requests import Requests
from prl_ray.actors.responses import Group, Responses
from prl_ray.actors.sampling_engine import GeneratorSetup, start_engine
from prl_ray.actors.weights import SentWeights, Served, proved, reload_weights
from prl_ray.errors import OutdatedEngineError
from prl_ray.models.encode import render_chat, render_prompt
from prl_ray.models.policy import load_policy, probe_logprobs
from prl_ray.problems.problem import Problem
from prl_ray.seeds import derive
from prl_ray.supervision.llm.chat import Answer, Request
from prl_ray.trajectory import TrajectoryBatch

if TYPE_CHECKING:
    from vllm import LLM, SamplingParams
    from vllm.outputs import RequestOutput

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. ``temperature`` 0 is greedy, and then all samples of a prompt are the same."""

    samples: int
    temperature: float
    max_tokens: int
    seed: int
    """Seed of this sampling as a whole; each sample has a random stream of its own (``stream``)."""

    def stream(self, prompt_id: int, sample: int) -> int:
        """The seed of one sample: independent of the engine and of the other samples."""
        return derive(self.seed, "sample", prompt_id, sample)


PROBE_TEXT = (
    "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return result\n" * 3
)
"""The engine's probe text after it has loaded a folder, cut to ``PROBE_TOKENS``."""
PROBE_TOKENS = 128


class Generator:
    """One engine. Deterministic on a CPU: equal weights, prompts and seeds give equal samples."""

    def __init__(self, setup: GeneratorSetup) -> None:
        self.setup = setup
        self.prepare()
        self.transport = setup.transport.open()
        self._asleep = False
        self.mailbox = Mailbox()
        self._changes = 0
        """Weights that were loaded while requests ran: those after it share no KV entries with those before."""
        # Ray replaces a dead engine by a new one with the first weights, not those that the dead one served.
        self.outdated = restarted()
        if not setup.in_flight:  # with it, Ray calls the methods in another thread, and that one starts the engine
            self.ready()

    @cached_property
    def llm(self) -> LLM:
        """The engine, which starts when it is first asked for."""
        context = ray.get_runtime_context() if ray.is_initialized() else None
        actor = context if context and context.get_actor_id() else None
        gpus = actor.get_assigned_resources().get("GPU", 0.0) if actor else 0.0
        llm = start_engine(self.setup, gpus, self.transport.engine_options())
        llm.llm_engine.set_weight_version(str(self.version))  # the label of every token from here on
        return llm

    def prepare(self) -> None:
        """Sets up everything that does not need the engine: the tokenizer and the reading of answers."""
        self.version = 0
        self.responses = Responses(self.setup)
        self.tokenizer = self.responses.tokenizer

    def ready(self) -> str:
        """One line about the engine; answers when it can serve."""
        _ = self.llm  # starts it
        return f"vLLM {self.setup.dtype}, up to {self.setup.max_num_seqs} sequences"

    def generate(
        self, problems: Sequence[Problem], prompt_ids: Sequence[int], sampling: Sampling
    ) -> Iterator[TrajectoryBatch]:
        """Yields one batch per problem, with all its samples, in the order in which problems finish.

        Each sample has its own random stream (``Sampling.stream``): a sample does not depend on the other
        samples. Raises ``OutdatedEngineError`` in a restarted actor until it has loaded the weights that it is to
        serve.
        """
        self.settle()
        requests: Requests[tuple[Group, int]] = self._requests()
        for problem, prompt_id in zip(problems, prompt_ids, strict=True):
            group = Group(problem, prompt_id, render_prompt(self.tokenizer, problem), [None] * sampling.samples)
            for sample in range(sampling.samples):
                # vLLM's own n samples of a request would draw from seed, seed + 1, …
                requests.add((group, sample), group.prompt, self._params(sampling, sampling.stream(prompt_id, sample)))
        with closing(requests.outputs(partial(self._change_weights, requests))) as outputs:
            for (group, sample), output in outputs:
                group.outputs[sample] = output
                if all(group.outputs):
                    batch = self.responses.batch(group)
                    gauges.count("generator_samples", len(batch))
                    gauges.count("generator_tokens", len(batch.tokens))
                    yield batch

    def complete(
        self,
        chunk: Sequence[Ref[TrajectoryBatch]],
        problems: Sequence[Ref[Mapping[str, Problem]]],
        sampling: Sampling,
    ) -> Completions:
        """Completes the first lines of a prompt's samples, ``sampling.samples`` times each text; the chunk and the
        problems by task id are given as one ref in a list.

        ``sampling.max_tokens`` holds for the whole response. Raises ``OutdatedEngineError`` as ``generate`` does.
        """
        requests: Requests[int] = self._requests()
        batch, known = get(chunk[0]), get(problems[0])
        problem, prompt_id = known[batch.task_ids[0]], int(batch.prompt_ids[0])
        prompt, first = render_prompt(self.tokenizer, problem), FirstLines.of(batch)
        for i, tokens in enumerate(first.tokens):
            rest = replace(sampling, max_tokens=sampling.max_tokens - len(tokens))
            for sample in range(sampling.samples):
                number = i * sampling.samples + sample
                requests.add(number, [*prompt, *tokens], self._params(rest, sampling.stream(prompt_id, number)))
        programs, sampled = [""] * (len(first.tokens) * sampling.samples), 0
        for number, output in requests.outputs():
            whole = [*first.tokens[number // sampling.samples], *output.token_ids]
            programs[number] = self.responses.program(problem, prompt, whole)
            sampled += len(output.token_ids)
        gauges.count("generator_tokens", sampled)
        return Completions(problem.task_id, tuple(programs), first.of_line, sampled)

    def _requests(self) -> Requests[K]:
        """The requests of a call, none yet. Raises ``OutdatedEngineError`` where the weights are not those to serve."""
        if self.outdated:
            raise OutdatedEngineError("the engine was restarted and has not loaded the weights that it is to serve")
        in_flight = self.setup.in_flight
        salt = str(self._changes) if self._changes else ""
        return Requests(self.llm, at_once=self.setup.max_num_seqs if in_flight else 0, salt=salt)

    def answer(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers questions, in order, each by its own seed, with the weights that the engine has.

        A question that leaves no room for its answer is answered with an error.
        """
        from vllm import SamplingParams

        answers = [Answer(error="") for _ in requests]
        fitting, prompts, params = [], [], []
        for i, request in enumerate(requests):
            tokens = render_chat(self.tokenizer, request.prompt)
            if len(tokens) + request.max_tokens > self.setup.max_model_len:
                answers[i] = Answer(error=f"the question has {len(tokens)} tokens; the engine takes fewer")
                continue
            fitting.append(i)
            prompts.append({"prompt_token_ids": tokens})
            seed = request.seed if request.temperature > 0 else None
            params.append(SamplingParams(temperature=request.temperature, seed=seed, max_tokens=request.max_tokens))
        outputs = self.llm.generate(prompts, params, use_tqdm=False) if fitting else []
        for i, output in zip(fitting, outputs, strict=True):
            made = output.outputs[0]
            answers[i] = Answer(
                text=made.text,
                whole=made.finish_reason != "length",
                prompt_tokens=len(output.prompt_token_ids),
                completion_tokens=len(made.token_ids),
            )
        return answers

    def sleep(self) -> None:
        """Frees the engine's GPU memory until weights are loaded. No request may be running."""
        self.llm.sleep(level=self.setup.sleep)
        self._asleep = True

    @contextmanager
    def _woken(self) -> Iterator[None]:
        """Room for weights, which are loaded within it, and afterwards for the KV cache."""
        if self._asleep:
            self.llm.wake_up(["weights"])
        yield
        if self._asleep:
            self.llm.wake_up(["kv_cache"])
        self._asleep = False

    def load(self, sent: SentWeights) -> Served:
        """Loads weights that the learner sent, drops the prefix cache, and proves that it serves them.

        Raises ``ModelError`` where the engine serves other weights than the learner has.
        """
        with self._woken():
            self.transport.load(self.llm, sent.ticket)
        return self._proved(sent.version, sent.probe_tokens, sent.probe_logprobs)

    def receive(self, sent: SentWeights) -> Served:
        """As ``load``, for another thread than that of the engine, which may sample meanwhile: see ``in_flight``."""
        self.transport.fetch(sent.ticket)
        served = self.mailbox.put(sent)
        ask(this_actor(Generator), Generator.settle)
        return served.result()

    def settle(self) -> None:
        """Loads the weights in the mailbox. No request may be running."""
        for mail in self.mailbox.taken():
            mail.answer(self.load)

    def _change_weights(self, requests: Requests[tuple[Group, int]]) -> None:
        """Loads what the mailbox holds, between two steps of ``requests``. Raises what the load raised: nothing is
        sampled any more with weights that are in doubt."""
        for mail in self.mailbox.taken():
            mail.answer(partial(self._load_between, requests))
            mail.served.result()

    def _load_between(self, requests: Requests[tuple[Group, int]], sent: SentWeights) -> Served:
        self.outdated = True  # until they are proved
        self._changes += 1
        requests.change_weights(
            lambda: self.transport.load(self.llm, sent.ticket), version=sent.version, salt=str(self._changes)
        )
        output = requests.probe(sent.probe_tokens, _probe_params())
        found = _prompt_logprobs(output, sent.probe_tokens)
        return self._serves(proved(sent.version, found, sent.probe_logprobs, self.setup.dtype))

    def load_folder(self, folder: Path, version: int) -> int:
        """Loads the weights of a Hugging Face folder of the same architecture; returns the version served.

        transformers reads the folder, whatever form its weights have (safetensors or ``.bin``, in one file or shards),
        and gives the expected log-probabilities of a probe text. Raises ``ModelError`` if the engine's are others.
        """
        import torch

        model = load_policy(folder, getattr(torch, self.setup.dtype))
        tokens = self.tokenizer.encode(PROBE_TEXT)[: min(PROBE_TOKENS, self.setup.max_model_len - 1)]
        with self._woken():
            reload_weights(self.llm, model.state_dict().items(), self.setup.ranks)
        self._proved(version, tokens, probe_logprobs(model, tokens))
        return self.version

    def _proved(self, version: int, tokens: Sequence[int], expected: np.ndarray) -> Served:
        self.llm.reset_prefix_cache()
        return self._serves(proved(version, self.logprobs(tokens), expected, self.setup.dtype))

    def _serves(self, served: Served) -> Served:
        self.version, self.outdated = served.version, False
        self.llm.llm_engine.set_weight_version(str(served.version))
        return served

    def _params(self, sampling: Sampling, seed: int) -> SamplingParams:
        """vLLM's form of one sample's settings."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=sampling.temperature,
            top_p=1.0,
            seed=seed if sampling.temperature > 0 else None,
            max_tokens=sampling.max_tokens,
            logprobs=0,
            detokenize=False,
            stop_token_ids=list(self.responses.ends),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def logprobs(self, tokens: Sequence[int]) -> np.ndarray:
        """Log-probabilities of a text's tokens but the first, at temperature 1: float32 ``[tokens - 1]``."""
        prompt = {"prompt_token_ids": list(tokens)}
        return _prompt_logprobs(self.llm.generate(prompt, _probe_params(), use_tqdm=False)[0], tokens)


def _probe_params() -> SamplingParams:
    """Of a request that is there for the log-probabilities of its prompt. It never reads the prefix cache."""
    from vllm import SamplingParams

    return SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)


def _prompt_logprobs(output: RequestOutput, tokens: Sequence[int]) -> np.ndarray:
    rows = zip(output.prompt_logprobs[1:], tokens[1:], strict=True)
    return np.array([row[token].logprob for row, token in rows], dtype=np.float32)
