"""Supervised training as ranks of Ray actors: the policy on references (SFT), reward models on labelled lines.

All three read the same columns: programs as a :class:`TrajectoryBatch`, targets as flat columns. SFT learns the
response tokens, the PRM one label per line, the ORM one label per program.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from prl_ray.actors.engine import Engine, EngineSettings, all_reduce_sum, join_group
from prl_ray.actors.finite import SkippedSteps, finite_only
from prl_ray.actors.forward import Forward, score_lines, score_programs
from prl_ray.actors.heap import releasing
from prl_ray.actors.learner_policy import export
from prl_ray.actors.meeting import RankInfo
from prl_ray.config import ModelConfig
from prl_ray.errors import NotFiniteError
from prl_ray.examples import Example, Task, as_batch, check_lengths, label_weights, labels_of
from prl_ray.lines import Unit
from prl_ray.models.adapters import prepare_training
from prl_ray.models.encode import EncodedProgram, encode_program
from prl_ray.models.output_head import output_head
from prl_ray.models.policy import check_head, load_policy, load_tokenizer
from prl_ray.models.registry import context_length
from prl_ray.models.reward_model import Form, head_logits, init_reward_model, line_logits, set_temperature
from prl_ray.ppo.collate import PaddedBatch, flat_rows, token_rows
from prl_ray.ppo.packing import minibatches
from prl_ray.seeds import derive
from prl_ray.supervision.rows import UNLABELLED


@dataclass(frozen=True, slots=True)
class SupervisedSetup:
    """Settings of one rank."""

    task: Task
    start_from: Path
    """Folder of the policy (or trunk) that training starts from."""
    engine: EngineSettings
    epochs: int
    batch_size: int
    warmup_share: float
    micro_batch_tokens: int
    seed: int
    unit: Unit = "line"
    """The unit of a program that has a label and a score."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """How the model is trained: whole or by adapters."""
    packed: bool = False
    """Samples of a pass in one row, without padding."""
    form: Form = "head"
    """What gives the scores of a reward model."""
    balance: bool = False
    """Reward models: weigh negative labels so that both classes count the same."""


class SupervisedTrainer:
    """One rank. The driver calls ``step(i)`` on every rank for ``i`` in ``range(steps)``, then ``save``."""

    def __init__(self, info: RankInfo, setup: SupervisedSetup, examples: Sequence[Example]) -> None:
        join_group(info)
        torch.manual_seed(setup.seed)
        self.info, self.setup = info, setup
        self.tokenizer = load_tokenizer(setup.start_from)
        encoded = [self._encoded(example) for example in examples]
        self.batch = as_batch(examples, encoded)
        check_lengths(self.batch, context_length(setup.start_from))
        self.labels = labels_of(setup.task, examples, encoded)
        self.label_weights = label_weights(self.labels, setup.balance)
        model = (
            load_policy(setup.start_from, setup.engine.dtype)
            if setup.task == "sft"
            else init_reward_model(
                setup.start_from,
                setup.engine.dtype,
                kind=setup.task,
                form=setup.form,
                seed=derive(setup.seed, "head"),
                unit=setup.unit,
            )
        )
        if setup.task == "sft":
            check_head(model)
        prepare_training(model, setup.model, derive(setup.seed, "adapters"), setup.start_from, dropout=True)
        self.forward = Forward(model, setup.micro_batch_tokens, packed=setup.packed)
        self.engine = Engine(model, setup.engine, info.world)
        self.forward.through(self.engine)
        self.skips = SkippedSteps(
            what=setup.task,
            remedy=f"Give the stage a smaller learning rate, or look at the weights in {setup.start_from}",
        )
        self._remembered: dict[str, Tensor] = {}
        self.plan = [rows for epoch in range(setup.epochs) for rows in self._epoch(epoch)]

    def steps(self) -> dict[str, int]:
        """Number of optimizer steps, and of examples and tokens of an epoch."""
        return {
            "steps": len(self.plan),
            "examples": len(self.batch),
            "tokens": int(self.batch.total_lengths.sum()),
        }

    @releasing
    def step(self, number: int) -> dict[str, float]:
        """Optimizer step ``number``. Returns loss, gradient norm and learning rate, the same on every rank.

        A step whose loss or gradients are not finite changes nothing and is counted. Raises ``NotFiniteError`` after
        several such steps in a row.
        """
        self._drop_out(True)
        if self.setup.model.lora.dropout:  # ranks learn different samples, so each drops other units
            torch.manual_seed(derive(self.setup.seed, "dropout", number, self.info.rank))
        rows = self.plan[number]
        weights = self._weights(rows)
        total = float(weights.sum())
        summed = 0.0
        mine = self.forward.micro_batches(self.batch, rows, self.info.rank, self.info.world)
        for i, padded in enumerate(mine):
            loss = self._loss(padded) / max(total, 1e-9)
            summed += loss.item()
            self.engine.backward(loss, last=i == len(mine) - 1)
        rate = self._learning_rate(number)
        norm = self.engine.step(rate)
        if self.info.world > 1:
            summed = float(all_reduce_sum(np.array(summed)))
        metrics = {"loss": summed, "grad_norm": norm, "learning_rate": rate}
        causes = [name for name, value in (("loss", summed), ("gradients", norm)) if not math.isfinite(value)]
        return finite_only(metrics) | (self.skips.skipped(number, causes[0]) if causes else self.skips.learnt())

    def remember(self) -> None:
        """Keeps a copy of the trained weights as they are, for ``recall``."""
        if self._serves:
            self._remembered = self.engine.copies()

    def recall(self) -> None:
        """Loads the remembered weights, to be saved or read: training cannot continue from them."""
        if self._serves:
            self.engine.restore(self._remembered)

    def save(self, folder: Path, temperature: float = 1.0) -> None:
        """Writes the trained model as a Hugging Face folder; every rank takes part. ``temperature`` calibrates a reward
        model."""
        if self.setup.task != "sft":
            set_temperature(self.engine.module, temperature)
        export(self.engine, self.tokenizer, folder, self.info.rank)

    def predict(self, examples: Sequence[Example]) -> tuple[np.ndarray, np.ndarray]:
        """Uncalibrated logits and 0/1 labels (float32 ``[n]`` each) of all labelled lines or programs.

        Rank 0 answers; the other ranks of a sharded model take part.
        """
        if not self._serves:
            return np.zeros(0, dtype=np.float32), np.zeros(0, dtype=np.float32)
        self._drop_out(False)
        encoded = [self._encoded(example) for example in examples]
        batch = as_batch(examples, encoded)
        labels = labels_of(self.setup.task, examples, encoded)
        read = score_lines if self.setup.task == "prm" else score_programs
        logits = read(self.forward, batch)
        known = labels != UNLABELLED
        if not np.isfinite(logits[known]).all():
            raise NotFiniteError(
                f"the {self.setup.task} gives scores of held-out problems that are not finite: {self.skips.remedy}"
            )
        return logits[known], labels[known]

    @property
    def _serves(self) -> bool:
        """Whether this rank takes part in work other than training."""
        return self.info.rank == 0 or self.engine.sharded

    def _drop_out(self, on: bool) -> None:
        """Only adapters have dropout, and only while they learn."""
        if self.setup.model.lora.dropout:
            self.engine.module.train(on)

    def _encoded(self, example: Example) -> EncodedProgram:
        return encode_program(self.tokenizer, example.problem, example.program, unit=self.setup.unit)

    def _epoch(self, epoch: int) -> Iterator[np.ndarray]:
        """Mini-batches of about ``batch_size`` programs. All programs of a problem go together: variants of one
        reference then share the pass over its prompt."""
        of_problem, counts = np.unique(self.batch.prompt_ids, return_counts=True)
        problems = max(1, round(self.setup.batch_size / counts.mean()))
        for chosen in minibatches(len(of_problem), problems, derive(self.setup.seed, "order", epoch)):
            yield np.flatnonzero(np.isin(self.batch.prompt_ids, of_problem[chosen]))

    @property
    def _label_offsets(self) -> np.ndarray:
        """A reward model's labels of each program: one per line, or one."""
        return self.batch.line_offsets if self.setup.task == "prm" else np.arange(len(self.batch) + 1)

    def _weights(self, rows: np.ndarray) -> np.ndarray:
        if self.setup.task == "sft":
            lengths: np.ndarray = self.batch.response_lengths[rows]
            return lengths.astype(np.float64)
        return token_rows(self._label_offsets, rows, self.label_weights).numpy().astype(np.float64)

    def _loss(self, padded: PaddedBatch) -> Tensor:
        """Summed (not averaged) loss of one micro-batch."""
        model = self.engine.module
        if self.setup.task == "sft":
            return self.forward.read(padded, partial(self._negative_logprob, padded))
        if self.setup.task == "prm":
            logits = self.forward.read(padded, partial(line_logits, model, padded))
        else:
            logits = self.forward.read(padded, lambda hidden: head_logits(model, flat_rows(hidden, padded.last)))
        labels = token_rows(self._label_offsets, padded.rows, self.labels).to(logits.device)
        losses = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels.clamp(min=0), reduction="none")
        return (losses * token_rows(self._label_offsets, padded.rows, self.label_weights).to(logits.device)).sum()

    def _negative_logprob(self, padded: PaddedBatch, hidden: Tensor) -> Tensor:
        states = flat_rows(hidden, padded.predicts)
        head = output_head(self.engine.module)
        return -head.logprobs(states, padded.targets, with_entropy=False)[0].sum()

    def _learning_rate(self, number: int) -> float:
        """Linear warm-up, then cosine to a tenth."""
        steps, warmup = len(self.plan), max(1, round(self.setup.warmup_share * len(self.plan)))
        peak = self.setup.engine.learning_rate
        if number < warmup:
            return peak * (number + 1) / warmup
        done = (number - warmup) / max(1, steps - warmup)
        return peak * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * done)))
