"""Reward models on batches of programs: shared by the scorer actor and ``prl_ray.score``. Does not need Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import nn

from prl_ray.actors.forward import Forward, score_programs
from prl_ray.errors import ModelError
from prl_ray.models.policy import load_policy
from prl_ray.models.reward_model import check_unit, line_logits, load_reward_model, probabilities
from prl_ray.ppo.collate import flat_rows
from prl_ray.trajectory import TrajectoryBatch, take_ragged


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores of the reward models, aligned with the batch that was scored."""

    line_scores: np.ndarray | None = None
    """float32 ``[lines]``: calibrated ``p_i``; None without a PRM."""
    orm_scores: np.ndarray | None = None
    """float32 ``[samples]``: calibrated ``P(tests pass)``; None without an ORM."""
    features: np.ndarray | None = None
    """float16 ``[tokens, hidden]``: the critic trunk's state before each response token; None if not asked for."""

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Joins the scores of several chunks; no chunk has no scores."""

        def joined(columns: list[np.ndarray | None]) -> np.ndarray | None:
            there = [column for column in columns if column is not None]
            if len(there) not in (0, len(columns)):
                raise ValueError("scores with and without a column do not join")
            return np.concatenate(there) if there else None

        return cls(*(joined([getattr(p, f.name) for p in parts]) for f in fields(cls)))

    def take(self, batch: TrajectoryBatch, rows: np.ndarray) -> Scores:
        """The scores of the samples ``rows`` of the ``batch`` that was scored, in this order."""
        lines, tokens = take_ragged(batch.line_offsets, rows)[0], take_ragged(batch.token_offsets, rows)[0]
        return Scores(
            None if self.line_scores is None else self.line_scores[lines],
            None if self.orm_scores is None else self.orm_scores[rows],
            None if self.features is None else self.features[tokens],
        )


@dataclass(frozen=True, slots=True)
class ScorerSetup:
    """Which models a scorer holds."""

    prm: Path | None
    orm: Path | None
    trunk: Path | None
    """The model of the critic's features, if not the PRM: a policy folder."""
    features: bool
    dtype: torch.dtype
    micro_batch_tokens: int


class LoadedModels:
    """The models of a setup, on the GPU where there is one. One forward pass gives line scores and features."""

    def __init__(self, setup: ScorerSetup) -> None:
        self.setup = setup

        def forward(model: nn.Module) -> Forward:
            return Forward(model.to("cuda") if torch.cuda.is_available() else model, setup.micro_batch_tokens)

        self.prm = forward(load_reward_model(setup.prm, setup.dtype)) if setup.prm else None
        self.orm = forward(load_reward_model(setup.orm, setup.dtype)) if setup.orm else None
        self.trunk = forward(load_policy(setup.trunk, setup.dtype)) if setup.trunk else self.prm

    def load_prm(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Replaces the PRM's weights. Raises ``ModelError`` unless ``tensors`` are all of its weights."""
        assert self.prm is not None
        try:
            self.prm.model.load_state_dict(tensors)
        except RuntimeError as error:
            raise ModelError(f"the trained PRM's weights do not fit the scorer's PRM: {error}") from error

    def score(self, batch: TrajectoryBatch) -> Scores:
        """Scores of all samples of ``batch``. Raises ``ModelError`` if the PRM scores another unit."""
        if self.prm is not None:
            check_unit(self.prm.model, batch.unit)
        scores = np.zeros(len(batch.line_ends), dtype=np.float32) if self.prm else None
        features = np.zeros((len(batch.tokens), self._hidden_size()), np.float16) if self.setup.features else None
        for forward in {id(f): f for f in (self.prm, self.trunk) if f is not None}.values():
            for padded, hidden in forward.each(batch):
                if scores is not None and forward is self.prm:
                    p = probabilities(forward.model, line_logits(forward.model, padded, hidden))
                    scores[take_ragged(batch.line_offsets, padded.rows)[0]] = p.cpu().numpy()
                if features is not None and forward is self.trunk:
                    states = flat_rows(hidden, padded.predicts).to(torch.float16).cpu().numpy()
                    features[take_ragged(batch.token_offsets, padded.rows)[0]] = states
        orm_scores: np.ndarray | None = None
        if self.orm is not None:
            logits = torch.from_numpy(score_programs(self.orm, batch))
            orm_scores = probabilities(self.orm.model, logits).numpy()
        return Scores(scores, orm_scores, features)

    def _hidden_size(self) -> int:
        return int(self.trunk.model.config.hidden_size) if self.trunk is not None else 0  # type: ignore[union-attr,arg-type]
