"""A causal LM's output head as one function: weight, bias, and the model's scaling and capping of the logits.

Learner, SFT and probes all use it, so that training uses the same logits that the engine samples from. Cohere
multiplies its logits, Granite divides them, Gemma applies a soft cap.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from prl_ray.errors import ModelError
from prl_ray.ppo.logprobs import token_logprobs


class HfConfig(Protocol):
    """The part of a Hugging Face model configuration that is used here."""

    def get_text_config(self) -> object:
        """The part that describes the text model; the whole configuration for text-only models."""
        ...


@dataclass(frozen=True, slots=True)
class OutputHead:
    """Logits ``cap(scale * (hidden @ weight.T + bias))``."""

    weight: Tensor
    """``[vocabulary, hidden]``."""
    bias: Tensor | None
    scale: float = 1.0
    cap: float = 0.0
    """``cap * tanh(logits / cap)``; 0 for none (Gemma 2, arXiv 2408.00118, section 2)."""

    def logits(self, hidden: Tensor) -> Tensor:
        """``[..., vocabulary]`` of hidden states ``[..., hidden]``, in their dtype."""
        logits = nn.functional.linear(hidden, self.weight.to(hidden.dtype), self.bias)
        logits = logits * self.scale if self.scale != 1.0 else logits
        return torch.tanh(logits / self.cap) * self.cap if self.cap else logits

    def logprobs(
        self, hidden: Tensor, targets: Tensor, *, temperature: float = 1.0, with_entropy: bool = True
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of targets and entropies, float32 ``[n]`` each; see ``token_logprobs``."""
        if self.cap:
            return token_logprobs(hidden, self.logits, targets, temperature=temperature, with_entropy=with_entropy)
        return token_logprobs(
            hidden,
            self.weight,
            targets,
            bias=self.bias,
            temperature=temperature / self.scale,
            with_entropy=with_entropy,
        )


def output_head(model: nn.Module) -> OutputHead:
    """The head of a Hugging Face causal LM; ``check_head`` verifies that it is complete.

    Raises ``ModelError`` if the model has no output embeddings.
    """
    head: nn.Linear | None = model.get_output_embeddings()  # type: ignore[operator]
    if head is None:
        raise ModelError(f"{type(model).__name__} has no output embeddings to read logits from")
    text = cast("HfConfig", model.config).get_text_config()
    scale = getattr(text, "logit_scale", None) or 1.0
    scale /= getattr(text, "logits_scaling", None) or 1.0
    return OutputHead(head.weight, getattr(head, "bias", None), float(scale), _cap(text))


def _cap(config: object) -> float:
    return float(getattr(config, "final_logit_softcapping", None) or 0.0)
