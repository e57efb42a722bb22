"""From an engine's output tokens to programs and line-segmented samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.lines import line_end_tokens, text_behind, token_ends, units
from prl_ray.models.encode import answers_in_chat
from prl_ray.models.policy import end_tokens, load_tokenizer
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import TrajectoryBatch
from sandbox_workers import program_of

if TYPE_CHECKING:
    from vllm.logprobs import Logprob
    from vllm.outputs import CompletionOutput


@dataclass(frozen=True, slots=True)
class Group:
    """A prompt whose samples are being generated."""

    problem: Problem
    prompt_id: int
    prompt: list[int]
    outputs: list[CompletionOutput | None]
    """vLLM's output of each sample, None while it is unfinished."""


class Responses:
    """Reads the responses of one model."""

    def __init__(self, setup: GeneratorSetup) -> None:
        self.unit = setup.unit
        self.tokenizer = load_tokenizer(setup.model)
        self.ends = end_tokens(setup.model, self.tokenizer)
        """All end tokens: each ends a program and is none of its text."""
        chats = answers_in_chat(self.tokenizer)
        self._extracts = setup.extract == "fence" or (setup.extract == "auto" and chats)

    def batch(self, group: Group) -> TrajectoryBatch:
        """The samples of a prompt."""
        outputs = [output for output in group.outputs if output is not None]
        samples = [self._sample(group, list(o.token_ids), o.logprobs) for o in outputs]
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
            weight_versions=np.concatenate([token_versions(o) for o in outputs]),
            line_ends=np.concatenate([s.line_ends for s in samples]).astype(np.int32),
            line_offsets=np.concatenate([[0], np.cumsum([len(s.line_ends) for s in samples])]).astype(np.int64),
            line_neutral=np.concatenate([s.line_neutral for s in samples]).astype(np.bool_),
            unit=self.unit,
            extracted=np.array([s.extracted for s in samples], dtype=np.bool_),
        )

    def program(self, problem: Problem, prompt: Sequence[int], tokens: Sequence[int]) -> str:
        """The program of a response: code prefix and code."""
        return problem.code_prefix + self._code(problem, self._answer(prompt, self._body(tokens)))

    def _body(self, tokens: Sequence[int]) -> list[int]:
        """The tokens that are text."""
        return list(tokens[:-1] if tokens and tokens[-1] in self.ends else tokens)

    def _answer(self, prompt: Sequence[int], body: Sequence[int]) -> str:
        return text_behind(self.tokenizer, prompt, body)

    def _code(self, problem: Problem, answer: str) -> str:
        """The program in an answer, of the same length: lines that are not code have become comments."""
        if not self._extracts:
            return answer
        return program_of(answer, entry_point=problem.entry_point, language=problem.language)

    def _sample(self, group: Group, tokens: list[int], logprobs: Sequence[Mapping[int, Logprob]]) -> _Sample:
        """Text and lines of one response; the end token is the last line of a finished one, and no text."""
        problem, body = group.problem, self._body(tokens)
        finished = len(body) < len(tokens)
        answer = self._answer(group.prompt, body)
        code = self._code(problem, answer)
        program = problem.code_prefix + code
        lines = units(program, self.unit)
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


def token_versions(output: CompletionOutput) -> NDArray[np.int32]:
    """int32 ``[tokens]``: the weight version that sampled each token, from the spans that vLLM keeps."""
    spans = output.weight_versions
    return np.repeat([int(s.version) for s in spans], [s.end - s.start for s in spans]).astype(np.int32)


@dataclass(frozen=True, slots=True)
class _Sample:
    program: str
    finished: bool
    tokens: list[int]
    logprobs: list[float]
    line_ends: np.ndarray
    line_neutral: np.ndarray
    extracted: bool
