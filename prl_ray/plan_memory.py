"""Memory that each role of a run needs on one device, computed from the configuration.

Weights, gradients and optimizer states follow from the number of parameters, the number format and ZeRO's stage (arXiv
1910.02054, section 3); activations from the tokens of a micro-batch (arXiv 2205.05198, section 4, without dropout).
These are estimates for tensors; ``PROCESS`` adds libraries and the CUDA context.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING

from prl_ray.config import Config

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

GIB = 1 << 30
PROCESS = int(0.6 * GIB)
"""Bytes of Python, torch and the libraries of one process, measured on a CPU (on a GPU, of its CUDA context)."""
KEPT_LOGITS = 1 << 29
"""``keep_bytes`` of ``token_logprobs``."""
CHUNK = 256
"""Tokens of a chunk of ``token_logprobs``, whose distributions are in float32."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The properties of a model that determine its memory."""

    parameters: int
    embeddings: int
    """Parameters of the embedding, and of an untied head."""
    linear: int
    """Sum of inputs and outputs over the trunk's linear layers: adapters of rank r have r times as many parameters."""
    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    head_size: int
    vocabulary: int

    @classmethod
    def of(cls, config: PreTrainedConfig) -> Shape:
        """The shape of a Hugging Face configuration; builds the model without allocating weights."""
        import torch
        from torch import nn
        from transformers import AutoModelForCausalLM
        from transformers.pytorch_utils import Conv1D

        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        text = config.get_text_config()
        embedding, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
        trunk = [m.weight for m in model.base_model.modules() if isinstance(m, nn.Linear | Conv1D)]
        heads = int(text.num_attention_heads)
        return cls(
            parameters=sum(p.numel() for p in model.parameters()),
            embeddings=embedding.numel() + (0 if head is embedding else head.numel()),
            linear=sum(sum(weight.shape) for weight in trunk),
            layers=int(text.num_hidden_layers),
            hidden=int(text.hidden_size),
            inner=max(max(weight.shape) for weight in trunk),
            heads=heads,
            kv_heads=int(getattr(text, "num_key_value_heads", None) or heads),
            head_size=int(getattr(text, "head_dim", None) or text.hidden_size // heads),
            vocabulary=int(text.vocab_size),
        )


@dataclass(frozen=True)
class Need:
    """Bytes of one actor of a role, by purpose."""

    role: str
    actors: int
    gpus: float
    """Of one actor; 0 for main memory."""
    parts: dict[str, int] = field(default_factory=dict)
    freed: frozenset[str] = frozenset()
    """Parts that are not in memory while another role works on the same device."""

    @property
    def total(self) -> int:
        """Of one actor."""
        return sum(self.parts.values())

    @property
    def idle(self) -> int:
        """Of one actor while another role works."""
        return sum(size for part, size in self.parts.items() if part not in self.freed)


def needs(shape: Shape, config: Config, dtype_bytes: int, reward_models: int, critic: str) -> list[Need]:
    """Memory of every role that holds a model. ``critic`` is the form of ``CriticPlan``."""
    cluster = config.cluster
    trainer, moved = _trainer(shape, config, dtype_bytes)
    learner = dict(trainer)
    adapted = config.model.lora.rank > 0
    if config.algorithm.kl_coef > 0 and not adapted:
        learner["reference"] = shape.parameters * dtype_bytes
    more = [name for name, there in (("critic", critic == "full"), ("online PRM", config.prm.online)) if there]
    learner |= dict.fromkeys(more, sum(trainer[part] for part in ("weights", "gradients", "optimizer")))
    moved = {name: (1 + len(more)) * size for name, size in moved.items()}
    engine = _generator(shape, config, dtype_bytes)
    sleeps = cluster.generator_sleep > 0
    asleep, cached = (frozenset({"weights", "KV cache"}), frozenset({"activations"})) if sleeps else (frozenset(),) * 2
    found = [
        Need("generator", cluster.generators, cluster.generator_gpus, engine, asleep),
        Need("learner", cluster.learners, cluster.learner_gpus, learner, cached),
    ]
    models = reward_models + (1 if critic == "head" and not reward_models else 0)
    if models:
        trunk = (shape.parameters - shape.embeddings // 2) * dtype_bytes
        scorer = {"weights": models * trunk, "activations": _one_layer(shape, config, dtype_bytes)}
        found.insert(1, Need("scorer", cluster.scorers, cluster.scorer_gpus, {**scorer, "process": PROCESS}))
    if cluster.generator_sleep == 1:
        found.append(Need("weights of a sleeping generator", cluster.generators, 0.0, {"weights": engine["weights"]}))
    if any(moved.values()):
        found.append(Need("offloaded by a learner", cluster.learners, 0.0, moved))
    return found


def _trainer(shape: Shape, config: Config, dtype_bytes: int) -> tuple[dict[str, int], dict[str, int]]:
    """Memory of one rank of a model in training: on its device, and in main memory for a rank on a GPU."""
    algorithm, ranks = config.algorithm, config.cluster.learners
    on_gpu = config.cluster.learner_gpus > 0
    stage = algorithm.zero_stage if ranks > 1 or algorithm.offload != "none" else 0
    parameters = shape.parameters
    trained = config.model.lora.rank * shape.linear if config.model.lora.rank else parameters
    frozen = parameters if config.model.lora.rank else 0
    mixed = dtype_bytes == 2
    # Adam's two moments in float32; bfloat16 adds a float32 master, and float32 sums of the gradients
    optimizer = trained * (12 if mixed else 8) // (ranks if stage >= 1 else 1)
    gradients = trained * (6 if mixed else 4) // (ranks if stage >= 2 else 1)
    weights = (trained + frozen) * dtype_bytes // (ranks if stage == 3 else 1)
    moved = {"optimizer": optimizer * (algorithm.offload != "none"), "weights": weights * (algorithm.offload == "all")}
    if not on_gpu:  # it is in main memory anyway
        moved = dict.fromkeys(moved, 0)
    optimizer, weights = optimizer - moved["optimizer"], weights - moved["weights"]
    if stage == 3:  # the largest parameter is gathered while it is used
        weights += max(shape.vocabulary * shape.hidden, shape.inner * shape.hidden) * dtype_bytes
    return {
        "weights": weights,
        "gradients": gradients,
        "optimizer": optimizer,
        "activations": _activations(shape, config, dtype_bytes),
        "process": PROCESS,
    }, moved


def _tokens(config: Config) -> int:
    """Padded tokens of one pass: a sample is never split."""
    longest = config.model.max_prompt_tokens + config.model.max_response_tokens
    return max(config.algorithm.micro_batch_tokens, longest)


def _one_layer(shape: Shape, config: Config, dtype_bytes: int) -> int:
    """Bytes that one layer keeps of a micro-batch for its backward pass."""
    tokens = _tokens(config)
    longest = config.model.max_prompt_tokens + config.model.max_response_tokens
    attention = 2 * shape.heads * shape.head_size + 2 * shape.kv_heads * shape.head_size
    per_token = 6 * shape.hidden + attention + 4 * shape.inner
    # without a fused kernel the attention's scores and probabilities are kept, the latter also in float32
    scores = 0 if config.cluster.learner_gpus else shape.heads * longest * (2 * dtype_bytes + 4)
    return tokens * (per_token * dtype_bytes + scores)


def _activations(shape: Shape, config: Config, dtype_bytes: int) -> int:
    tokens, layer = _tokens(config), _one_layer(shape, config, dtype_bytes)
    inputs = shape.layers * tokens * shape.hidden * dtype_bytes
    trunk = inputs + layer if config.model.gradient_checkpointing else shape.layers * layer
    kept = min(KEPT_LOGITS, tokens * shape.vocabulary * dtype_bytes)
    return trunk + kept + 3 * CHUNK * shape.vocabulary * 4


def _generator(shape: Shape, config: Config, dtype_bytes: int) -> dict[str, int]:
    """Memory of one device of an engine, with the KV cache of all samples of a step, up to vLLM's limit."""
    per_token = 2 * shape.layers * shape.kv_heads * shape.head_size * dtype_bytes
    length = config.model.max_prompt_tokens + config.model.max_response_tokens
    samples = config.loop.prompts_per_step * config.loop.samples_per_prompt
    wanted = min(128, ceil(samples / config.cluster.generators)) * length * per_token
    cache = max(wanted, length * per_token) if config.cluster.generator_gpus else GIB
    return {"weights": shape.parameters * dtype_bytes, "KV cache": cache, "process": PROCESS}
