"""The critic of one learner rank: a value head on the scorer's features, or a model with a trunk of its own.

Both kinds share the update; they differ in where the states come from.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from prl_ray.actors.columns import Columns
from prl_ray.actors.engine import Engine, engine_settings, mean_over_ranks, sum_over_ranks
from prl_ray.actors.forward import Forward
from prl_ray.actors.meeting import RankInfo
from prl_ray.actors.rollout import Experience
from prl_ray.actors.training_state import SHARDED
from prl_ray.config import AlgorithmConfig, ModelConfig
from prl_ray.models.adapters import prepare_training
from prl_ray.models.policy import load_policy
from prl_ray.models.value_head import ValueHead
from prl_ray.ppo.advantages import ESTIMATORS
from prl_ray.ppo.collate import PaddedBatch, flat_rows, token_rows
from prl_ray.ppo.losses import LossOutput, value_loss
from prl_ray.ppo.packing import minibatches, shard
from prl_ray.seeds import derive

Part = tuple[np.ndarray, Callable[[], Tensor]]
"""Samples, and a function that predicts the values of their tokens ``[n]``."""


class Critic(ABC):
    """Predicts the return from the state before each token, and is trained on it."""

    def __init__(self, engine: Engine, algorithm: AlgorithmConfig, info: RankInfo, seed: int) -> None:
        self.engine, self.algorithm, self.info, self.seed = engine, algorithm, info, seed

    @abstractmethod
    def values(self, experience: Experience, mine: np.ndarray) -> np.ndarray:
        """Values of all tokens, float32 ``[tokens]``; ``mine`` are the samples whose passes this rank computes."""

    @abstractmethod
    def parts(self, experience: Experience, rows: np.ndarray) -> list[Part]:
        """This rank's micro-batches of the samples ``rows``, equally many on every rank."""

    def update(self, experience: Experience, columns: Columns, number: int) -> dict[str, float]:
        """``critic_epochs`` passes over a rollout. Returns the metrics of ``value_loss``, the same on every rank."""
        batch, algorithm = experience.batch, self.algorithm
        size = -(-len(batch) // algorithm.minibatches)
        outputs: list[LossOutput] = []
        norms: list[float] = []
        for epoch in range(algorithm.critic_epochs):
            for rows in minibatches(len(batch), size, derive(self.seed, "order", number, epoch)):
                total = max(float(columns.mask[experience.tokens_of(rows)].sum()), 1.0)
                parts = self.parts(experience, rows)
                for i, (samples, predict) in enumerate(parts):
                    old, returns, mask = (
                        token_rows(batch.token_offsets, samples, column).to(self.engine.device)
                        for column in (columns.values, columns.returns, columns.mask)
                    )
                    loss = value_loss(predict(), old, returns, mask, clip=algorithm.value_clip or None)
                    self.engine.backward(loss.total / total, last=i == len(parts) - 1)
                    outputs.append(loss.detached())
                norms.append(self.engine.step())
        return mean_over_ranks(outputs, self.info.world) | {"critic/grad_norm": float(np.mean(norms))}

    def save(self, folder: Path) -> None:
        """Writes this rank's part of a checkpoint."""
        self.engine.save(folder, "critic")

    def load(self, folder: Path) -> None:
        """Loads the files of ``save``."""
        self.engine.load(folder, "critic")


class HeadCritic(Critic):
    """A value head on features that the scorer computed along with the line scores (``algorithm.critic=head``)."""

    def values(self, experience: Experience, mine: np.ndarray) -> np.ndarray:
        """The head is so small that every rank computes all samples."""
        with torch.no_grad():
            values: np.ndarray = self._predict(_features(experience)).float().cpu().numpy()
        return values

    def parts(self, experience: Experience, rows: np.ndarray) -> list[Part]:
        """One micro-batch."""
        mine = rows[shard(experience.batch.response_lengths[rows], self.info.world)[self.info.rank]]
        features = _features(experience)[experience.tokens_of(mine)]
        return [(mine, partial(self._predict, features))]

    def _predict(self, features: np.ndarray) -> Tensor:
        states = torch.from_numpy(features.astype(np.float32)).to(self.engine.device)
        values: Tensor = self.engine.module(states)
        return values


def _features(experience: Experience) -> np.ndarray:
    if experience.scores.features is None:
        raise ValueError("a value head needs the scorer's features, and the scorer was not asked for them")
    return experience.scores.features


class TrunkCritic(Critic):
    """A whole model, trained with its head (``algorithm.critic=full``)."""

    def __init__(self, engine: Engine, forward: Forward, algorithm: AlgorithmConfig, info: RankInfo, seed: int) -> None:
        super().__init__(engine, algorithm, info, seed)
        self.forward = forward.through(engine)

    @property
    def _model(self) -> ValueModel:
        assert isinstance(self.engine.module, ValueModel)
        return self.engine.module

    def values(self, experience: Experience, mine: np.ndarray) -> np.ndarray:
        """Each rank computes its own samples."""
        out = np.zeros(len(experience.batch.tokens), dtype=np.float32)
        model = self._model

        def at_tokens(padded: PaddedBatch, hidden: Tensor) -> Tensor:
            return model.value(flat_rows(hidden, padded.predicts))

        for padded, predicted in self.forward.each(experience.batch, mine, at_tokens):
            out[experience.tokens_of(padded.rows)] = predicted.float().cpu().numpy()
        return sum_over_ranks(out, self.info.world)

    def parts(self, experience: Experience, rows: np.ndarray) -> list[Part]:
        """Micro-batches within the token budget."""
        padded = self.forward.micro_batches(experience.batch, rows, self.info.rank, self.info.world)
        return [(p.rows, partial(self._predict, p)) for p in padded]

    def _predict(self, padded: PaddedBatch) -> Tensor:
        model = self._model
        return self.forward.read(padded, lambda hidden: model.value(flat_rows(hidden, padded.predicts)))


class ValueModel(nn.Module):
    """The trunk of a causal LM or reward model with a value head on it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        trunk: nn.Module = model.base_model  # type: ignore[assignment]
        config: Any = model.config
        self.base_model, self.config = trunk, config
        self.head = ValueHead(int(config.hidden_size)).to(next(trunk.parameters()).dtype)

    def value(self, states: Tensor) -> Tensor:
        """Values ``[n]`` of hidden states ``[n, hidden]``."""
        values: Tensor = self.head(states)
        return values


def make_critic(
    trunk: Path | None,
    hidden: int,
    algorithm: AlgorithmConfig,
    model: ModelConfig,
    dtype: torch.dtype,
    info: RankInfo,
    seed: int,
) -> Critic | None:
    """The configured critic; ``trunk`` is the folder of its own trunk, None for a head on features of
    size ``hidden``. None where the advantage estimator needs no critic."""
    if ESTIMATORS.find(algorithm.estimator).needs != "values":
        return None
    if trunk is None:
        # A small head is trained in float32, whatever the dtype of its features, and is never sharded.
        whole = replace(algorithm, zero_stage=min(algorithm.zero_stage, SHARDED - 1), offload="none")
        settings = engine_settings(whole, algorithm.critic_learning_rate, torch.float32)
        return HeadCritic(Engine(ValueHead(hidden), settings, info.world), algorithm, info, seed)
    policy = load_policy(trunk, dtype)
    prepare_training(policy, model, derive(seed, "adapters"), trunk)
    module = ValueModel(policy)
    forward = Forward(module, algorithm.micro_batch_tokens, packed=algorithm.packed)
    engine = Engine(module, engine_settings(algorithm, algorithm.critic_learning_rate, dtype), info.world)
    return TrunkCritic(engine, forward, algorithm, info, seed)
