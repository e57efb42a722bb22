"""A tiny Llama goes through vLLM, verifiers, PRM and DeepSpeed, and its new weights back into vLLM."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import ray
import torch
from tiny_run import Cycle, Step, sent_by, weights_of

from prl_ray.actors.generator import Sampling
from prl_ray.actors.rollout import Experience, gather
from prl_ray.actors.transports.object_store import Stored
from prl_ray.actors.waiting import wait
from prl_ray.errors import ModelError
from prl_ray.lines import segment
from prl_ray.loop import Loop
from prl_ray.models.policy import load_policy, load_tokenizer
from prl_ray.models.reward_model import head_logits, load_reward_model, probabilities
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.sampling import sample
from prl_ray.tracking.sample_store import SampleStore
from prl_ray.trajectory import TrajectoryBatch

SAMPLING = Sampling(samples=2, temperature=1.0, max_tokens=48, seed=11)


def sampled(cycle: Cycle, problems: Any = None, sampling: Sampling = SAMPLING) -> TrajectoryBatch:
    rollout = sample(cycle.fleet, problems or cycle.problems[:3], sampling, 120).rollout
    return gather(rollout).batch


@pytest.fixture(scope="module")
def experience(step: Step) -> Experience:
    return gather(step.rollout)


def plain_logprobs(folder: Path, batch: TrajectoryBatch) -> np.ndarray:
    """One forward pass per sample, no packing, no padding."""
    model = load_policy(folder, torch.float32)
    out = []
    for i in range(len(batch)):
        prompt = batch.prompt_tokens[batch.prompt_offsets[i] : batch.prompt_offsets[i + 1]]
        response = batch.tokens[batch.token_offsets[i] : batch.token_offsets[i + 1]].astype(np.int64)
        ids = torch.from_numpy(np.concatenate([prompt, response]).astype(np.int64))[None]
        with torch.no_grad():
            logits = model(ids).logits[0, len(prompt) - 1 : -1].float()
        out.append(torch.log_softmax(logits, -1).gather(-1, torch.from_numpy(response)[:, None])[:, 0].numpy())
    return np.concatenate(out)


def test_the_driver_holds_refs_only(step: Step) -> None:
    refs = [*step.rollout.chunks, *step.rollout.verdicts, *step.rollout.scores]
    assert len(step.rollout.chunks) == len(step.rollout.verdicts) == 4
    assert all(isinstance(ref, ray.ObjectRef) for ref in refs)


def test_every_sample_comes_through(cycle: Cycle, experience: Experience) -> None:
    batch = experience.batch
    loop = cycle.config.loop
    assert len(batch) == loop.prompts_per_step * loop.samples_per_prompt
    assert batch.prompt_ids.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert set(batch.weight_versions.tolist()) == {0}
    assert experience.verdicts.valid.all()
    assert experience.verdicts.ok.any(), "the policy knows these problems by heart"
    assert (experience.verdicts.total == [len(_suite(cycle, t)) for t in batch.task_ids]).all()


def _suite(cycle: Cycle, task_id: str) -> list[Any]:
    suite = next(p.tests for p in cycle.problems if p.task_id == task_id)
    return [None] * suite.total


def test_programs_and_line_ends_belong_to_the_tokens(cycle: Cycle, experience: Experience) -> None:
    tokenizer = load_tokenizer(cycle.policy)
    batch = experience.batch
    problems = {p.task_id: p for p in cycle.problems}
    for i in range(len(batch)):
        tokens = batch.tokens[batch.token_offsets[i] : batch.token_offsets[i + 1]].tolist()
        ends = batch.line_ends[batch.line_offsets[i] : batch.line_offsets[i + 1]].tolist()
        finished = bool(batch.finished[i])
        assert finished == (tokens[-1] == tokenizer.eos_token_id)
        body = tokens[:-1] if finished else tokens
        prefix = problems[batch.task_ids[i]].code_prefix
        assert batch.programs[i] == prefix + tokenizer.decode(body)
        if finished:
            assert ends.pop() == len(body)
        lines = [line for line in segment(batch.programs[i]) if line.end > len(prefix)]
        assert len(ends) == len(lines)
        for end, line in zip(ends, lines, strict=True):
            assert (
                len(prefix + tokenizer.decode(body[:end])) < line.end <= len(prefix + tokenizer.decode(body[: end + 1]))
            )


def test_sampler_learner_and_plain_transformers_agree(cycle: Cycle, step: Step, experience: Experience) -> None:
    assert step.metrics["training/rollout_logprob_gap_max"] < 1e-3
    plain = plain_logprobs(cycle.policy, experience.batch)
    np.testing.assert_allclose(experience.batch.logprobs, plain, atol=1e-3)


def test_line_scores_are_the_reward_models(cycle: Cycle, experience: Experience) -> None:
    model = load_reward_model(cycle.prm, torch.float32)
    batch = experience.batch
    for i in range(len(batch)):
        prompt = batch.prompt_tokens[batch.prompt_offsets[i] : batch.prompt_offsets[i + 1]]
        response = batch.tokens[batch.token_offsets[i] : batch.token_offsets[i + 1]]
        ends = batch.line_ends[batch.line_offsets[i] : batch.line_offsets[i + 1]]
        ids = torch.from_numpy(np.concatenate([prompt, response]).astype(np.int64))[None]
        with torch.no_grad():
            hidden = model.base_model(ids).last_hidden_state[0]
            at = torch.from_numpy(len(prompt) + ends.astype(np.int64))
            p = probabilities(model, head_logits(model, hidden[at])).numpy()
        found = experience.scores.line_scores[batch.line_offsets[i] : batch.line_offsets[i + 1]]
        np.testing.assert_allclose(found, p, atol=1e-4)
    assert experience.scores.features.shape == (len(batch.tokens), 64)


def test_rewards_are_the_shapings(cycle: Cycle, step: Step, experience: Experience) -> None:
    reward = cycle.config.reward
    totals = SHAPINGS.find(reward.name)(
        RewardInputs(experience.batch, experience.verdicts, experience.scores.line_scores, None, reward)
    )
    expected = np.add.reduceat(totals, experience.batch.token_offsets[:-1]).mean()
    assert step.metrics["critic/rewards/mean"] == pytest.approx(float(expected), abs=1e-5)


def test_all_samples_of_a_step_are_stored(cycle: Cycle, step: Step, experience: Experience, tmp_path: Path) -> None:
    store = SampleStore(tmp_path / "samples")
    wait(cycle.fleet.learners[0].write_samples.remote(step.rollout, 0, store), "samples", 60)
    table, batch = store.read(0), experience.batch
    assert table.column("task_id").to_pylist() == list(batch.task_ids)
    assert table.column("program").to_pylist() == list(batch.programs)
    assert np.concatenate(table.column("tokens").to_pylist()).tolist() == batch.tokens.tolist()
    np.testing.assert_allclose(np.concatenate(table.column("logprob").to_pylist()), batch.logprobs)
    rewards = table.column("total_reward").to_pylist()
    assert step.metrics["critic/rewards/mean"] == pytest.approx(float(np.mean(rewards)), abs=1e-5)
    for row in table.to_pylist():
        ends, program = row["token_ends"], row["program"]
        assert [ends[t] for t in row["line_tokens"]] == row["line_ends"] or "\ufffd" in program
        assert row["tests"].count("p") == row["passed"] and len(row["tests"]) == row["total"]
        assert sum(row["loss_weight"]) >= 0 and len(row["advantage"]) == len(row["tokens"])


def test_metrics_have_the_names_of_the_field(step: Step) -> None:
    names = """critic/score/mean critic/rewards/mean critic/advantages/mean critic/vf_loss critic/vf_explained_var
    actor/pg_loss actor/pg_clipfrac actor/ppo_kl actor/entropy actor/kl_coef response_length/mean response_length/max
    response_length/min response_length/clip_ratio timing_s/step timing_s/gen timing_s/reward timing_s/old_log_prob
    timing_s/ref timing_s/values timing_s/adv timing_s/update_actor timing_s/update_critic timing_s/update_weights
    perf/throughput perf/total_num_tokens training/rollout_probs_diff_mean training/rollout_probs_diff_max"""
    assert set(names.split()) <= step.metrics.keys()
    assert all(np.isfinite(v) for name, v in step.metrics.items() if not name.startswith("critic/vf_explained"))


def test_a_step_changes_what_is_served(cycle: Cycle, step: Step) -> None:
    assert step.metrics["training/weight_version"] == 1
    assert step.metrics["training/served_logprob_gap_max"] < 1e-3
    packed = weights_of(cycle.fleet.learners[0])
    old = load_policy(cycle.policy, torch.float32).state_dict()
    assert max(float(np.abs(a - old[name].numpy()).max()) for name, a in packed.arrays.items()) > 5e-5
    batch = sampled(cycle)
    assert set(batch.weight_versions.tolist()) == {1}
    gap = np.abs(batch.logprobs - plain_logprobs(cycle.policy, batch))
    assert gap.max() > 1e-3, "the engine still serves the first weights"


def test_what_is_exported_is_what_is_served(cycle: Cycle, step: Step, tmp_path: Path) -> None:
    folder = tmp_path / "exported"
    wait(cycle.fleet.learners[0].export.remote(folder), "the export", 60)
    cycle.loop.push_weights()
    pushed = sampled(cycle)
    np.testing.assert_allclose(pushed.logprobs, plain_logprobs(folder, pushed), atol=1e-3)
    assert cycle.fleet.engines.load_folder(folder, -5) == [-5]
    loaded = sampled(cycle)
    assert loaded.programs == pushed.programs
    np.testing.assert_allclose(loaded.logprobs, pushed.logprobs, atol=1e-5)
    assert set(loaded.weight_versions.tolist()) == {-5}
    cycle.loop.push_weights()


def test_tied_embeddings_travel_under_both_names(cycle: Cycle) -> None:
    sent, packed = sent_by(cycle.fleet.learners[0]), weights_of(cycle.fleet.learners[0])
    ticket = cast("Stored", sent.ticket)
    assert ticket.aliases == {"lm_head.weight": "model.embed_tokens.weight"}
    # Double the embedding: an engine that goes on with its old output head would be far off.
    doubled = {n: a * 2 if n == "model.embed_tokens.weight" else a for n, a in packed.arrays.items()}
    put = ray.put(replace(packed, arrays=doubled))
    bad = replace(sent, version=99, ticket=replace(ticket, parts=(put,)))
    with pytest.raises(ModelError, match="version 99 but serves other weights"):
        wait(cycle.fleet.generators[0].load.remote(bad), "the engine", 60)
    again = cycle.loop.push_weights()
    assert again["training/served_logprob_gap_max"] < 1e-3


def test_wrong_weights_are_noticed_and_not_served_as_a_version(cycle: Cycle) -> None:
    sent, packed = sent_by(cycle.fleet.learners[0]), weights_of(cycle.fleet.learners[0])
    name = next(n for n in packed.arrays if "mlp.down_proj" in n)
    wrong = replace(packed, arrays={**packed.arrays, name: -3 * packed.arrays[name]})
    bad = replace(sent, version=99, ticket=replace(cast("Stored", sent.ticket), parts=(ray.put(wrong),)))
    with pytest.raises(ModelError, match="log-probabilities are off by"):
        wait(cycle.fleet.generators[0].load.remote(bad), "the engine", 60)
    assert 99 not in sampled(cycle).weight_versions
    assert cycle.loop.push_weights()["training/weight_version"] == sent.version


def test_the_same_seed_gives_the_same_samples(cycle: Cycle) -> None:
    first, second = sampled(cycle), sampled(cycle)
    assert first.programs == second.programs
    assert first.logprobs.tolist() == second.logprobs.tolist()
    other = sampled(cycle, sampling=replace(SAMPLING, seed=12))
    assert other.programs != first.programs
    alone = sampled(cycle, problems=cycle.problems[:1])
    assert alone.programs == first.programs[:2]


def test_greedy_takes_the_likeliest_token(cycle: Cycle) -> None:
    cycle.fleet.engines.load_folder(cycle.policy, -2)
    batch = sampled(cycle, sampling=Sampling(1, 0.0, 24, 1))
    cycle.loop.push_weights()
    model = load_policy(cycle.policy, torch.float32)
    for i in range(len(batch)):
        prompt = batch.prompt_tokens[batch.prompt_offsets[i] : batch.prompt_offsets[i + 1]]
        response = batch.tokens[batch.token_offsets[i] : batch.token_offsets[i + 1]]
        ids = torch.from_numpy(np.concatenate([prompt, response]).astype(np.int64))[None]
        with torch.no_grad():
            logits = model(ids).logits[0, len(prompt) - 1 : -1]
        chosen = logits.gather(-1, torch.from_numpy(response.astype(np.int64))[:, None])[:, 0]
        assert (logits.max(-1).values - chosen).max() < 1e-3


def test_prompts_of_a_step_depend_on_its_number_only(cycle: Cycle) -> None:
    steps = [[p.task_id for p in cycle.loop.prompts(n)] for n in range(3)]
    assert [[p.task_id for p in cycle.loop.prompts(n)] for n in range(3)] == steps
    # six problems, four a step: three steps are two whole passes
    taken = [t for step in steps for t in step]
    assert sorted(taken[:6]) == sorted(taken[6:]) == sorted(p.task_id for p in cycle.problems)


def test_rollouts_ahead_keep_the_version_that_sampled_them(cycle: Cycle) -> None:
    """With ``max_staleness=1`` the next rollout is begun before the weights change; the step after is never older."""
    start = int(cycle.loop.push_weights()["training/weight_version"])
    config = replace(cycle.config, loop=replace(cycle.config.loop, steps=13, max_staleness=1))
    ahead = Loop(config, cycle.fleet, cycle.problems, True)
    versions = []
    for number in range(10, 13):
        metrics, rollout = ahead.step(number)
        versions.append(set(gather(rollout).batch.weight_versions.tolist()))
        assert metrics["training/weight_version"] == start + number - 9
    assert all(len(v) == 1 for v in versions)
    lag = [start + i - next(iter(v)) for i, v in enumerate(versions)]
    assert lag == [0, 1, 1]
