"""The LLM teacher: asks a language model for variants of marked lines, and keeps the answers that are variants.

Execution decides the label of each variant, as for every teacher.
"""

from __future__ import annotations

import itertools
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.seeds import CHAT_BITS, derive
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import compare, line_texts
from prl_ray.supervision.llm.answers import comment_of, read_answer
from prl_ray.supervision.llm.chat import Answer, Chat, Request
from prl_ray.supervision.llm.config import LlmConfig
from prl_ray.supervision.llm.questions import question
from prl_ray.supervision.operators.registry import Kind
from prl_ray.supervision.teacher import Proposals, Variant

_NOTHING_TO_CHANGE = re.compile(r"\s*(?:@|(?:async\s+)?def\b|class\b|import\b|from\b|(?:else|try|finally)\s*:)")
"""Names that tests call, imports, and lines that are a keyword only."""


class LlmTeacher:
    """Proposes variants of one canonical program.

    Every answer changes one line. Lines are drawn without repetition until each was marked once. The seed of a request
    counts the questions about its line, so equal runs send equal requests, which the cache answers.

    Args:
        chat: the language model.
        config: model and settings.
        problem: the problem of the program, with the code prefix, which no variant changes.
        program: canonical.
        seen: programs that must not be proposed; proposals are added to it.
        seed: seed of the run.
    """

    def __init__(
        self, chat: Chat, config: LlmConfig, problem: Problem, program: str, seen: set[str], seed: int = 0
    ) -> None:
        self.chat, self.config, self.seed = chat, config, seed
        self.problem, self.program, self.seen = problem, program, seen
        self.seen.add(program)
        self.lines = segment(program)
        self.texts = line_texts(program)
        self.asked: Counter[tuple[Kind, int]] = Counter()

    def propose(self, kind: Kind, budget: int, rng: random.Random) -> Proposals:
        """At most ``budget`` new variants of one kind; fewer if not enough answers are variants."""
        proposals = Proposals()
        drawn = self._draw(rng)
        for _ in range(self.config.rounds):
            marked = list(itertools.islice(drawn, max(0, budget - len(proposals.variants))))
            if not marked:
                break
            requests = [self._request(kind, line) for line in marked]
            proposals.count(operator_name(kind), "asked", len(requests))
            for line, answer in zip(marked, self.chat.ask(requests), strict=True):
                proposals.cost.update(answer.cost)
                self._take(kind, line, answer, proposals)
        return proposals

    def _draw(self, rng: random.Random) -> Iterator[int]:
        """Indices of lines, all equally often."""
        prefix = len(self.problem.code_prefix)
        able = [
            i
            for i, line in enumerate(self.lines)
            if not line.neutral and line.start >= prefix and not _NOTHING_TO_CHANGE.match(self.texts[i][0])
        ]
        while able:
            yield from rng.sample(able, len(able))

    def _request(self, kind: Kind, line: int) -> Request:
        self.asked[kind, line] += 1
        place = (self.problem.task_id, kind, line)
        return Request(
            model=self.config.model,
            prompt=question(self.problem.prompt, [text for text, _ in self.texts], line, kind),
            seed=derive(self.seed, "teacher", *place, self.asked[kind, line], bits=CHAT_BITS),
            temperature=self.config.temperature,
            max_tokens=self.config.max_answer_tokens,
        )

    def _take(self, kind: Kind, line: int, answer: Answer, proposals: Proposals) -> None:
        found = self._variant(kind, line, answer)
        if isinstance(found, str):
            proposals.count(operator_name(kind), found)
            return
        proposals.count(operator_name(kind), "proposed")
        proposals.variants.append(found)

    def _variant(self, kind: Kind, line: int, answer: Answer) -> Variant | str:
        """The variant that an answer gives, or the reason for dropping it: one of ``DROPS``."""
        if answer.error:
            return "failed"
        text = answer.text if answer.whole else answer.text.rpartition("\n")[0]  # the last line is incomplete
        reading = read_answer(text, [t for t, _ in self.texts], line, kind)
        if reading.dropped:
            return "cut" if reading.dropped == "unparsed" and not answer.whole else reading.dropped
        try:
            program = canonical(self._put(reading.code, line), len(self.problem.code_prefix))
        except (SyntaxError, RecursionError, MemoryError):  # errors of the parser for invalid text
            return "invalid"
        if not program.startswith(self.problem.code_prefix):
            return "in_prefix"
        found = compare(self.texts, program)
        if program == self.program or found is None:
            return "unchanged"
        if kind == "mutation" and not found.single:
            return "several_lines"  # such as `if x: y`, which is printed as two lines
        if program in self.seen:
            return "duplicate"
        self.seen.add(program)
        return Variant(program, self.program, operator_name(kind), kind, found)

    def _put(self, code: str, line: int) -> str:
        """The program with a line replaced by ``code``. Its comment is kept: a missing comment would reveal the
        label."""
        start, end = self.lines[line].start, self.lines[line].end
        row = self.program.rfind("\n", 0, start) + 1
        return (
            self.program[:start]
            + code.replace("\n", "\n" + self.program[row:start])
            + comment_of(self.program[start:end])
            + self.program[end:]
        )


@dataclass(frozen=True)
class LlmTeachers:
    """An LLM teacher for every program, all with the same model."""

    chat: Chat
    config: LlmConfig
    seed: int = 0
    parallel: int = 32
    """Number of programs processed concurrently; the chat limits the requests in flight."""

    @property
    def identity(self) -> dict[str, object]:
        """Model, sampling and seed."""
        c = self.config
        return {"llm": [c.model, c.temperature, c.max_answer_tokens, c.rounds, self.seed]}

    def teach(self, problem: Problem, program: str, seen: set[str]) -> LlmTeacher:
        """The teacher of one program."""
        return LlmTeacher(self.chat, self.config, problem, program, seen, self.seed)


def operator_name(kind: Kind) -> str:
    """The ``operator`` of a row: ``llm_mutation`` or ``llm_refactoring``."""
    return f"llm_{kind}"
