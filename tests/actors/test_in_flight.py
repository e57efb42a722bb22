"""Weights that come while an engine samples: every token keeps the version that sampled it, and the run goes on."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import ray
import torch
from ray.exceptions import RayTaskError
from tiny_run import CLUSTER, Cycle, generator_setup
from torch import nn
from vllm.outputs import CompletionOutput, WeightVersionSpan

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Generator, Sampling
from prl_ray.actors.handles import Handle, RefStream, ask_in, ask_stream, call
from prl_ray.actors.in_flight import WEIGHTS, Mailbox
from prl_ray.actors.requests import Requests
from prl_ray.actors.responses import token_versions
from prl_ray.actors.rollout import Experience, Rollout, gather
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.actors.scoring import Scores
from prl_ray.actors.waiting import wait
from prl_ray.actors.weights import SentWeights, Served, TransportSetup
from prl_ray.config import SandboxConfig
from prl_ray.errors import ModelError, OutdatedEngineError
from prl_ray.loop import Loop
from prl_ray.models.encode import render_prompt
from prl_ray.models.named_weights import named_weights
from prl_ray.models.policy import load_policy, probe_logprobs
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import TrajectoryBatch
from tests.trajectories import Sample, batch_of, verdicts_of

PROBE = tuple(range(10, 60))
SAMPLING = Sampling(samples=10, temperature=1.0, max_tokens=100, seed=3)
AT_ONCE = 4
"""Requests that the engine samples together: fewer than the samples of a prompt."""


def sent(version: int) -> SentWeights:
    return SentWeights(version, None, (), np.zeros(0, np.float32))


def test_the_mailbox_keeps_the_order_and_brings_the_answer_back() -> None:
    box, loaded = Mailbox(), []

    def load(weights: SentWeights) -> Served:
        loaded.append(weights.version)
        if weights.version == 2:
            raise ModelError("other weights")
        return Served(weights.version, 0.0, 0.0)

    answers = [box.put(sent(version)) for version in (1, 2, 3)]
    assert not any(answer.done() for answer in answers)
    for mail in box.taken():
        mail.answer(load)
    assert loaded == [1, 2, 3] and list(box.taken()) == []
    assert answers[0].result() == Served(1, 0.0, 0.0) and answers[2].result().version == 3
    with pytest.raises(ModelError, match="other weights"):
        answers[1].result()


def test_versions_of_tokens_by_hand() -> None:
    spans = [WeightVersionSpan("3", 0, 2), WeightVersionSpan("4", 2, 3), WeightVersionSpan("7", 3, 5)]
    output = CompletionOutput(0, "", [5, 6, 7, 8, 9], None, None, weight_versions=spans)
    assert token_versions(output).tolist() == [3, 3, 4, 7, 7]


def test_staleness_by_hand() -> None:
    samples = [Sample(tokens=[1, 2, 3], line_ends=[2]), Sample(tokens=[4], line_ends=[0])]
    batch = replace(batch_of(samples), weight_versions=np.array([2, 2, 4, 5], np.int32))
    experience = Experience(batch, verdicts_of(["passed", "passed"]), Scores(None, None, None))
    assert experience.staleness(5) == {
        "training/staleness_mean": pytest.approx((3 + 3 + 1 + 0) / 4),
        "training/staleness_max": 3.0,
        "training/mixed_versions": 0.5,
    }


@dataclass
class Both:
    """An engine, and two versions of its weights."""

    engine: Handle[Generator]
    models: dict[int, nn.Module]
    sent: dict[int, SentWeights]
    problems: list[Problem]

    def push(self, weights: SentWeights) -> Served:
        return wait(ask_in(WEIGHTS, self.engine, Generator.receive, weights), "the engine", 120)

    def sample(self) -> RefStream[TrajectoryBatch]:
        return ask_stream(self.engine, Generator.generate, self.problems, range(len(self.problems)), SAMPLING)


@pytest.fixture(scope="module")
def both(ray_here: None, base: Path, problems: list[Problem]) -> Iterator[Both]:
    setup = GeneratorSetup(base, "float32", 512, max_num_seqs=AT_ONCE, in_flight=True)
    engine = ray.remote(num_cpus=1, **cast(Any, setup.actor_options))(Generator).remote(setup)
    wait(engine.ready.remote(), "the engine", 300)
    models = {version: load_policy(base, torch.float32) for version in (1, 2)}
    with torch.no_grad():
        for parameter in models[2].parameters():
            parameter.mul_(1.5)
    transport = TransportSetup().open()
    pushed = {
        version: SentWeights(
            version,
            transport.send(version, named_weights(model.state_dict()), torch.float32),
            PROBE,
            probe_logprobs(model, PROBE),
        )
        for version, model in models.items()
    }
    # More than two blocks of the KV cache, which on a CPU have 128 tokens each.
    long = [replace(p, prompt=p.prompt + "".join(f"# {n}\n" for n in range(40))) for p in problems[:3]]
    yield Both(engine, models, pushed, long)
    ray.kill(engine)


def expected(models: dict[int, nn.Module], prompt: np.ndarray, tokens: np.ndarray, first: int) -> np.ndarray:
    """Log-probabilities of a response whose first tokens version 1 sampled, and the others version 2 from then on with
    the KV entries that version 1 had computed: those of all tokens but the last one, which is yet to be read."""
    ids = torch.from_numpy(np.concatenate([prompt, tokens]).astype(np.int64))[None]
    seen = len(prompt) + first - 1 if first else 0
    with torch.no_grad():
        before = models[1](ids[:, : seen + 1], use_cache=True) if first else None
        logits = [] if before is None else [before.logits[0, len(prompt) - 1 : seen]]
        cache = models[1](ids[:, :seen], use_cache=True).past_key_values if first else None
        after = models[2](ids[:, seen:], past_key_values=cache, use_cache=True).logits[0]
    logits.append(after[:-1] if first else after[len(prompt) - 1 : -1])
    rows = torch.log_softmax(torch.cat(logits).float(), -1)
    return cast(np.ndarray, rows[torch.arange(len(tokens)), ids[0, len(prompt) :]].numpy())


def rows(batch: TrajectoryBatch) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Prompt, response, log-probabilities and versions of each sample."""
    for i in range(len(batch)):
        part = slice(batch.token_offsets[i], batch.token_offsets[i + 1])
        prompt = batch.prompt_tokens[batch.prompt_offsets[i] : batch.prompt_offsets[i + 1]]
        yield prompt, batch.tokens[part], batch.logprobs[part], batch.weight_versions[part]


def test_each_token_has_the_version_and_the_log_probability_of_the_weights_that_sampled_it(both: Both) -> None:
    assert both.push(both.sent[1]).version == 1, "an engine that samples nothing loads them too"
    stream = both.sample()
    chunks = [ray.get(next(stream))]
    served = both.push(both.sent[2])
    assert served.version == 2 and served.gap_max < 1e-4
    assert not ray.wait([stream.completed()], timeout=0)[0], "the push did not wait for the rollout"
    chunks += [ray.get(ref) for ref in stream]
    batch = TrajectoryBatch.concat(chunks)
    kinds: dict[tuple[int, ...], set[int]] = {}
    for sample, (prompt, tokens, found, versions) in enumerate(rows(batch)):
        assert (np.diff(versions) >= 0).all()
        kinds.setdefault(tuple(np.unique(versions).tolist()), set()).add(int(batch.prompt_ids[sample]))
        first = int((versions == 1).sum())
        np.testing.assert_allclose(found, expected(both.models, prompt, tokens, first), atol=1e-4)
        if 0 < first < len(tokens):  # one token more or less is seen
            for other in (first - 1, first + 1):
                assert np.abs(found - expected(both.models, prompt, tokens, other)).max() > 1e-2
    assert kinds.keys() == {(1,), (1, 2), (2,)}
    assert len(kinds[1, 2]) <= AT_ONCE
    assert kinds[1, 2] & kinds[(2,)], "a prompt that version 1 had put into the prefix cache"
    assert len(batch) == 3 * SAMPLING.samples


Sampled = dict[int, tuple[list[int], list[float], list[int]]]
"""Tokens, log-probabilities and versions by the number of the request."""


def changed_at(
    generator: Generator, prompt: list[int], weights: SentWeights, step: int, begin: Sequence[int] = (8,)
) -> Sampled:
    """In the actor: samples of one prompt, and new weights after so many steps. ``begin`` requests are added before
    each of the first steps."""
    requests: Requests[int] = Requests(generator.llm, salt="before")
    added = iter(range(sum(begin)))
    counts = iter(begin)
    steps = 0

    def add() -> None:
        for number in itertools.islice(added, next(counts, 0)):
            requests.add(number, prompt, generator._params(replace(SAMPLING, max_tokens=20), seed=number))

    def between() -> None:
        nonlocal steps
        if steps:
            add()
        if steps == step:
            requests.change_weights(lambda: generator.transport.load(generator.llm, weights.ticket), 2, "after")
        steps += 1

    add()
    return {
        number: (
            list(output.token_ids),
            [row[token].logprob for row, token in zip(output.logprobs, output.token_ids, strict=True)],
            token_versions(output).tolist(),
        )
        for number, output in requests.outputs(between)
    }


def changed_with_a_batch_under_way(generator: Generator, prompt: list[int], weights: SentWeights) -> Sampled:
    """The same in an engine with two batches at a time, as engines on GPUs are: while it hands out the tokens of one,
    it has computed the other."""
    engine = generator.llm.llm_engine
    core = engine.engine_core.engine_core
    two = {"batch_queue_size": 2, "batch_queue": deque(maxlen=2), "step_fn": core.step_with_batch_queue}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(engine.vllm_config), "max_concurrent_batches", 2)
        for name, value in two.items():
            patch.setattr(core, name, value)
        return changed_at(generator, prompt, weights, step=9, begin=(2, 2))


def sampled_in(both: Both, sample: Callable[[Generator, list[int], SentWeights], Sampled]) -> Sampled:
    """What ``sample`` returns in the actor, with its log-probabilities checked."""
    both.push(both.sent[1])
    prompt: list[int] = wait(call(both.engine, partial(prompt_of, problem=both.problems[0])), "the prompt", 60)
    found = wait(call(both.engine, lambda generator: sample(generator, prompt, both.sent[2])), "the samples", 120)
    for tokens, logprobs, versions in found.values():
        wanted = expected(both.models, np.array(prompt), np.array(tokens), versions.count(1))
        np.testing.assert_allclose(logprobs, wanted, atol=1e-4)
    return found


def prompt_of(generator: Generator, problem: Problem) -> list[int]:
    return render_prompt(generator.tokenizer, problem)


def test_requests_that_wait_in_the_engine_begin_anew_with_the_new_weights(both: Both) -> None:
    """Five of eight have begun and have five tokens; the three others share no KV entry of the prompt with them."""
    found = sampled_in(both, partial(changed_at, step=5))
    assert sorted(found) == list(range(8))
    for number, (tokens, _, versions) in found.items():
        first = 5 if number < AT_ONCE + 1 else 0
        assert versions == ([1] * first + [2] * 20)[: len(tokens)]


def test_tokens_that_are_under_way_have_the_version_that_computed_them(both: Both) -> None:
    """Of nine steps the first hands out nothing and each later one the tokens of one batch in turn, four each: the
    fifth tokens of the first batch are under way when the weights change."""
    found = sampled_in(both, changed_with_a_batch_under_way)
    assert sorted(found) == [0, 1, 2, 3]
    for number, (tokens, _, versions) in found.items():
        first = 5 if number < 2 else 4
        assert versions == ([1] * first + [2] * 20)[: len(tokens)]


def test_weights_that_prove_wrong_end_the_sampling(both: Both) -> None:
    both.push(both.sent[1])
    stream = both.sample()
    ray.get(next(stream))
    wrong = replace(both.sent[2], probe_logprobs=both.sent[2].probe_logprobs - 0.5)
    with pytest.raises(ModelError, match="version 2 but serves other weights"):
        both.push(wrong)
    with pytest.raises(RayTaskError) as raised:
        for ref in stream:
            assert set(ray.get(ref).weight_versions.tolist()) == {1}
    assert isinstance(raised.value.cause, ModelError)
    with pytest.raises(RayTaskError) as raised:
        ray.get(next(both.sample()))
    assert isinstance(raised.value.cause, OutdatedEngineError)
    assert both.push(both.sent[2]).version == 2
    assert {v for ref in both.sample() for v in ray.get(ref).weight_versions.tolist()} == {2}


class Halting(Loop):
    """While it learns, the engine stands still in the middle of the next rollout, until it is asked to load."""

    def halt(self) -> None:
        engine: Any = self.fleet.generators[0]
        begun = engine.__ray_call__.options(concurrency_group=WEIGHTS)
        deadline = time.monotonic() + 60
        while not ray.get(begun.remote(samples_something)):
            assert time.monotonic() < deadline, "no rollout runs ahead"
        os.kill(ray.get(begun.remote(process_id)), signal.SIGSTOP)

    def _learn(self, rollout: Rollout, number: int) -> dict[str, float]:
        if number + 1 < self.config.loop.steps:
            self.halt()
        return super()._learn(rollout, number)


def samples_something(generator: Generator) -> bool:
    states = generator.llm.llm_engine.output_processor.request_states
    return any(not state.is_prefilling for state in list(states.values()))


def process_id(generator: object) -> int:
    return os.getpid()


@pytest.fixture(scope="module")
def fleet(cycle: Cycle) -> Iterator[Fleet]:
    """The actors of ``cycle`` with another engine."""
    made = Fleet(CLUSTER, SandboxConfig(), "in_flight", say=lambda line: None)
    made.pool, made.scorers, made.learners = cycle.fleet.pool, cycle.fleet.scorers, cycle.fleet.learners
    made.start_verifiers(cycle.problems)
    made.start_generators(replace(generator_setup(cycle.policy, cycle.config), max_num_seqs=2, in_flight=True))
    made.wait_ready()
    yield made
    made.pool, made.scorers, made.learners = None, [], []
    made.close()


@pytest.fixture
def two_steps(cycle: Cycle, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> Callable[[signal.Signals], Any]:
    """Runs two steps; in the push between them the halted engine gets the signal."""

    def run(sent_to_it: signal.Signals) -> Any:
        settings = replace(cycle.config.loop, steps=2, max_staleness=1, in_flight=True, samples_per_prompt=6)
        loop = Halting(replace(cycle.config, loop=settings), fleet, cycle.problems, True)
        start = int(loop.push_weights()["training/weight_version"])
        pid = ray.get(call(fleet.generators[0], process_id))
        load = fleet.engines.load_weights

        def load_in_the_middle(weights: SentWeights) -> list[Served]:
            threading.Timer(0.3, os.kill, (pid, sent_to_it)).start()
            return load(weights)

        with monkeypatch.context() as patch:
            patch.setattr(fleet.engines, "load_weights", load_in_the_middle)
            first = loop.step(0)
        second = loop.step(1)
        loop.close()
        return start, first, second

    return run


def test_two_versions_in_one_sample_when_a_push_comes_in_the_middle_of_a_rollout(two_steps: Any) -> None:
    start, (first, _), (second, rollout) = two_steps(signal.SIGCONT)
    assert first["training/weight_version"] == start + 1 and second["training/weight_version"] == start + 2
    batch = gather(rollout).batch
    versions = {tuple(np.unique(v).tolist()) for *_, v in rows(batch)}
    assert (start, start + 1) in versions and versions <= {(start,), (start, start + 1), (start + 1,)}
    assert len(batch) == 24
    assert first["training/mixed_versions"] == first["training/staleness_max"] == 0.0
    assert second["training/mixed_versions"] > 0 and second["training/staleness_max"] == 1.0
    assert 0 < second["training/staleness_mean"] < 1


def test_an_engine_that_dies_while_it_loads_in_flight_comes_back_with_the_newest_weights(
    two_steps: Any, fleet: Fleet
) -> None:
    lost = fleet.lost["generator"]
    start, (first, _), (_, rollout) = two_steps(signal.SIGKILL)
    assert first["training/weight_version"] == start + 1
    batch = gather(rollout).batch
    assert len(batch) == 24 and set(batch.weight_versions.tolist()) == {start + 1}
    assert fleet.lost["generator"] == lost + 1
