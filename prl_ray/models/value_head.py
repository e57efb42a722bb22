"""The critic's head: one value per position from a trunk's features."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ValueHead(nn.Module):
    """Values from hidden states, computed in float32: ``[..., hidden]`` → ``[...]``.

    Starts at exactly 0 everywhere: so before the first update advantages are the returns themselves, without noise from
    random values.
    """

    def __init__(self, hidden: int, width: int = 256) -> None:
        """``hidden`` is the trunk's hidden size; ``width`` that of one hidden layer, 0 for a linear head."""
        super().__init__()
        self.norm = nn.LayerNorm(hidden)
        self.body = nn.Sequential(nn.Linear(hidden, width), nn.GELU()) if width else nn.Identity()
        self.out = nn.Linear(width or hidden, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Values ``[...]`` in the head's own dtype."""
        x = features.to(self.out.weight.dtype)
        values: Tensor = self.out(self.body(self.norm(x)))
        return values.squeeze(-1)

    @torch.no_grad()
    def start_from(self, value: float) -> None:
        """Sets the output of an untrained head to a constant, e.g. the mean return of the first batch."""
        self.out.bias.fill_(value)
