"""Log-probabilities and entropies of given tokens, without materialising all logits.

With a vocabulary of 49,152 the logits of a 4,096-token micro-batch take 0.8 GB in float32, and autograd keeps several
copies. ``token_logprobs`` processes chunks of tokens: logits in the weights' own dtype, log-softmax in float32. For the
backward pass it keeps ``softmax - onehot``, in the dtype of the hidden states, for as many tokens as fit into
``keep_bytes``, and recomputes it for the others. If all are kept, the backward pass consists of two matrix products.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

Head = Callable[[Tensor], Tensor]
"""Hidden states ``[n, d]`` -> logits ``[n, vocabulary]``."""


def token_logprobs(
    hidden: Tensor,
    head: Tensor | Head,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    temperature: float = 1.0,
    with_entropy: bool = True,
    chunk: int = 256,
    keep_bytes: int = 1 << 29,
) -> tuple[Tensor, Tensor]:
    """Log-probability of each target and entropy of each distribution, in nats: two float32 tensors ``[n]``.

    ``hidden`` is ``[n, d]``, ``targets`` int64 ``[n]``. ``head`` is the output weight ``[vocabulary, d]`` (fast: one
    autograd node with its own backward pass) or any callable such as the head module (needed for a sharded weight; each
    chunk is checkpointed). Differentiable in ``hidden``, weight and ``bias``. Without ``with_entropy`` the entropies
    are zeros and cost nothing.
    """
    if isinstance(head, Tensor):
        apply = cast(Callable[..., tuple[Tensor, Tensor]], _TokenLogprobs.apply)
        return apply(hidden, head, bias, targets, temperature, with_entropy, chunk, keep_bytes)
    if len(targets) == 0:
        empty = hidden.float().sum(-1)
        return empty, empty.detach()
    parts = [
        checkpoint(_chunk_logprobs, h, head, bias, t, temperature, with_entropy, use_reentrant=False)
        for h, t in zip(torch.split(hidden, chunk), torch.split(targets, chunk), strict=True)
    ]
    return torch.cat([p[0] for p in parts]), torch.cat([p[1] for p in parts])


def _chunk_logprobs(
    hidden: Tensor, head: Head, bias: Tensor | None, targets: Tensor, temperature: float, with_entropy: bool
) -> tuple[Tensor, Tensor]:
    logits = head(hidden).float()
    log_p = torch.log_softmax((logits if bias is None else logits + bias) / temperature, -1)
    logprobs = log_p.gather(-1, targets[:, None])[:, 0]
    return logprobs, _entropy(log_p.exp(), log_p, bias) if with_entropy else torch.zeros_like(logprobs)


def _entropy(p: Tensor, log_p: Tensor, bias: Tensor | None) -> Tensor:
    # A token banned by a bias of -inf has p = 0 and p log p = nan.
    return -(p * (log_p if bias is None else log_p.clamp(min=-1e30))).sum(-1)


class _TokenLogprobs(torch.autograd.Function):
    """``d logp / d z = onehot - p`` and ``d H / d z = -p (log p + H)``, for tempered logits ``z``."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: float,
        with_entropy: bool,
        chunk: int,
        keep_bytes: int,
    ) -> tuple[Tensor, Tensor]:
        logprobs = hidden.new_zeros(len(targets), dtype=torch.float32)
        entropies = torch.zeros_like(logprobs)
        row_bytes = len(weight) * hidden.element_size()
        keep = min(keep_bytes // row_bytes, len(targets)) if any(ctx.needs_input_grad[:3]) else 0
        kept = hidden.new_empty(keep, len(weight))
        for start in range(0, len(targets), chunk):
            part = slice(start, start + chunk)
            log_p = _log_softmax(hidden[part], weight, bias, temperature)
            logprobs[part] = log_p.gather(-1, targets[part, None])[:, 0]
            room = kept[part]
            if with_entropy:
                p = log_p.exp()
                entropies[part] = _entropy(p, log_p, bias)
                log_p = p
            elif len(room):
                log_p.exp_()
            if len(room):
                room.copy_(_less_onehot(log_p[: len(room)], targets[part]))
        ctx.save_for_backward(hidden, weight, bias, targets, entropies, kept)
        ctx.temperature, ctx.with_entropy, ctx.chunk = temperature, with_entropy, chunk
        if not with_entropy:
            ctx.mark_non_differentiable(entropies)
        return logprobs, entropies

    @staticmethod
    def backward(ctx: Any, grad_logprobs: Tensor, grad_entropies: Tensor) -> Any:
        hidden, weight, bias, targets, entropies, kept = ctx.saved_tensors
        entropy_counts = ctx.with_entropy and bool(grad_entropies.any())
        sums = _Gradients(hidden, weight, bias, ctx.needs_input_grad)
        # The kept rows are processed at once, unless an entropy gradient needs float32 copies of vocabulary width.
        edges = [*range(0, len(kept), ctx.chunk if entropy_counts else max(len(kept), 1))]
        edges += [*range(len(kept), len(targets), ctx.chunk), len(targets)]
        for start, stop in pairwise(edges):
            part = slice(start, stop)
            gap = kept[part]
            if start >= len(kept):
                log_p = _log_softmax(hidden[part], weight, bias, ctx.temperature)
                gap = _less_onehot(log_p.exp_(), targets[part])
            scale = -grad_logprobs[part, None] / ctx.temperature
            if entropy_counts:
                entropy_scale = -grad_entropies[part, None] / ctx.temperature
                gap = _with_entropy(gap, targets[part], scale, entropy_scale, entropies[part, None])
                scale = torch.ones_like(scale)
            sums.add(part, gap.to(hidden.dtype), scale)
        return *sums.finished(), *[None] * 5


class _Gradients:
    """Gradients of hidden states, weight and bias, accumulated over parts of the tokens; None if not needed."""

    def __init__(self, hidden: Tensor, weight: Tensor, bias: Tensor | None, wanted: tuple[bool, ...]) -> None:
        self.inputs = hidden, weight, bias
        self.wanted = wanted
        self.hidden = torch.zeros_like(hidden) if wanted[0] else None
        self.weight: Tensor | None = None
        self.bias: Tensor | None = None

    def add(self, part: slice, gap: Tensor, scale: Tensor) -> None:
        """Adds the logits' gradient ``scale * gap`` ``[part, vocabulary]``; ``scale`` is float32 ``[part, 1]``."""
        hidden, weight, _ = self.inputs
        if self.hidden is not None:
            self.hidden[part] = (gap @ weight.to(gap.dtype)).mul_(scale)
        if self.wanted[1]:
            self.weight = _sum(self.weight, gap.T @ (hidden[part] * scale).to(gap.dtype))
        if self.wanted[2]:
            self.bias = _sum(self.bias, (gap.T @ scale.to(gap.dtype))[:, 0])

    def finished(self) -> tuple[Tensor | None, ...]:
        """The gradients in the order and dtypes of the inputs."""
        _, weight, bias = self.inputs
        for_weight = torch.zeros_like(weight) if self.wanted[1] and self.weight is None else self.weight
        return (
            self.hidden,
            None if for_weight is None else for_weight.to(weight.dtype),
            None if self.bias is None or bias is None else self.bias.to(bias.dtype),
        )


def _sum(total: Tensor | None, part: Tensor) -> Tensor:
    # In float32 from the second part on: rounding a bfloat16 sum at each part would accumulate errors.
    return part if total is None else total.float().add_(part)


def _log_softmax(hidden: Tensor, weight: Tensor, bias: Tensor | None, temperature: float) -> Tensor:
    logits = (hidden @ weight.to(hidden.dtype).T).float()
    if bias is not None:
        logits += bias
    if temperature != 1.0:
        logits /= temperature
    return torch.log_softmax(logits, -1)


def _less_onehot(p: Tensor, targets: Tensor) -> Tensor:
    """``p - onehot(targets)``, in place. In float32: bfloat16 would round a ``p`` of 0.999 to 1."""
    return p.scatter_add_(-1, targets[: len(p), None], torch.full_like(p[:, :1], -1))


def _with_entropy(gap: Tensor, targets: Tensor, scale: Tensor, entropy_scale: Tensor, entropy: Tensor) -> Tensor:
    """``scale (p - onehot) + entropy_scale p (log p + H)``, float32 ``[part, vocabulary]``."""
    p = gap.float().scatter_add(-1, targets[:, None], torch.ones_like(scale))
    weighted = p.clamp(min=1e-30).log_().add_(entropy).mul_(p).mul_(entropy_scale)
    return weighted.addcmul_(gap.float(), scale)
