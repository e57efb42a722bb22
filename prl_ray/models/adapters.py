"""Training of all weights or of LoRA adapters (arXiv 2106.09685), with or without gradient checkpointing.

PEFT inserts the adapters into the model's own layers, so trunk, head and configuration keep their places. Merged
weights are computed one at a time, without a second copy of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from prl_ray.errors import ConfigError, ModelError
from prl_ray.models.named_weights import Weight, named_weights
from prl_ray.models.reward_model import HEAD_NAMES

if TYPE_CHECKING:
    from peft.tuners.lora import LoraLayer
    from transformers import PreTrainedModel

    from prl_ray.config import LoraConfig, ModelConfig

ADAPTER = "default"
"""The name of the single adapter in transformers and PEFT."""
_BASE, _PART = "base_layer.", ".lora_"

Gather = Callable[[Sequence[Tensor]], AbstractContextManager[object]]
"""A context in which sharded parameters are gathered; every rank must enter it."""


def prepare_training(
    model: PreTrainedModel, settings: ModelConfig, seed: int, base: Path | str, *, dropout: bool = False
) -> None:
    """Prepares ``model``, loaded from the folder ``base``, for training with the settings.

    ``dropout`` enables the adapters' dropout. PPO uses none: equal weights must give equal probabilities.
    """
    use_attention(model, settings.attention)
    if settings.lora.rank:
        add_adapters(model, settings.lora if dropout else replace(settings.lora, dropout=0.0), seed, base)
    if settings.gradient_checkpointing:
        checkpoint_gradients(model)


def use_attention(model: PreTrainedModel, name: str) -> None:
    """Switches a loaded model to an attention implementation of transformers; ``auto`` is the one it was loaded with.

    Raises ``ModelError`` if this installation or this model has no such kernels.
    """
    if name == "auto":
        return
    try:
        model.set_attn_implementation(name)
    except (ImportError, ValueError) as error:
        raise ModelError(f"model.attention={name} cannot be used here, take auto: {error}") from error


def add_adapters(model: PreTrainedModel, lora: LoraConfig, seed: int, base: Path | str) -> None:
    """Freezes ``model`` and inserts LoRA adapters, initially without effect, into its linear layers; ``base`` is the
    folder of the model that the adapters belong to.

    Raises ``ConfigError`` if ``model.lora.targets`` names no layer.
    """
    from peft import LoraConfig as PeftConfig

    settings = PeftConfig(
        r=lora.rank,
        lora_alpha=lora.alpha or 2 * lora.rank,
        lora_dropout=lora.dropout,
        target_modules=target_layers(model, lora.targets),
        base_model_name_or_path=str(base),
    )
    trained_head = [p for name in HEAD_NAMES for p in _parameters(model, name) if p.requires_grad]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model.add_adapter(settings, adapter_name=ADAPTER)
    for parameter in trained_head:  # a new head is trained in full
        parameter.requires_grad_(True)


def target_layers(model: nn.Module, names: Sequence[str]) -> list[str]:
    """Full names of the trunk's linear layers; only those whose last part is one of ``names``, if there are any.

    Raises ``ConfigError`` for a name that no such layer has.
    """
    from transformers.pytorch_utils import Conv1D

    trunk: nn.Module = model.base_model  # type: ignore[assignment]
    inside = {id(module) for module in trunk.modules()}
    linear = [n for n, m in model.named_modules() if id(m) in inside and isinstance(m, nn.Linear | Conv1D)]
    known = sorted({name.rpartition(".")[2] for name in linear})
    if unknown := sorted(set(names) - set(known)):
        have = ", ".join(known)
        raise ConfigError(f"config: model.lora.targets: no layer is named {unknown[0]}; this model has {have}")
    return [name for name in linear if not names or name.rpartition(".")[2] in names]


def checkpoint_gradients(model: PreTrainedModel) -> None:
    """Recomputes each layer's activations in the backward pass instead of keeping them.

    transformers does so in training mode only; dropout is off in all models here (``without_dropout``). Raises
    ``ModelError`` for an architecture that does not support it.
    """
    try:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    except ValueError as error:
        raise ModelError(f"model.gradient_checkpointing=true: {error}") from error
    model.train()


def is_adapted(model: nn.Module) -> bool:
    """Whether the model has adapters."""
    return bool(getattr(model, "_hf_peft_config_loaded", False))


@contextmanager
def without_adapters(model: PreTrainedModel) -> Iterator[None]:
    """A context in which the adapters are disabled."""
    model.disable_adapters()
    try:
        yield
    finally:
        model.enable_adapters()


def _whole(parameters: Sequence[Tensor]) -> AbstractContextManager[object]:
    return nullcontext()


@torch.no_grad()
def merged_weights(model: nn.Module, gather: Gather = _whole) -> Iterator[Weight]:
    """All weights of a model one at a time, with merged adapters, under the names of the architecture without adapters.

    Every rank of a sharded model must iterate over all of them.
    """
    state = model.state_dict(keep_vars=True)
    layers: dict[str, str] = {}
    if is_adapted(model):
        suffix = f"{_BASE}weight"
        layers = {name.replace(_BASE, ""): name.removesuffix(f".{suffix}") for name in state if name.endswith(suffix)}
        state = {name.replace(_BASE, ""): tensor for name, tensor in state.items() if _PART not in name}
    for weight in named_weights(state):
        if weight.same_as:
            yield weight
        elif weight.name in layers:
            yield Weight(weight.name, _merged(model.get_submodule(layers[weight.name]), gather))
        else:
            with gather([weight.value]):
                yield Weight(weight.name, weight.value.detach())


def _merged(layer: LoraLayer, gather: Gather) -> Tensor:
    base: Tensor = layer.base_layer.weight
    with gather([base, layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight]):
        delta: Tensor = layer.get_delta_weight(ADAPTER)
        return (base.float() + delta.float()).to(base.dtype)


def _parameters(model: nn.Module, name: str) -> list[nn.Parameter]:
    part = getattr(model, name, None)
    return list(part.parameters()) if isinstance(part, nn.Module) else []
