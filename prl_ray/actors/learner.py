"""The PPO learner: one DeepSpeed rank in a Ray actor.

A step is rewards and advantages from the results of sampler, verifiers and scorers in the object store, then clipped
policy and value updates. Every rank reads the same columns (shared memory on one node), computes the cheap ones
(rewards, advantages) whole and the expensive ones (passes of the models) for its own samples; ``sum_over_ranks`` adds
the parts up.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from prl_ray.actors import gauges
from prl_ray.actors.advantage_columns import Given, Shaped, advantage_columns, part_to_read, shaped_rewards
from prl_ray.actors.columns import Columns
from prl_ray.actors.critic import make_critic
from prl_ray.actors.engine import join_group, mean_over_ranks
from prl_ray.actors.finite import SkippedSteps, finite_only
from prl_ray.actors.heap import releasing
from prl_ray.actors.learner_policy import LearnerPolicy
from prl_ray.actors.meeting import RankInfo
from prl_ray.actors.online_prm import PRM_FOLDER, OnlinePrm, OnlinePrmSetup, PrmWeights
from prl_ray.actors.rollout import Experience, Rollout, gather
from prl_ray.actors.stored_samples import filtered_parts, learnt_part
from prl_ray.actors.update_part import UpdatePart
from prl_ray.actors.weights import SentWeights, TransportSetup
from prl_ray.config import AlgorithmConfig, ModelConfig, RewardConfig
from prl_ray.lines import token_ends
from prl_ray.models.output_head import output_head
from prl_ray.models.policy import load_tokenizer
from prl_ray.ppo.collate import PaddedBatch, flat_rows
from prl_ray.ppo.kl import AdaptiveKL, FixedKL
from prl_ray.ppo.losses import LossOutput
from prl_ray.ppo.packing import minibatches, shard
from prl_ray.ppo.policy_losses import PolicyInputs, policy_objective, reads_entropy
from prl_ray.ppo.schedule import learning_rate
from prl_ray.seeds import derive
from prl_ray.tracking.sample_store import SampleStore
from prl_ray.tracking.sample_table import step_table


@dataclass(frozen=True, slots=True)
class LearnerSetup:
    """Settings of one rank."""

    policy: Path
    """Folder of the policy that PPO starts from; also the reference of the KL penalty."""
    critic: Path | None
    """Folder of the trunk of a critic with a trunk of its own; None for a head on the scorer's features."""
    algorithm: AlgorithmConfig
    reward: RewardConfig
    temperature: float
    steps: int
    """PPO steps of the whole run, for the learning rate."""
    dtype: torch.dtype
    seed: int
    probe_tokens: tuple[int, ...]
    transport: TransportSetup = field(default_factory=TransportSetup)
    model: ModelConfig = field(default_factory=ModelConfig)
    """How policy and critic are trained: whole or by adapters."""
    frees_gpu: bool = False
    """Whether engines on the same GPU need the memory that a step has left in torch's cache."""
    prm: OnlinePrmSetup | None = None
    """The PRM that is trained too; None for no such training."""


class Learner:
    """One rank. All ranks get the same calls in the same order."""

    def __init__(self, info: RankInfo, setup: LearnerSetup) -> None:
        join_group(info)
        torch.manual_seed(derive(setup.seed, "critic head"))
        self.info, self.setup = info, setup
        self.transport = setup.transport.open()
        algorithm = setup.algorithm
        self.tokenizer = load_tokenizer(setup.policy)
        adapters = derive(setup.seed, "adapters")
        self.policy = LearnerPolicy(setup.policy, algorithm, setup.model, setup.dtype, info, adapters)
        self.actor, self.forward = self.policy.engine, self.policy.forward
        hidden, seed = self.policy.hidden_size, derive(setup.seed, "critic")
        self.critic = make_critic(setup.critic, hidden, algorithm, setup.model, setup.dtype, info, seed)
        self.prm = OnlinePrm(setup.prm, algorithm, info) if setup.prm else None
        self.kl: FixedKL = (
            AdaptiveKL(algorithm.kl_coef, algorithm.kl_target, algorithm.kl_horizon)
            if algorithm.kl_control == "adaptive" and algorithm.kl_coef > 0
            else FixedKL(algorithm.kl_coef)
        )
        self.skips = SkippedSteps()
        self.version = 0
        self.timings: dict[str, float] = {}
        self._last: tuple[Experience, Columns | None] | None = None
        """The last step, until its samples are written; without columns where it was skipped."""

    def ready(self) -> str:
        """One line about the rank; answers when it can learn."""
        parameters = self.policy.parameters / 1e6
        return f"DeepSpeed rank {self.info.rank} of {self.info.world}, {parameters:.0f}M parameters"

    @releasing
    def step(self, rollout: Rollout, number: int) -> dict[str, float]:
        """PPO step ``number`` (from 0) on one rollout. Returns the step's metrics, the same on every rank.

        A step that meets numbers that are not finite learns nothing from them and is counted. Raises ``NotFiniteError``
        after several such steps in a row.
        """
        self.timings = {}
        experience = gather(rollout)
        self._keep(experience, None)
        if cause := experience.not_finite():
            return finite_only(experience.metrics()) | self.skips.skipped(number, cause)
        columns, metrics = self._columns(experience, number)
        metrics |= experience.staleness(self.version)
        if cause := columns.not_finite():
            return finite_only(metrics) | self.skips.skipped(number, cause)
        self._keep(experience, columns)
        if self.critic is not None:
            with self._timed("update_critic"):
                metrics |= self.critic.update(experience, columns, number)
        if number >= self._warmup:
            with self._timed("update_actor"):
                metrics |= self._update_actor(experience, columns, number)
            self.version += 1
        if self.prm is not None:
            with self._timed("update_prm"):
                metrics |= self.prm.update(experience, number)
        self.kl.update(metrics["actor/kl"], len(experience.batch))
        if self.setup.frees_gpu:
            torch.cuda.empty_cache()
        if self.info.rank == 0:
            gauges.count("learner_steps")
            gauges.show("learner_weight_version", self.version)
        metrics |= {f"timing_s/{name}": seconds for name, seconds in self.timings.items()}
        norms = {role: metrics.get(f"{role}/grad_norm", 0.0) for role in ("critic", "actor", "prm")}
        if wild := [role for role, norm in norms.items() if not math.isfinite(norm)]:
            return finite_only(metrics) | self.skips.skipped(number, f"{wild[0]} gradients")
        return metrics | self.skips.learnt()

    def _columns(self, experience: Experience, number: int) -> tuple[Columns, dict[str, float]]:
        """The inputs of a step's updates, and the metrics that describe it."""
        with self._timed("reward_shaping"):
            shaped = self._rewards(experience, number)
        algorithm, seed = self.setup.algorithm, derive(self.setup.seed, "locator", number)
        part = part_to_read(experience, shaped, algorithm, seed)
        rows = part.all_rows
        mine = rows[shard(part.batch.total_lengths[rows], self.info.world)[self.info.rank]]
        with self._timed("old_log_prob"):
            passes = self.policy.logprobs_and_entropies(part.batch, mine, self.setup.temperature)
            old, entropies = (part.uncut(column) for column in passes)
        with self._timed("ref"):
            found = self.policy.reference_logprobs(part.batch, mine, self.setup.temperature)
            reference = old if found is None else part.uncut(found)
        with self._timed("values"):
            values = np.zeros_like(old) if self.critic is None else self.critic.values(experience, mine)
        with self._timed("adv"):
            given = Given(shaped, old, reference, values, part.read)
            columns = advantage_columns(experience, given, algorithm, self.kl.coefficient, seed)
        counted = columns.mask > 0
        entropy = float(entropies[counted].mean()) if counted.any() else 0.0
        return columns, columns.metrics(experience) | shaped.metrics | {"actor/entropy": entropy}

    def _keep(self, experience: Experience, columns: Columns | None) -> None:
        self._last = (experience, columns) if self.info.rank == 0 else None

    def write_samples(self, rollout: Rollout, number: int, store: SampleStore) -> float:
        """Stores all samples of the last step, filtered prompts included. Returns the seconds. Rank 0 only."""
        start = time.perf_counter()
        assert self._last is not None
        table = step_table(
            [learnt_part(*self._last), *filtered_parts(rollout)],
            lambda prompt, tokens: token_ends(self.tokenizer, tokens, behind=prompt),
            self.tokenizer.decode,
        )
        self._last = None
        store.write(number, table)
        return time.perf_counter() - start

    def weights(self) -> SentWeights | None:
        """Sends the policy's weights to the engines; they load what is returned. Only rank 0 sends and returns it, the
        other ranks of a sharded policy take part."""
        return self.policy.sent(self.transport, self.version, self.setup.probe_tokens)

    def prm_weights(self) -> PrmWeights | None:
        """The weights of the PRM, for the scorers; None without one, and on ranks other than 0."""
        return self.prm.weights() if self.prm is not None else None

    def save(self, folder: Path) -> None:
        """Writes this rank's part of a checkpoint into ``folder``."""
        self.actor.save(folder, "actor")
        if self.critic is not None:
            self.critic.save(folder)
        if self.prm is not None:
            self.prm.save(folder)
        if self.info.rank == 0:
            state = {
                "version": self.version,
                "kl": self.kl.state_dict(),
                "skips": self.skips.state_dict(),
                "prm": self.prm.version if self.prm is not None else 0,
            }
            (folder / "learner.json").write_text(json.dumps(state))

    def restore(self, folder: Path) -> None:
        """Loads a checkpoint, whatever the number of ranks that wrote it."""
        state = json.loads((folder / "learner.json").read_text())
        self.actor.load(folder, "actor")
        if self.critic is not None:
            self.critic.load(folder)
        if self.prm is not None:
            self.prm.load(folder, int(state["prm"]))
        self.version = int(state["version"])
        self.kl.load_state_dict(state["kl"])
        self.skips.load_state_dict(state["skips"])

    def export(self, folder: Path) -> None:
        """Writes the policy as a Hugging Face folder, and the PRM that was trained too below it (``PRM_FOLDER``); every
        rank takes part."""
        self.policy.export(self.tokenizer, folder)
        if self.prm is not None:
            self.prm.export(folder / PRM_FOLDER)

    @property
    def _warmup(self) -> int:
        return self.setup.algorithm.critic_warmup if self.critic is not None else 0

    def _rewards(self, experience: Experience, number: int) -> Shaped:
        setup = self.setup
        return shaped_rewards(experience, setup.reward, setup.algorithm.gamma, derive(setup.seed, "control", number))

    def _update_actor(self, experience: Experience, columns: Columns, number: int) -> dict[str, float]:
        algorithm = self.setup.algorithm
        outputs: list[LossOutput] = []
        norms = []
        rate = learning_rate(
            algorithm.learning_rate,
            number,
            self.setup.steps,
            first=self._warmup,
            warmup=algorithm.warmup_steps,
            decay_to=algorithm.decay_to,
        )
        part = UpdatePart.of(experience.batch, columns, algorithm)
        read = 0
        for rows in self._minibatches(experience, number):
            divisor = columns.weights.divisor(rows)
            chosen = part.rows(rows)
            read += int(part.batch.response_lengths[chosen].sum())
            parts = self.forward.micro_batches(part.batch, chosen, self.info.rank, self.info.world)
            for i, padded in enumerate(parts):
                loss = policy_objective(self._policy_inputs(part, columns, padded), algorithm, columns.kl_coef)
                self.actor.backward(loss.total * experience.share / divisor, last=i == len(parts) - 1)
                outputs.append(loss.detached())
            norms.append(self.actor.step(rate))
        return mean_over_ranks(outputs, self.info.world) | {
            "actor/grad_norm": float(np.mean(norms)),
            "actor/lr": rate,
            "perf/update_tokens": float(read),
        }

    def _policy_inputs(self, part: UpdatePart, columns: Columns, padded: PaddedBatch) -> PolicyInputs:
        """A forward pass of the policy over a micro-batch, and the columns of its tokens."""
        head, with_entropy = output_head(self.actor.module), reads_entropy(self.setup.algorithm)

        def of_targets(hidden: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            states = flat_rows(hidden, padded.predicts)
            temperature = self.setup.temperature
            return head.logprobs(states, padded.targets, temperature=temperature, with_entropy=with_entropy)

        logprobs, entropy = self.forward.read(padded, of_targets)
        return part.inputs(columns, padded.rows, logprobs, entropy)

    def _minibatches(self, experience: Experience, number: int) -> Iterator[np.ndarray]:
        """Shuffled mini-batches of whole prompts, ``algorithm.epochs`` times over."""
        algorithm = self.setup.algorithm
        prompts = np.unique(experience.batch.prompt_ids)
        size = -(-len(prompts) // algorithm.minibatches)
        for epoch in range(algorithm.epochs):
            for chosen in minibatches(len(prompts), size, derive(self.setup.seed, "order", number, epoch)):
                yield np.flatnonzero(np.isin(experience.batch.prompt_ids, prompts[chosen]))

    @contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.timings[phase] = time.perf_counter() - start
