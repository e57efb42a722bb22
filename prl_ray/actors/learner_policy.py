"""The policy of one learner rank: the engine that trains it, its reference, and its weights on their way out."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import nn
from transformers import PreTrainedTokenizerBase

from prl_ray.actors.engine import Engine, engine_settings, sum_over_ranks
from prl_ray.actors.forward import Forward, logprobs, logprobs_and_entropies
from prl_ray.actors.meeting import RankInfo
from prl_ray.actors.weights import SentWeights, WeightTransport
from prl_ray.config import AlgorithmConfig, ModelConfig
from prl_ray.models.adapters import is_adapted, prepare_training, use_attention, without_adapters
from prl_ray.models.policy import check_head, load_policy, probe_logprobs
from prl_ray.models.saving import save_model
from prl_ray.trajectory import TrajectoryBatch


class LearnerPolicy:
    """All ranks make the same calls in the same order: a sharded policy is gathered by all of them."""

    def __init__(
        self,
        folder: Path,
        algorithm: AlgorithmConfig,
        model: ModelConfig,
        dtype: torch.dtype,
        info: RankInfo,
        seed: int,
    ) -> None:
        self.info, self.dtype = info, dtype
        policy = load_policy(folder, dtype)
        check_head(policy)
        prepare_training(policy, model, seed, folder)
        self.forward = Forward(policy, algorithm.micro_batch_tokens, packed=algorithm.packed)
        self.hidden_size = int(policy.config.hidden_size)
        self.parameters = sum(p.numel() for p in policy.parameters())
        self.engine = Engine(policy, engine_settings(algorithm, algorithm.learning_rate, dtype), info.world)
        self.forward.through(self.engine)
        self._reference: Forward | None = None
        if algorithm.kl_coef > 0:
            self._reference = self.forward
            if not is_adapted(policy):
                frozen = load_policy(folder, dtype)
                use_attention(frozen, model.attention)
                frozen = frozen.requires_grad_(False).to(self.engine.device)
                self._reference = Forward(frozen, algorithm.micro_batch_tokens, packed=algorithm.packed)

    @property
    def module(self) -> nn.Module:
        """The causal LM, adapters included."""
        return self.engine.module

    def logprobs_and_entropies(
        self, batch: TrajectoryBatch, mine: np.ndarray, temperature: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Log-probabilities of all response tokens and the entropies of their distributions, float32 ``[tokens]``
        each; each rank computes its own samples."""
        found = logprobs_and_entropies(self.forward, batch, mine, temperature)
        old, entropies = (sum_over_ranks(column, self.info.world) for column in found)
        return old, entropies

    def reference_logprobs(self, batch: TrajectoryBatch, mine: np.ndarray, temperature: float) -> np.ndarray | None:
        """The same of the policy that PPO started from: a copy of it, or this one with its adapters switched off. None
        without a KL penalty."""
        if self._reference is None:
            return None
        own = self._reference is self.forward
        with without_adapters(self.module) if own else nullcontext():
            return sum_over_ranks(logprobs(self._reference, batch, mine, temperature), self.info.world)

    def sent(self, transport: WeightTransport, version: int, probe_tokens: tuple[int, ...]) -> SentWeights | None:
        """Sends the weights to the engines, on rank 0; the other ranks take part and get None."""
        if self.info.rank and not self.engine.sharded:
            return None
        # DeepSpeed looks for tensors in the value of a pass
        probe = self.engine.run(lambda: torch.from_numpy(probe_logprobs(self.module, probe_tokens))).numpy()
        if self.info.rank:
            run_through(self.engine)
            return None
        return SentWeights(version, transport.send(version, self.engine.weights(), self.dtype), probe_tokens, probe)

    def export(self, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
        """Writes the policy as a Hugging Face folder, adapters merged in and once more in PEFT's format below it."""
        export(self.engine, tokenizer, folder, self.info.rank)


def export(engine: Engine, tokenizer: PreTrainedTokenizerBase, folder: Path, rank: int) -> None:
    """Writes a trained model as a Hugging Face folder, on rank 0; the ranks of a sharded model all take part."""
    model = engine.module
    adapted = is_adapted(model)
    adapters = engine.gathered([p for p in model.parameters() if p.requires_grad]) if adapted else None
    if rank == 0:
        save_model(model, tokenizer, folder, engine.weights() if adapted or engine.sharded else None, adapters)
    elif engine.sharded:
        run_through(engine)
        with adapters or nullcontext():
            pass


def run_through(engine: Engine) -> None:
    """Takes part in rank 0's work on the weights."""
    for _ in engine.weights():
        pass
