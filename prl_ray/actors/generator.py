"""The rollout generator: a vLLM engine in a Ray actor that yields line-segmented trajectories as they finish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import ray

from prl_ray.actors import gauges
from prl_ray.actors.handles import restarted
from prl_ray.actors.sampling_engine import GeneratorSetup, start_engine
from prl_ray.actors.weights import SentWeights, reload_weights
from prl_ray.errors import ModelError, OutdatedEngineError
from prl_ray.lines import line_end_tokens, text_behind, token_ends, units
from prl_ray.models.encode import answers_in_chat, render_chat, render_prompt
from prl_ray.models.policy import end_tokens, load_policy, load_tokenizer, probe_logprobs
from prl_ray.problems.problem import Problem
from prl_ray.seeds import derive
from prl_ray.supervision.llm.chat import Answer, Request
from prl_ray.trajectory import TrajectoryBatch
from sandbox_workers import program_of

if TYPE_CHECKING:
    from vllm.logprobs import Logprob
    from vllm.outputs import CompletionOutput

PROBE_TOLERANCE = {"float32": 1e-2, "bfloat16": 0.15}
"""Mean gap in nats per token between learner and engine on the probe text. Rounding gives 4e-5 and 0.04; wrong weights
give far more."""


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


@dataclass(frozen=True, slots=True)
class Served:
    """The weight version that an engine serves, and the gap of its log-probabilities to the learner's on the
    probe text, in nats."""

    version: int
    gap_mean: float
    gap_max: float


class Generator:
    """One engine. Deterministic on a CPU: equal weights, prompts and seeds give equal samples."""

    def __init__(self, setup: GeneratorSetup) -> None:
        self.setup = setup
        self.prepare()
        context = ray.get_runtime_context() if ray.is_initialized() else None
        actor = context if context and context.get_actor_id() else None
        self.transport = setup.transport.open()
        gpus = actor.get_assigned_resources().get("GPU", 0.0) if actor else 0.0
        self.llm = start_engine(setup, gpus, self.transport.engine_options())
        self._requests = 0
        # Ray replaces a dead engine by a new one with the first weights, not those that the dead one served.
        self.outdated = restarted()

    def prepare(self) -> None:
        """Sets up everything that does not need the engine: the tokenizer and the reading of answers."""
        self.version = 0
        self.tokenizer = load_tokenizer(self.setup.model)
        self.ends = end_tokens(self.setup.model, self.tokenizer)
        chats = answers_in_chat(self.tokenizer)
        self.extracts = self.setup.extract == "fence" or (self.setup.extract == "auto" and chats)

    def ready(self) -> str:
        """One line about the engine; answers when it can serve."""
        return f"vLLM {self.setup.dtype}, up to {self.setup.max_num_seqs} sequences"

    def generate(
        self, problems: Sequence[Problem], prompt_ids: Sequence[int], sampling: Sampling
    ) -> Iterator[TrajectoryBatch]:
        """Yields one batch per problem, with all its samples, in the order in which problems finish.

        Each sample has its own random stream (``Sampling.stream``): a sample does not depend on the other
        samples. Raises ``OutdatedEngineError`` in a restarted actor until it has loaded the weights that it is to
        serve.
        """
        if self.outdated:
            raise OutdatedEngineError("the engine was restarted and has not loaded the weights that it is to serve")
        running: dict[str, tuple[_Group, int]] = {}
        for problem, prompt_id in zip(problems, prompt_ids, strict=True):
            group = _Group(problem, prompt_id, render_prompt(self.tokenizer, problem), [None] * sampling.samples)
            for sample in range(sampling.samples):
                # vLLM's own n samples of a request would draw from seed, seed + 1, …
                request = self._request(group.prompt, sampling, sampling.stream(prompt_id, sample))
                running[request] = (group, sample)
        try:
            while self.llm.llm_engine.has_unfinished_requests():
                for output in self.llm.llm_engine.step():
                    if output.finished:
                        group, sample = running.pop(output.request_id)
                        group.outputs[sample] = output.outputs[0]
                        if all(group.outputs):
                            batch = self._batch(group)
                            gauges.count("generator_samples", len(batch))
                            gauges.count("generator_tokens", len(batch.tokens))
                            yield batch
        finally:
            if running:  # the consumer stopped reading: abort its requests
                self.llm.llm_engine.abort_request(list(running))

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

    def load(self, sent: SentWeights) -> Served:
        """Loads weights that the learner sent, drops the prefix cache, and proves that it serves them.

        Raises ``ModelError`` where the engine serves other weights than the learner has.
        """
        self.transport.load(self.llm, sent.ticket)
        return self._proved(sent.version, sent.probe_tokens, sent.probe_logprobs)

    def load_folder(self, folder: Path, version: int) -> int:
        """Loads the weights of a Hugging Face folder of the same architecture; returns the version served.

        transformers reads the folder, whatever form its weights have (safetensors or ``.bin``, in one file or shards),
        and gives the expected log-probabilities of a probe text. Raises ``ModelError`` if the engine's are others.
        """
        import torch

        model = load_policy(folder, getattr(torch, self.setup.dtype))
        tokens = self.tokenizer.encode(PROBE_TEXT)[: min(PROBE_TOKENS, self.setup.max_model_len - 1)]
        reload_weights(self.llm, model.state_dict().items(), self.setup.ranks)
        self._proved(version, tokens, probe_logprobs(model, tokens))
        return self.version

    def _proved(self, version: int, tokens: Sequence[int], expected: np.ndarray) -> Served:
        self.llm.reset_prefix_cache()
        gap = np.abs(self._probe(tokens) - expected)
        if not gap.mean() < PROBE_TOLERANCE[self.setup.dtype]:
            raise ModelError(
                f"the engine loaded weight version {version} but serves other weights: log-probabilities are off by "
                f"{gap.mean():.3f} nats per token on average; vLLM cannot load weights of this architecture anew"
            )
        self.version, self.outdated = version, False
        return Served(version, float(gap.mean()), float(gap.max()))

    def _request(self, prompt: list[int], sampling: Sampling, seed: int) -> str:
        """Adds one sample to the engine's queue; returns the id of the request."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        self._requests += 1
        params = SamplingParams(
            temperature=sampling.temperature,
            top_p=1.0,
            seed=seed if sampling.temperature > 0 else None,
            max_tokens=sampling.max_tokens,
            logprobs=0,
            detokenize=False,
            stop_token_ids=list(self.ends),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
        self.llm.llm_engine.add_request(str(self._requests), {"prompt_token_ids": prompt}, params)
        return str(self._requests)

    def _probe(self, tokens: Sequence[int]) -> np.ndarray:
        from vllm import SamplingParams

        params = SamplingParams(max_tokens=1, temperature=0.0, prompt_logprobs=0, detokenize=False)
        output = self.llm.generate({"prompt_token_ids": list(tokens)}, params, use_tqdm=False)[0]
        rows = zip(output.prompt_logprobs[1:], tokens[1:], strict=True)
        return np.array([row[token].logprob for row, token in rows], dtype=np.float32)

    def _batch(self, group: _Group) -> TrajectoryBatch:
        samples = [self._sample(group, list(o.token_ids), o.logprobs) for o in group.outputs if o is not None]
        lengths, prompt = np.array([len(s.tokens) for s in samples]), group.prompt
        return TrajectoryBatch(
            task_ids=(group.problem.task_id,) * len(samples),
            prompt_ids=np.full(len(samples), group.prompt_id, dtype=np.int64),
            programs=tuple(s.program for s in samples),
            finished=np.array([s.finished for s in samples], dtype=np.bool_),
            prompt_tokens=np.tile(np.array(prompt, dtype=np.int32), len(samples)),
            prompt_offsets=np.arange(len(samples) + 1, dtype=np.int64) * len(prompt),
            tokens=np.concatenate([s.tokens for s in samples]).astype(np.int32),
            token_offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
            logprobs=np.concatenate([s.logprobs for s in samples]).astype(np.float32),
            weight_versions=np.full(lengths.sum(), self.version, dtype=np.int32),
            line_ends=np.concatenate([s.line_ends for s in samples]).astype(np.int32),
            line_offsets=np.concatenate([[0], np.cumsum([len(s.line_ends) for s in samples])]).astype(np.int64),
            line_neutral=np.concatenate([s.line_neutral for s in samples]).astype(np.bool_),
            unit=self.setup.unit,
            extracted=np.array([s.extracted for s in samples], dtype=np.bool_),
        )

    def _program(self, problem: Problem, answer: str) -> str:
        """The program in an answer, of the same length: lines that are not code have become comments."""
        if not self.extracts:
            return answer
        return program_of(answer, entry_point=problem.entry_point, language=problem.language)

    def _sample(self, group: _Group, tokens: list[int], logprobs: Sequence[Mapping[int, Logprob]]) -> _Sample:
        """Text and lines of one response; the end token is the last line of a finished one, and no text."""
        problem = group.problem
        finished = bool(tokens) and tokens[-1] in self.ends
        body = tokens[:-1] if finished else tokens
        answer = text_behind(self.tokenizer, group.prompt, body)
        code = self._program(problem, answer)
        program = problem.code_prefix + code
        lines = units(program, self.setup.unit)
        completed = token_ends(self.tokenizer, body, behind=group.prompt)
        ends, keep = line_end_tokens(completed, lines, len(problem.code_prefix))
        neutral = np.array([line.neutral for line in lines], dtype=np.bool_)[keep]
        if finished:
            ends, neutral = np.append(ends, len(body)), np.append(neutral, False)
        return _Sample(
            program=program,
            finished=finished,
            tokens=tokens,
            logprobs=[row[token].logprob for row, token in zip(logprobs, tokens, strict=True)],
            line_ends=ends,
            line_neutral=neutral,
            extracted=code != answer,
        )


@dataclass(frozen=True, slots=True)
class _Group:
    """A prompt whose samples are being generated."""

    problem: Problem
    prompt_id: int
    prompt: list[int]
    outputs: list[CompletionOutput | None]
    """vLLM's output of each sample, None while it is unfinished."""


@dataclass(frozen=True, slots=True)
class _Sample:
    program: str
    finished: bool
    tokens: list[int]
    logprobs: list[float]
    line_ends: np.ndarray
    line_neutral: np.ndarray
    extracted: bool
