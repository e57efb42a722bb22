"""The PPO learner: one DeepSpeed rank in a Ray actor.

A step is rewards and advantages from what sampler, verifiers and scorers left in the object store, then clipped policy
and value updates. Every rank reads the same columns (shared memory on one node), computes the cheap ones (rewards,
advantages) whole and the expensive ones (passes of the models) for its own samples; ``_gather`` adds the parts up.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import ray
import torch

from prl_ray.actors.engine import Engine, EngineSettings, RankInfo, all_reduce_max, all_reduce_sum, join_group
from prl_ray.actors.forward import Forward, logprobs
from prl_ray.actors.rollout import Experience, Rollout, gather
from prl_ray.actors.weights import PackedWeights, pack
from prl_ray.config import AlgorithmConfig, RewardConfig
from prl_ray.models.policy import check_head, load_policy, load_tokenizer, save_model
from prl_ray.models.value_head import ValueHead
from prl_ray.ppo.advantages import (
    AdvantageInputs,
    estimate,
    explained_variance,
    less_group_mean,
    mean_var,
    moments,
    sample_totals,
    whiten,
)
from prl_ray.ppo.collate import flat_rows, token_rows
from prl_ray.ppo.kl import AdaptiveKL, FixedKL, penalise
from prl_ray.ppo.logprobs import token_logprobs
from prl_ray.ppo.losses import (
    LossOutput,
    entropy_loss,
    importance_weights,
    mean_metrics,
    policy_loss,
    rollout_diff,
    value_loss,
)
from prl_ray.ppo.packing import minibatches, shard
from prl_ray.rewards.controls import CONTROLS
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.metrics import hack_metrics
from prl_ray.rewards.shaping import shaping_named
from prl_ray.tracking import SampledProgram, sampled_programs


@dataclass(frozen=True, slots=True)
class LearnerSetup:
    """What a rank needs to start."""

    policy: Path
    """Folder of the policy that PPO starts from; also the reference of the KL penalty."""
    critic: Path | None
    """Folder of the trunk of a critic with a trunk of its own; None for a head on the scorer's features."""
    algorithm: AlgorithmConfig
    reward: RewardConfig
    temperature: float
    dtype: torch.dtype
    seed: int
    probe_tokens: tuple[int, ...]


class Learner:
    """One rank. All ranks get the same calls in the same order."""

    def __init__(self, info: RankInfo, setup: LearnerSetup) -> None:
        join_group(info)
        torch.manual_seed(setup.seed)
        self.info, self.setup = info, setup
        algorithm = setup.algorithm
        self.tokenizer = load_tokenizer(setup.policy)
        policy = load_policy(setup.policy, setup.dtype)
        check_head(policy)
        self.actor = Engine(policy, self._settings(algorithm.learning_rate, setup.dtype), info.world)
        self.forward = Forward(policy, algorithm.micro_batch_tokens)
        self.reference = None
        if algorithm.kl_coef > 0:
            reference = load_policy(setup.policy, setup.dtype).requires_grad_(False)
            self.reference = Forward(reference.to(self.forward.device), algorithm.micro_batch_tokens)
        self.critic = self._make_critic(int(policy.config.hidden_size))
        self.kl: FixedKL = (
            AdaptiveKL(algorithm.kl_coef, algorithm.kl_target, algorithm.kl_horizon)
            if algorithm.kl_control == "adaptive" and algorithm.kl_coef > 0
            else FixedKL(algorithm.kl_coef)
        )
        self.version = 0
        self.timings: dict[str, float] = {}

    def ready(self) -> str:
        """Returns a line about the rank once it can learn."""
        parameters = sum(p.numel() for p in self.actor.module.parameters())
        return f"DeepSpeed rank {self.info.rank} of {self.info.world}, {parameters / 1e6:.0f}M parameters"

    def step(self, rollout: Rollout, number: int) -> dict[str, float]:
        """PPO step ``number`` (from 0) on one rollout. Returns the step's metrics, the same on every rank."""
        self.timings = {}
        experience = gather(rollout)
        with self._timed("reward_shaping"):
            rewards, counted = self._rewards(experience, number)
        mine = shard(experience.batch.total_lengths, self.info.world)[self.info.rank]
        with self._timed("old_log_prob"):
            old = self._gather(logprobs(self.forward, experience.batch, mine, self.setup.temperature))
        with self._timed("ref"):
            reference = old
            if self.reference is not None:
                reference = self._gather(logprobs(self.reference, experience.batch, mine, self.setup.temperature))
        with self._timed("values"):
            values = self._values(experience, mine)
        with self._timed("adv"):
            columns = self._columns(experience, rewards, counted, old, reference, values)
        metrics = columns.metrics(experience)
        if self.critic is not None:
            with self._timed("update_critic"):
                metrics |= self._update_critic(experience, columns, number)
        if number >= self._warmup:
            with self._timed("update_actor"):
                metrics |= self._update_actor(experience, columns, number)
            self.version += 1
        self.kl.update(metrics["actor/kl"], len(experience.batch))
        return metrics | {f"timing_s/{name}": seconds for name, seconds in self.timings.items()}

    def samples(self, rollout: Rollout, number: int, count: int) -> list[SampledProgram]:
        """Some programs of a rollout with a score and a reward a line, for a table; spread evenly over the prompts."""
        experience = gather(rollout)
        chosen = np.linspace(0, len(experience.batch) - 1, min(count, len(experience.batch))).astype(int)
        line_scores = experience.scores.line_scores if len(experience.scores.line_scores) else None
        rewards, _ = self._rewards(experience, number)
        return sampled_programs(experience.batch, experience.verdicts, line_scores, rewards, list(chosen))

    def weights(self) -> list[Any]:
        """The ref of the policy's ``PackedWeights``, in a list; rank 0 only, others return nothing."""
        if self.info.rank:
            return []
        arrays, dtypes, aliases = pack(self.actor.module.state_dict(), self.setup.dtype)
        packed = PackedWeights(
            self.version, arrays, dtypes, aliases, self.setup.probe_tokens, self._probe(self.setup.probe_tokens)
        )
        return [ray.put(packed)]

    def save(self, folder: Path) -> None:
        """Writes this rank's part of a checkpoint into ``folder``."""
        self.actor.save(folder, "actor")
        if self.critic is not None:
            self.critic.save(folder, "critic")
        if self.info.rank == 0:
            state = {"version": self.version, "kl": self.kl.state_dict(), "world": self.info.world}
            (folder / "learner.json").write_text(json.dumps(state))

    def restore(self, folder: Path) -> None:
        """Takes up a checkpoint; the number of ranks must be the one that wrote it."""
        from prl_ray.errors import CheckpointError

        state = json.loads((folder / "learner.json").read_text())
        if state["world"] != self.info.world:
            raise CheckpointError(
                f"{folder} was written by {state['world']} learner ranks, this run has {self.info.world}; give it "
                f"cluster.learners={state['world']}"
            )
        self.actor.load(folder, "actor")
        if self.critic is not None:
            self.critic.load(folder, "critic")
        self.version = int(state["version"])
        self.kl.load_state_dict(state["kl"])

    def export(self, folder: Path) -> None:
        """Writes the policy as a Hugging Face folder; rank 0 only."""
        if self.info.rank == 0:
            save_model(self.actor.module, self.tokenizer, folder)

    @property
    def _warmup(self) -> int:
        return self.setup.algorithm.critic_warmup if self.critic is not None else 0

    def _settings(self, learning_rate: float, dtype: torch.dtype) -> EngineSettings:
        algorithm = self.setup.algorithm
        return EngineSettings(
            learning_rate=learning_rate,
            max_grad_norm=algorithm.max_grad_norm,
            zero_stage=algorithm.zero_stage,
            dtype=dtype,
        )

    def _make_critic(self, hidden: int) -> Engine | None:
        from prl_ray.actors.critic import TrunkCritic

        algorithm = self.setup.algorithm
        if algorithm.estimator != "gae":
            return None
        if self.setup.critic is None:
            # A small head learns in float32 whatever its features come in.
            return Engine(
                ValueHead(hidden), self._settings(algorithm.critic_learning_rate, torch.float32), self.info.world
            )
        critic = TrunkCritic(load_policy(self.setup.critic, self.setup.dtype))
        return Engine(critic, self._settings(algorithm.critic_learning_rate, self.setup.dtype), self.info.world)

    def _rewards(self, experience: Experience, number: int) -> tuple[np.ndarray, np.ndarray]:
        """Rewards, float32 ``[tokens]``, without the KL penalty; and which tokens count, bool ``[tokens]``."""
        reward = self.setup.reward
        shaping = shaping_named(reward.name)
        batch, verdicts, scores = experience.batch, experience.verdicts, experience.scores
        line_scores = scores.line_scores if len(scores.line_scores) else None
        orm_scores = scores.orm_scores if len(scores.orm_scores) else None
        params = reward.params(self.setup.algorithm.gamma)
        counted = shaping.counted(batch, verdicts, line_scores, params)
        if reward.control == "none":
            return shaping(batch, verdicts, line_scores, orm_scores, params), counted
        inputs = RewardInputs(batch, verdicts, line_scores, orm_scores, params)
        return CONTROLS[reward.control](shaping, inputs, np.random.default_rng([self.setup.seed, number])), counted

    def _columns(
        self,
        experience: Experience,
        rewards: np.ndarray,
        counted: np.ndarray,
        old: np.ndarray,
        reference: np.ndarray,
        values: np.ndarray,
    ) -> Columns:
        algorithm = self.setup.algorithm
        penalised, kl = penalise(rewards, old, reference, self.kl.coefficient)
        batch, valid = experience.batch, experience.verdicts.valid
        inputs = AdvantageInputs(
            penalised, batch.token_offsets, batch.prompt_ids, values, valid, gamma=algorithm.gamma, lam=algorithm.lam
        )
        if algorithm.estimator == "gae" and algorithm.group_baseline:
            inputs = replace(inputs, rewards=less_group_mean(inputs))
        advantages, returns = estimate(algorithm.estimator, inputs)
        if algorithm.whiten:
            mean, var = mean_var(moments(advantages, counted))
            advantages = np.where(counted, whiten(advantages, mean, var), 0).astype(np.float32)
        return Columns(rewards, kl, self.kl.coefficient, old, values, advantages, returns, counted.astype(np.float32))

    def _values(self, experience: Experience, mine: np.ndarray) -> np.ndarray:
        """float32 ``[tokens]``; zeros without a critic."""
        out = np.zeros(len(experience.batch.tokens), dtype=np.float32)
        if self.critic is None:
            return out
        if self.setup.critic is None:
            with torch.no_grad():
                features = torch.from_numpy(experience.scores.features.astype(np.float32))
                return self.critic.module(features.to(self.critic.device)).float().cpu().numpy()
        forward = Forward(self.critic.module, self.setup.algorithm.micro_batch_tokens)
        for padded, hidden in forward.each(experience.batch, mine):
            predicted = self.critic.module.value(flat_rows(hidden, padded.predicts))  # type: ignore[operator]
            out[experience.tokens_of(padded.rows)] = predicted.float().cpu().numpy()
        return self._gather(out)

    def _update_actor(self, experience: Experience, columns: Columns, number: int) -> dict[str, float]:
        algorithm = self.setup.algorithm
        batch = experience.batch
        sampled = batch.logprobs
        head: Any = self.actor.module.get_output_embeddings()  # type: ignore[operator]
        outputs: list[LossOutput] = []
        norms = []
        widest = 0.0
        rate = algorithm.learning_rate * min(1.0, (number - self._warmup + 1) / max(1, algorithm.warmup_steps))
        for rows in self._minibatches(experience, number):
            total = max(float(columns.mask[experience.tokens_of(rows)].sum()), 1.0)
            parts = self.forward.micro_batches(batch, rows, self.info.rank, self.info.world)
            for i, padded in enumerate(parts):

                def of(column: np.ndarray, rows: np.ndarray = padded.rows) -> torch.Tensor:
                    return token_rows(batch.token_offsets, rows, column).to(self.forward.device)

                states = flat_rows(self.forward.hidden(padded), padded.predicts)
                new, entropy = token_logprobs(
                    states, head.weight, padded.targets, bias=head.bias, temperature=self.setup.temperature
                )
                weights = of(columns.mask)
                old = of(columns.old)
                loss = policy_loss(
                    new,
                    old,
                    of(columns.advantages),
                    weights,
                    clip_low=algorithm.clip_low,
                    clip_high=algorithm.clip_high,
                    behaviour=importance_weights(old, of(sampled), algorithm.is_cap) if algorithm.is_cap > 0 else None,
                ) + entropy_loss(entropy, weights, algorithm.entropy_coef)
                self.actor.backward(loss.total / total, last=i == len(parts) - 1)
                outputs.append(LossOutput(loss.total.detach(), loss.weight, loss.sums))
                widest = max(widest, float((new.detach() - old).abs().max()) if len(new) else 0.0)
            norms.append(self.actor.step(rate))
        if self.info.world > 1:  # a largest value cannot travel with the sums
            widest = all_reduce_max(widest)
        return self._mean(outputs) | {
            "actor/grad_norm": float(np.mean(norms)),
            "actor/log_ratio_max": widest,
            "actor/lr": rate,
        }

    def _update_critic(self, experience: Experience, columns: Columns, number: int) -> dict[str, float]:
        assert self.critic is not None
        algorithm = self.setup.algorithm
        batch = experience.batch
        outputs: list[LossOutput] = []
        features = torch.from_numpy(experience.scores.features) if self.setup.critic is None else None
        forward = None if features is not None else Forward(self.critic.module, algorithm.micro_batch_tokens)
        for epoch in range(algorithm.critic_epochs):
            for rows in minibatches(
                len(batch), -(-len(batch) // algorithm.minibatches), [self.setup.seed, number, epoch]
            ):
                total = max(float(columns.mask[experience.tokens_of(rows)].sum()), 1.0)
                parts = self._critic_parts(forward, experience, rows)
                for i, (of_rows, predict) in enumerate(parts):

                    def of(column: np.ndarray, rows: np.ndarray = of_rows) -> torch.Tensor:
                        return token_rows(batch.token_offsets, rows, column).to(self.forward.device)

                    loss = value_loss(
                        predict(),
                        of(columns.values),
                        of(columns.returns),
                        of(columns.mask),
                        clip=algorithm.value_clip or None,
                    )
                    self.critic.backward(loss.total / total, last=i == len(parts) - 1)
                    outputs.append(LossOutput(loss.total.detach(), loss.weight, loss.sums))
                self.critic.step()
        return self._mean(outputs)

    def _critic_parts(self, forward: Forward | None, experience: Experience, rows: np.ndarray) -> list[Any]:
        """``(samples, function that predicts the values of their tokens)`` of each micro-batch of this rank."""
        assert self.critic is not None
        module: Any = self.critic.module
        if forward is None:
            mine = rows[shard(experience.batch.response_lengths[rows], self.info.world)[self.info.rank]]
            features = experience.scores.features[experience.tokens_of(mine)].astype(np.float32)
            return [(mine, lambda: module(torch.from_numpy(features).to(self.critic.device)))]
        parts = forward.micro_batches(experience.batch, rows, self.info.rank, self.info.world)
        return [(p.rows, lambda p=p: module.value(flat_rows(forward.hidden(p), p.predicts))) for p in parts]

    def _minibatches(self, experience: Experience, number: int) -> Iterator[np.ndarray]:
        """Shuffled mini-batches of whole prompts, ``algorithm.epochs`` times over."""
        algorithm = self.setup.algorithm
        prompts = np.unique(experience.batch.prompt_ids)
        size = -(-len(prompts) // algorithm.minibatches)
        for epoch in range(algorithm.epochs):
            for chosen in minibatches(len(prompts), size, [self.setup.seed, number, epoch]):
                yield np.flatnonzero(np.isin(experience.batch.prompt_ids, prompts[chosen]))

    def _probe(self, tokens: Sequence[int]) -> np.ndarray:
        from prl_ray.models.policy import head_logits, hidden_states

        ids = torch.tensor([list(tokens)], device=self.forward.device)
        with torch.no_grad():
            logits = head_logits(self.actor.module, hidden_states(self.actor.module, ids))[0, :-1].float()
        return torch.log_softmax(logits / 1.0, -1).gather(-1, ids[0, 1:, None])[:, 0].cpu().numpy()

    def _gather(self, column: np.ndarray) -> np.ndarray:
        """Adds up the ranks' parts of a column that is zero outside a rank's own samples."""
        return column if self.info.world == 1 else all_reduce_sum(column).astype(np.float32)

    def _mean(self, outputs: list[LossOutput]) -> dict[str, float]:
        """Metrics over all micro-batches of all ranks."""
        names = list(outputs[0].sums) if outputs else []
        sums = np.array([[o.weight, *(o.sums[n] for n in names)] for o in outputs]).sum(0)
        if self.info.world > 1:
            sums = all_reduce_sum(sums)
        zero = torch.zeros(())
        return mean_metrics([LossOutput(zero, float(sums[0]), dict(zip(names, map(float, sums[1:]), strict=True)))])

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timings[phase] = time.perf_counter() - start


@dataclass(frozen=True, slots=True)
class Columns:
    """What the updates read, all float32 ``[tokens]`` but the coefficient."""

    rewards: np.ndarray
    kl: np.ndarray
    kl_coef: float
    old: np.ndarray
    values: np.ndarray
    advantages: np.ndarray
    returns: np.ndarray
    mask: np.ndarray
    """1 where a token counts in losses: its sample has a verdict, and the reward trains on it; else 0."""

    def metrics(self, experience: Experience) -> dict[str, float]:
        """The step's figures before any update, under verl's names."""
        counted = self.mask > 0
        totals = sample_totals(self.rewards, experience.batch.token_offsets)
        sample_kl = sample_totals(self.kl, experience.batch.token_offsets)
        valid = experience.verdicts.valid
        sampled = experience.batch.logprobs
        gap = rollout_diff(torch.from_numpy(self.old), torch.from_numpy(np.ascontiguousarray(sampled)))
        return {
            **experience.metrics(),
            "critic/rewards/mean": float(totals[valid].mean()) if valid.any() else 0.0,
            "critic/advantages/mean": float(self.advantages[counted].mean()) if counted.any() else 0.0,
            "critic/advantages/max": float(self.advantages.max(initial=0.0)),
            "critic/advantages/min": float(self.advantages.min(initial=0.0)),
            "critic/returns/mean": float(self.returns[counted].mean()) if counted.any() else 0.0,
            "critic/values/mean": float(self.values[counted].mean()) if counted.any() else 0.0,
            "critic/vf_explained_var": explained_variance(self.values[counted], self.returns[counted]),
            "actor/kl": float(self.kl[counted].mean()) if counted.any() else 0.0,
            "actor/kl_per_sample": float(sample_kl.mean()),
            "actor/kl_coef": self.kl_coef,
            **gap,
            "training/rollout_logprob_gap_mean": float(np.abs(self.old - sampled).mean()),
            "training/rollout_logprob_gap_max": float(np.abs(self.old - sampled).max(initial=0.0)),
            **hack_metrics(experience.batch),
        }
