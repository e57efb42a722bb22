"""A second engine with random weights: as the LLM teacher's chat, and cutting samples into blocks."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import ray
from tiny_run import CLUSTER

from prl_ray.actors.chat import EngineChat
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Sampling
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.config import SandboxConfig
from prl_ray.lines import units
from prl_ray.problems.problem import Problem
from prl_ray.supervision import canonical
from prl_ray.supervision.llm import Answer, LlmConfig, LlmTeachers, Request
from prl_ray.trajectory import TrajectoryBatch


@pytest.fixture(scope="module")
def engine(ray_here: None, base: Path) -> Iterator[Any]:
    fleet = Fleet(CLUSTER, SandboxConfig(), "chat", say=lambda line: None)
    engines = fleet.start_engines(GeneratorSetup(base, "float32", max_model_len=512, max_num_seqs=8, unit="block"))
    yield engines[0]
    fleet.stop(engines)


def request(prompt: str, seed: int = 1, max_tokens: int = 8) -> Request:
    return Request("tiny", prompt, seed, 1.0, max_tokens)


def test_an_engine_answers_each_request_by_its_own_seed(engine: Any) -> None:
    chat = EngineChat([engine], 120)
    requests = [request("def f(x):", seed) for seed in (1, 2, 1)]
    one, other, again = chat.ask(requests)
    assert one == again and one.text != other.text
    assert not one.error and one.prompt_tokens > 1 and 1 <= one.completion_tokens <= 8
    assert one.whole == (one.completion_tokens < 8)
    assert chat.ask([]) == []


def test_a_question_that_leaves_no_room_is_answered_with_an_error(engine: Any) -> None:
    long, short = EngineChat([engine], 120).ask([request("x = 1\n" * 300), request("x = 1\n")])
    assert "tokens" in long.error and not short.error


def test_threads_that_wait_for_the_engine_share_a_batch(engine: Any) -> None:
    sizes: list[int] = []

    class Counted(EngineChat):
        def _settle(self, batch: Any) -> None:
            sizes.append(len(batch))
            super()._settle(batch)

    chat = Counted([engine], 120)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda seed: chat.ask([request("def f(x):", seed)])[0], range(8)))
    assert sum(sizes) == 8 and sorted(size for size in sizes if size) != [1] * 8
    assert answers == chat.ask([request("def f(x):", seed) for seed in range(8)])


def test_a_teacher_asks_it_and_drops_what_is_no_line(engine: Any, problems: list[Problem]) -> None:
    config = LlmConfig(model="tiny", max_answer_tokens=16, rounds=1)
    program = canonical(problems[0].references[0])
    teacher = LlmTeachers(EngineChat([engine], 120), config).teach(problems[0], program, set())
    proposals = teacher.propose("mutation", 6, random.Random(0))
    counts = proposals.counts["llm_mutation"]
    assert counts["asked"] == 6 and sum(counts.values()) == 12
    assert proposals.cost["requests"] == 6 and proposals.cost["prompt_tokens"] > 600


class Dies:
    """An engine that dies on its first question, and answers when it is there again."""

    def ready(self) -> str:
        return "here"

    def answer(self, requests: list[Request]) -> list[Answer]:
        if not ray.get_runtime_context().was_current_actor_reconstructed:
            os._exit(1)
        return [Answer(r.prompt) for r in requests]


def test_an_engine_that_dies_is_asked_again(ray_here: None) -> None:
    engines = [ray.remote(num_cpus=0, max_restarts=1)(Dies).remote() for _ in range(2)]
    answers = EngineChat(engines, 60).ask([request(str(i)) for i in range(5)])
    assert [a.text for a in answers] == ["0", "1", "2", "3", "4"]
    assert {a.cost["retried"] for a in answers} == {1}
    for engine in engines:
        ray.kill(engine)


def test_samples_are_cut_into_blocks_where_the_setup_says_so(engine: Any, problems: list[Problem]) -> None:
    sampling = Sampling(samples=4, temperature=1.0, max_tokens=60, seed=3)
    stream = engine.generate.options(num_returns="streaming").remote(problems[:2], [0, 1], sampling)
    batch = TrajectoryBatch.concat([ray.get(chunk) for chunk in stream])
    prefixes = {p.task_id: len(p.code_prefix) for p in problems}
    assert batch.unit == "block" and len(batch) == 8
    for i, program in enumerate(batch.programs):
        own = [unit for unit in units(program, "block") if unit.end > prefixes[batch.task_ids[i]]]
        scored = slice(int(batch.line_offsets[i]), int(batch.line_offsets[i + 1]))
        ends = 1 if batch.finished[i] else 0
        assert scored.stop - scored.start == len(own) + ends
        assert batch.line_neutral[scored].tolist() == [unit.neutral for unit in own] + [False] * ends
