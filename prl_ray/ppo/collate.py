"""From flat ragged columns to the padded tensors of a micro-batch, and back to the flat order.

A row of a micro-batch is a *pack*: one prompt followed by the responses of some of its samples. A block mask hides the
responses from each other, and each starts at the position after the prompt, so its states are those of the sample
alone, while the prompt is computed once. Hidden states gathered at ``predicts`` are in the flat order of
``batch.take(padded.rows).tokens``, so every per-token column of the batch is aligned with them without padding
arithmetic.

In the packed form all samples follow each other in one row, without padding. Each starts at position 0 with a copy of
its prompt, and there is no mask: transformers tells the samples apart by their positions, and kernels for sequences of
various lengths (flash attention) compute nothing between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from prl_ray.trajectory import TrajectoryBatch, take_ragged

IntArray = NDArray[np.integer]
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PaddedBatch:
    """A micro-batch. Axes: ``b`` packs, ``t`` padded time, ``s`` samples, ``n`` response tokens and ``l`` lines."""

    rows: Rows
    """numpy int64 ``[s]``: indices of the samples, in the flat order of ``n`` and ``l``."""
    input_ids: Tensor
    """int64 ``[b, t]``."""
    attention_mask: Tensor | None
    """int64 ``[b, t]``, 1 on tokens, if every pack holds one sample; else bool ``[b, 1, t, t]``, True where the query
    (third axis) may attend to the key (fourth). None in the packed form."""
    position_ids: Tensor
    """int64 ``[b, t]``."""
    targets: Tensor
    """int64 ``[n]``: the response tokens, in the flat order of ``batch.take(rows).tokens``."""
    predicts: Tensor
    """int64 ``[n]``: flat index into ``[b * t]`` of the position *before* each response token. Its hidden state gives
    the token's log-probability and the critic's value of the state in which it was chosen."""
    line_ends: Tensor
    """int64 ``[l]``: flat index into ``[b * t]`` of each line's last token, where a PRM reads the line's score, in the
    flat order of ``batch.take(rows).line_ends``."""
    line_tokens: Tensor
    """int64 ``[2, l]``: the first and the last token of each line, as indices into ``[n]``."""
    last: Tensor
    """int64 ``[s]``: flat index of each sample's last token, where an ORM reads its score."""

    def to(self, device: torch.device | str) -> Self:
        """The same micro-batch with its tensors on ``device``."""
        names = [f.name for f in fields(self) if f.name != "rows"]
        tensors = {name: tensor for name in names if (tensor := getattr(self, name)) is not None}
        return replace(self, **{name: tensor.to(device) for name, tensor in tensors.items()})


def packs(batch: TrajectoryBatch, rows: IntArray, budget: int, shared: bool = True) -> list[Rows]:
    """The samples ``rows`` as packs: those of one prompt together, in the order given, split at ``budget`` tokens.

    With ``shared=False`` every sample is a separate pack.
    """
    index = np.asarray(rows, dtype=np.int64)
    if not shared:
        return [index[i : i + 1] for i in range(len(index))]
    groups: dict[int, list[int]] = {}
    for row in index:
        groups.setdefault(int(batch.prompt_ids[row]), []).append(int(row))
    prompts, responses = np.diff(batch.prompt_offsets), np.diff(batch.token_offsets)
    result: list[Rows] = []
    for members in groups.values():
        current: list[int] = []
        length = 0
        for row in members:
            if current and length + responses[row] > budget:
                result.append(np.array(current, dtype=np.int64))
                current = []
            length = int(responses[row] + (length if current else prompts[row]))
            current.append(row)
        result.append(np.array(current, dtype=np.int64))
    return result


def pack_lengths(batch: TrajectoryBatch, groups: Sequence[IntArray]) -> NDArray[np.int64]:
    """Tokens of each pack, int64 ``[packs]``: its prompt, counted once, and all its responses."""
    prompts, responses = np.diff(batch.prompt_offsets), np.diff(batch.token_offsets)
    return np.array([prompts[g[0]] + responses[g].sum() for g in groups], dtype=np.int64)


def collate(
    batch: TrajectoryBatch, groups: Sequence[IntArray], pad_id: int = 0, *, packed: bool = False
) -> PaddedBatch:
    """The packs ``groups`` as tensors; samples of a pack must have one prompt, and in the packed form there is one
    sample a pack.

    No packs give a micro-batch of one padding token and no samples, which a model can run and whose loss is zero.
    Raises ``ValueError`` if a prompt is empty (no position could predict the first response token) or the samples of a
    pack have different prompts.
    """
    index = np.concatenate([np.zeros(0, dtype=np.int64), *groups]).astype(np.int64)
    prompt_lengths, response_lengths = np.diff(batch.prompt_offsets)[index], np.diff(batch.token_offsets)[index]
    sizes = np.array([len(g) for g in groups], dtype=np.int64)
    shared = bool((sizes > 1).any())
    if packed and shared:
        raise ValueError("the packed form has no mask that would hide samples of one prompt from each other")
    first = np.cumsum(sizes) - sizes
    row_of = np.repeat(np.arange(len(groups)), sizes)
    _check_prompts(batch, index, index[first[row_of]])
    height, width, origin = _layout(pack_lengths(batch, groups), packed)
    before = np.cumsum(response_lengths) - response_lengths
    # where each sample's response starts on the flat [b * t] axis
    flat_start = origin[row_of] + prompt_lengths + before - (before[first][row_of] if len(index) else before)

    cells = _Cells.empty(height * width, pad_id)
    prompts, prompt_offsets = take_ragged(batch.prompt_offsets, index[first])
    in_prompt = _spread(prompt_offsets, np.zeros_like(origin))
    cells.write(_spread(prompt_offsets, origin), batch.prompt_tokens[prompts], in_prompt, 0)
    responses, offsets = take_ragged(batch.token_offsets, index)
    response_at = _spread(offsets, flat_start)
    sample = np.repeat(np.arange(len(index)) - np.repeat(first, sizes) + 1, response_lengths)
    cells.write(response_at, batch.tokens[responses], _spread(offsets, prompt_lengths), sample)

    predicts = response_at - 1
    nonempty = response_lengths > 0
    predicts[offsets[:-1][nonempty]] = (origin[row_of] + prompt_lengths - 1)[nonempty]
    lines, line_offsets = take_ragged(batch.line_offsets, index)
    line_ends = batch.line_ends[lines] + np.repeat(flat_start, np.diff(line_offsets))
    line_tokens = np.stack([batch.line_starts[lines], batch.line_ends[lines]])
    last = np.where(nonempty, flat_start + response_lengths, origin[row_of] + prompt_lengths) - 1
    return PaddedBatch(
        rows=index,
        input_ids=torch.from_numpy(cells.ids).view(height, width),
        attention_mask=None if packed else _mask(torch.from_numpy(cells.owners).view(height, width), shared),
        position_ids=torch.from_numpy(cells.positions).view(height, width),
        targets=torch.from_numpy(batch.tokens[responses].astype(np.int64)),
        predicts=torch.from_numpy(predicts),
        line_ends=torch.from_numpy(line_ends.astype(np.int64)),
        line_tokens=torch.from_numpy(line_tokens + np.repeat(offsets[:-1], np.diff(line_offsets))),
        last=torch.from_numpy(last),
    )


class _Cells(NamedTuple):
    """Columns of the flat [b * t] axis."""

    ids: IntArray
    positions: IntArray
    owners: IntArray
    """0 the prompt, 1… the responses, -1 padding."""

    @classmethod
    def empty(cls, count: int, pad_id: int) -> Self:
        """Padding everywhere."""
        return cls(np.full(count, pad_id, np.int64), np.zeros(count, np.int64), np.full(count, -1, np.int64))

    def write(self, at: IntArray, ids: IntArray, positions: IntArray, owners: IntArray | int) -> None:
        """Place tokens ``at`` these places."""
        self.ids[at], self.positions[at], self.owners[at] = ids, positions, owners


def _check_prompts(batch: TrajectoryBatch, own: IntArray, shared: IntArray) -> None:
    """Refuse samples without a prompt, or with another than the first sample of their pack (``shared``) has."""
    if len(own) and np.diff(batch.prompt_offsets)[own].min() == 0:
        raise ValueError("a prompt without tokens: begin prompts with the beginning-of-sequence token")
    theirs, packs = (take_ragged(batch.prompt_offsets, rows)[0] for rows in (own, shared))
    if not np.array_equal(batch.prompt_tokens[theirs], batch.prompt_tokens[packs]):
        raise ValueError("samples of one pack have different prompts: prompt_ids must differ between prompts")


def _layout(lengths: NDArray[np.int64], packed: bool) -> tuple[int, int, NDArray[np.int64]]:
    """Rows and width of a micro-batch, and where each pack starts on the flat [b * t] axis."""
    if packed:
        return 1, max(int(lengths.sum()), 1), np.cumsum(lengths) - lengths
    width = max(int(lengths.max(initial=0)), 1)
    return max(len(lengths), 1), width, np.arange(len(lengths)) * width


def flat_rows(hidden: Tensor, at: Tensor) -> Tensor:
    """``hidden`` ``[b, t, d]`` (or ``[b, t]``) read at flat positions ``at`` ``[n]`` -> ``[n, d]`` (or ``[n]``)."""
    return hidden.reshape(-1, *hidden.shape[2:]).index_select(0, at)


def token_rows(offsets: IntArray, rows: IntArray, columns: NDArray[np.generic]) -> Tensor:
    """A flat per-token (or per-line) column of the whole batch, restricted to ``rows``, as a tensor ``[n]``."""
    return torch.from_numpy(columns[take_ragged(offsets, np.asarray(rows, dtype=np.int64))[0]])


def line_sums(values: Tensor, line_tokens: Tensor) -> Tensor:
    """Sums ``[l]`` of ``values`` ``[n]`` over the tokens of each line (``PaddedBatch.line_tokens``)."""
    first, last = line_tokens
    lengths = last - first + 1
    line = torch.repeat_interleave(lengths)
    within = torch.arange(len(line), device=line.device) - (lengths.cumsum(0) - lengths)[line]
    return values.new_zeros(len(lengths)).index_add(0, line, values[first[line] + within])


def _spread(offsets: IntArray, starts: IntArray) -> NDArray[np.int64]:
    """``starts[i], starts[i] + 1, …`` for as many items as ragged row ``i`` has."""
    at: NDArray[np.int64] = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], np.diff(offsets))
    return at


def _mask(owner: Tensor, shared: bool) -> Tensor:
    """See ``PaddedBatch.attention_mask``; ``owner`` is ``[b, t]``: 0 prompt, 1… responses, -1 padding."""
    if not shared:
        mask = (owner >= 0).long()
        mask[:, 0] = 1  # a row of padding only still needs one key to attend to
        return mask
    time = torch.arange(owner.shape[1])
    query, key = owner[:, :, None], owner[:, None, :]
    causal = time[:, None] >= time[None, :]
    seen = causal & (((key == 0) & (query >= 0)) | (key == query))
    # padding attends to itself: a softmax row without any key is nan
    return (seen | torch.eye(owner.shape[1], dtype=torch.bool))[:, None]
