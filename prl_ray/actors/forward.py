"""Passes of a model over many samples: micro-batches within a token budget, results back in the batch's flat order.

Samples of one prompt share the prompt's part of the pass where the model's attention allows it (see
``prl_ray.ppo.collate``): with four samples per prompt that is about half of all the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, Self, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prl_ray.errors import ModelError
from prl_ray.models.output_head import HfConfig, output_head
from prl_ray.models.policy import hidden_states
from prl_ray.models.reward_model import head_logits, line_logits
from prl_ray.ppo.collate import PaddedBatch, collate, flat_rows, pack_lengths, packs
from prl_ray.ppo.packing import plan, schedule
from prl_ray.trajectory import TrajectoryBatch, take_ragged

T = TypeVar("T")
IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float32]


class Passes(Protocol):
    """Who owns the model that passes go through; see ``Engine``."""

    @property
    def device(self) -> torch.device:
        """Where micro-batches must lie."""
        ...

    def run(self, compute: Callable[[], T]) -> T:
        """``compute()``, with the model's parameters whole."""
        ...

    def rounds(self, passes: int) -> int:
        """How many passes this rank has to make."""
        ...


@dataclass(frozen=True, slots=True)
class _Plain:
    """A model that lies whole in this process."""

    model: nn.Module

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def run(self, compute: Callable[[], T]) -> T:
        return compute()

    def rounds(self, passes: int) -> int:
        return passes


class Forward:
    """A model and the token budget of one of its passes."""

    def __init__(self, model: nn.Module, budget: int, *, packed: bool = False) -> None:
        self.model, self.budget, self.packed = model, budget, packed
        if packed and not keeps_packed_apart(model):
            raise ModelError(
                f"{type(model).__name__} does not tell the samples of a packed row apart: set algorithm.packed=false"
            )
        self.shared = not packed and shares_prompts(model)
        self.window = sliding_window(model)
        self.engine: Passes = _Plain(model)

    def through(self, engine: Passes) -> Self:
        """Lets all passes go through the engine that has taken the model over, and may have sharded it."""
        self.engine = engine
        return self

    @property
    def device(self) -> torch.device:
        """Where the model computes."""
        return self.engine.device

    def read(self, padded: PaddedBatch, part: Callable[[Tensor], T]) -> T:
        """The result of ``part`` on the micro-batch's last hidden states ``[b, t, hidden]``, with the model's heads."""
        return self.engine.run(lambda: part(self.hidden(padded)))

    def hidden(self, padded: PaddedBatch) -> Tensor:
        """Last hidden states ``[b, t, hidden]``."""
        return hidden_states(self.model, padded.input_ids, padded.attention_mask, padded.position_ids)

    def _shares(self, batch: TrajectoryBatch, rows: IntArray) -> bool:
        """Whether these samples may share their prompts: our own mask replaces that of a sliding window."""
        longest = int(batch.total_lengths[rows].max(initial=0))
        return self.shared and (not self.window or longest <= self.window)

    def micro_batches(self, batch: TrajectoryBatch, rows: IntArray, rank: int, world: int) -> list[PaddedBatch]:
        """This rank's part of the samples ``rows``, in equally many micro-batches on every rank.

        A rank without enough samples gets empty micro-batches (``len(padded.rows) == 0``) that hold one token, so that
        it takes part in the collectives of a backward pass; their loss must be multiplied by zero.
        """
        groups = packs(batch, rows, self.budget, self._shares(batch, rows))
        parts = schedule(pack_lengths(batch, groups), world, self.budget, packed=self.packed)[rank]
        return [self._collated(batch, [groups[i] for i in part]) for part in parts]

    def _collated(self, batch: TrajectoryBatch, groups: Sequence[IntArray]) -> PaddedBatch:
        return collate(batch, groups, packed=self.packed).to(self.device)

    def each(
        self,
        batch: TrajectoryBatch,
        rows: IntArray | None = None,
        part: Callable[[PaddedBatch, Tensor], Tensor] = lambda padded, hidden: hidden,
    ) -> Iterator[tuple[PaddedBatch, Tensor]]:
        """Micro-batches and the value of ``part`` on each one's hidden states, without gradients."""
        chosen = np.arange(len(batch)) if rows is None else rows
        groups = packs(batch, chosen, self.budget, self._shares(batch, chosen))
        with torch.no_grad():
            own = plan(pack_lengths(batch, groups), self.budget, packed=self.packed)
            for number in range(self.engine.rounds(len(own))):
                members = own[number] if number < len(own) else ()  # without any of its own, for the others' sake
                padded = self._collated(batch, [groups[i] for i in members])
                found = self.read(padded, partial(part, padded))
                if number < len(own):
                    yield padded, found


def logprobs(forward: Forward, batch: TrajectoryBatch, rows: IntArray, temperature: float) -> FloatArray:
    """Log-probabilities of the response tokens of ``rows``; float32 ``[tokens]`` of the whole batch, 0 elsewhere."""
    found, _ = logprobs_and_entropies(forward, batch, rows, temperature, with_entropy=False)
    return found


def logprobs_and_entropies(
    forward: Forward, batch: TrajectoryBatch, rows: IntArray, temperature: float, *, with_entropy: bool = True
) -> tuple[FloatArray, FloatArray]:
    """The same, and the entropies of the distributions that these tokens were chosen from; zeros without
    ``with_entropy``."""
    out = np.zeros((2, int(batch.token_offsets[-1])), dtype=np.float32)
    head = output_head(forward.model)

    def of_targets(padded: PaddedBatch, hidden: Tensor) -> Tensor:
        states = flat_rows(hidden, padded.predicts)
        return torch.stack(head.logprobs(states, padded.targets, temperature=temperature, with_entropy=with_entropy))

    for padded, values in forward.each(batch, rows, of_targets):
        out[:, take_ragged(batch.token_offsets, padded.rows)[0]] = values.cpu().numpy()
    return out[0], out[1]


def score_lines(forward: Forward, batch: TrajectoryBatch) -> FloatArray:
    """Uncalibrated logits of every line, float32 ``[lines]``."""
    out = np.zeros(int(batch.line_offsets[-1]), dtype=np.float32)

    def of_lines(padded: PaddedBatch, hidden: Tensor) -> Tensor:
        return line_logits(forward.model, padded, hidden)

    for padded, logits in forward.each(batch, part=of_lines):
        out[take_ragged(batch.line_offsets, padded.rows)[0]] = logits.cpu().numpy()
    return out


def score_programs(forward: Forward, batch: TrajectoryBatch) -> FloatArray:
    """Uncalibrated logits of every program, read at its last token; float32 ``[samples]``."""
    out = np.zeros(len(batch), dtype=np.float32)

    def at_the_end(padded: PaddedBatch, hidden: Tensor) -> Tensor:
        return head_logits(forward.model, flat_rows(hidden, padded.last))

    for padded, logits in forward.each(batch, part=at_the_end):
        out[padded.rows] = logits.cpu().numpy()
    return out


def sliding_window(model: nn.Module) -> int:
    """How many tokens a layer with a sliding window looks back at least; 0 if none has such a window."""
    config: HfConfig | None = getattr(model, "config", None)
    text = config.get_text_config() if config is not None else None
    window = getattr(text, "sliding_window", None)
    kinds = getattr(text, "layer_types", None)
    slides = any("sliding" in kind for kind in kinds) if kinds else getattr(text, "use_sliding_window", True)
    return int(window) if window and slides else 0


def shares_prompts(model: nn.Module) -> bool:
    """Whether two responses behind one prompt give the states that each gives alone.

    True for causal attention that takes a mask of its own; False for encoders, state-space models and attention
    kernels that ignore the mask, which then get every sample with its own copy of the prompt.
    """
    return _as_apart(model, collate(_probe(), [np.array([0, 1])]))


def keeps_packed_apart(model: nn.Module) -> bool:
    """Whether samples behind each other in one row give the states that each gives alone.

    False for models that mix tokens other than by attention, and for those that read no positions.
    """
    return _as_apart(model, collate(_probe(), [np.array([0]), np.array([1])], packed=True))


@torch.no_grad()
def _as_apart(model: nn.Module, together: PaddedBatch) -> bool:
    device = next(model.parameters()).device
    apart = collate(_probe(), [np.array([0]), np.array([1])])
    try:
        states = [
            flat_rows(hidden_states(model, p.input_ids, p.attention_mask, p.position_ids), p.predicts).float()
            for p in (together.to(device), apart.to(device))
        ]
    except (ValueError, RuntimeError, TypeError):
        return False
    scale = states[1].abs().max().clamp(min=1e-6)
    # bfloat16 rounds differently in the two layouts; a leak between responses is larger by orders of magnitude
    return bool(((states[0] - states[1]).abs().max() / scale) < 0.05)


def _probe() -> TrajectoryBatch:
    flat = np.arange(1, 13, dtype=np.int32)
    six = np.array([0, 6, 12], dtype=np.int64)
    return TrajectoryBatch(
        task_ids=("probe", "probe"),
        prompt_ids=np.zeros(2, dtype=np.int64),
        programs=("", ""),
        finished=np.ones(2, dtype=np.bool_),
        prompt_tokens=np.tile(np.arange(1, 7, dtype=np.int32), 2),
        prompt_offsets=six,
        tokens=flat,
        token_offsets=six,
        logprobs=np.zeros(12, dtype=np.float32),
        weight_versions=np.zeros(12, dtype=np.int32),
        line_ends=np.array([5, 5], dtype=np.int32),
        line_offsets=np.array([0, 1, 2], dtype=np.int64),
        line_neutral=np.zeros(2, dtype=np.bool_),
    )
