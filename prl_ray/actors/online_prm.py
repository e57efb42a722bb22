"""The PRM of one learner rank where it is trained during PPO (``prm.online``), and its weights on their way to scorers.

A PRM that learnt from mutated references does not know the policy's errors, and those change while the policy learns.
Every step's executed lines (``prl_ray.credit.verdicts``) are labels of the policy's own programs. The scorers score a
step's samples before the PRM learns from them, so the step's hit rates are those on samples that it has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prl_ray.actors.engine import Engine, all_reduce_sum, engine_settings
from prl_ray.actors.forward import Forward
from prl_ray.actors.handles import Ref, put
from prl_ray.actors.learner_policy import export, run_through
from prl_ray.actors.meeting import RankInfo
from prl_ray.actors.replay import LabelledSamples, Replay
from prl_ray.actors.rollout import Experience
from prl_ray.config import AlgorithmConfig, Config, ModelConfig, PrmConfig
from prl_ray.examples import label_weights
from prl_ray.models.adapters import prepare_training
from prl_ray.models.named_weights import in_main_memory
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import line_logits, load_reward_model, temperature
from prl_ray.ppo.collate import PaddedBatch, token_rows
from prl_ray.ppo.packing import minibatches
from prl_ray.seeds import derive

PRM_FOLDER = "online_prm"
"""Folder of the PRM in that of the policy."""


@dataclass(frozen=True, slots=True)
class PrmWeights:
    """Weights of the PRM after a step."""

    version: int
    """Number of PPO steps whose lines it has learnt from."""
    tensors: Ref[Mapping[str, Tensor]]
    """Its state dict, adapters merged in."""


@dataclass(frozen=True, slots=True)
class OnlinePrmSetup:
    """Settings of PRM training on one rank."""

    folder: Path
    """The PRM that training starts from."""
    settings: PrmConfig
    model: ModelConfig
    dtype: torch.dtype
    seed: int

    @classmethod
    def of(cls, config: Config, folder: Path | None, dtype: torch.dtype) -> OnlinePrmSetup | None:
        """The setup of a run; None where its PRM is not trained online."""
        if not config.prm.online:
            return None
        assert folder is not None, "the configuration's checks see to a PRM"
        return cls(folder, config.prm, config.model, dtype, derive(config.seed, "online prm"))


class OnlinePrm:
    """One rank. All ranks get the same calls in the same order."""

    def __init__(self, setup: OnlinePrmSetup, algorithm: AlgorithmConfig, info: RankInfo) -> None:
        self.setup, self.info, self.version = setup, info, 0
        model = load_reward_model(setup.folder, setup.dtype)
        prepare_training(model, setup.model, derive(setup.seed, "adapters"), setup.folder)
        self.forward = Forward(model, algorithm.micro_batch_tokens, packed=algorithm.packed)
        settings = engine_settings(algorithm, setup.settings.online_learning_rate, setup.dtype)
        self.engine = Engine(model, settings, info.world)
        self.forward.through(self.engine)
        self.replay = Replay(setup.settings.online_replay)
        self._temperature = temperature(model)

    def update(self, experience: Experience, number: int) -> dict[str, float]:
        """Learns from the executed lines of PPO step ``number``. Returns metrics, the same on every rank.

        The loss is the cross-entropy of the calibrated probability, so that the calibration stays as it is.
        """
        self.version = number + 1
        own = LabelledSamples.of(experience)
        learnt = self.replay.mixed(own, derive(self.setup.seed, "replay", number))
        self.replay.keep(own)
        weights = label_weights(learnt.labels, self.setup.settings.balance)
        metrics = own.metrics() | {"prm/online_replayed": float(len(learnt.batch) - len(own.batch))}
        steps = [self._step(learnt, rows, weights) for rows in self._passes(len(learnt.batch), number)]
        if not steps:
            return metrics
        loss, norm = np.mean(steps, axis=0)
        return metrics | {"prm/online_loss": float(loss), "prm/grad_norm": float(norm)}

    def weights(self) -> PrmWeights | None:
        """Puts the weights into the object store, on rank 0; the other ranks of a sharded model take part and get
        None."""
        if self.info.rank:
            if self.engine.sharded:
                run_through(self.engine)
            return None
        tensors: dict[str, Tensor] = {}
        for weight in in_main_memory(self.engine.weights()):
            tensors[weight.name] = tensors[weight.same_as] if weight.same_as else weight.value
        return PrmWeights(self.version, put(tensors))

    def save(self, folder: Path) -> None:
        """Writes this rank's part of a checkpoint."""
        self.engine.save(folder, "prm")
        if self.info.rank == 0:
            self.replay.save(folder)

    def load(self, folder: Path, version: int) -> None:
        """Loads the files that ``save`` wrote after ``version`` steps."""
        self.engine.load(folder, "prm")
        self.replay.load(folder)
        self.version = version

    def export(self, folder: Path) -> None:
        """Writes the PRM as a Hugging Face folder; every rank takes part."""
        export(self.engine, load_tokenizer(self.setup.folder), folder, self.info.rank)

    def _passes(self, count: int, number: int) -> list[np.ndarray]:
        """Mini-batches of ``prm.batch_size`` of ``count`` samples, ``prm.online_epochs`` times over."""
        settings, found = self.setup.settings, []
        for epoch in range(settings.online_epochs if count else 0):
            found += minibatches(count, settings.batch_size, derive(self.setup.seed, "order", number, epoch))
        return found

    def _step(self, learnt: LabelledSamples, rows: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
        """One optimizer step on the samples ``rows``. Returns the mean loss of their labelled lines, and the gradient
        norm."""
        batch = learnt.batch
        total = float(token_rows(batch.line_offsets, rows, weights).sum())
        summed = 0.0
        parts = self.forward.micro_batches(batch, rows, self.info.rank, self.info.world)
        for i, padded in enumerate(parts):
            loss = self._loss(batch.line_offsets, padded, learnt.labels, weights) / total
            summed += loss.item()
            self.engine.backward(loss, last=i == len(parts) - 1)
        norm = self.engine.step()
        return (summed if self.info.world == 1 else float(all_reduce_sum(np.array(summed)))), norm

    def _loss(self, offsets: np.ndarray, padded: PaddedBatch, labels: np.ndarray, weights: np.ndarray) -> Tensor:
        """Summed loss of a micro-batch."""
        model = self.engine.module
        logits = self.forward.read(padded, partial(line_logits, model, padded))
        target, weight = (token_rows(offsets, padded.rows, c).to(logits.device) for c in (labels, weights))
        losses = torch.nn.functional.binary_cross_entropy_with_logits(
            logits / self._temperature, target.clamp(min=0), reduction="none"
        )
        return (losses * weight).sum()
