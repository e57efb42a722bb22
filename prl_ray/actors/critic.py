"""A critic with a trunk of its own, trained whole (``algorithm.critic=full``)."""

from __future__ import annotations

from torch import Tensor, nn

from prl_ray.models.value_head import ValueHead


class TrunkCritic(nn.Module):
    """The trunk of a causal LM or reward model with a value head on it."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        trunk: nn.Module = model.base_model  # type: ignore[assignment]
        self.base_model = trunk
        self.config = model.config
        dtype = next(trunk.parameters()).dtype
        self.head = ValueHead(int(model.config.hidden_size)).to(dtype)  # type: ignore[union-attr,arg-type]

    def value(self, states: Tensor) -> Tensor:
        """Values ``[n]`` of hidden states ``[n, hidden]``."""
        values: Tensor = self.head(states)
        return values
