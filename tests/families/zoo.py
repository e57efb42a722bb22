"""Small random models of many families, each with what is its own: biases, windows, caps, scales, positions."""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel

VOCAB = 96
_SIZES = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 128,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
_GPT2 = {"vocab_size": VOCAB, "n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 128, "eos_token_id": 2}

FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {"tie_word_embeddings": False}),
    "llama3-rope-scaling": (
        "llama",
        {
            "rope_scaling": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
    ),
    "qwen2": ("qwen2", {"tie_word_embeddings": True}),
    "qwen3": ("qwen3", {}),
    "mistral-window": ("mistral", {"sliding_window": 8}),
    "phi": ("phi", {"tie_word_embeddings": False}),
    "phi3": ("phi3", {}),
    "gpt2": ("gpt2", _GPT2),
    "gpt-neox": ("gpt_neox", {}),
    "starcoder2": ("starcoder2", {"sliding_window": 8, "use_bias": True}),
    "olmo2": ("olmo2", {}),
    "gemma": ("gemma", {}),
    "gemma2": ("gemma2", {"sliding_window": 8, "final_logit_softcapping": 0.5, "attn_logit_softcapping": 5.0}),
    "gemma3": ("gemma3_text", {"sliding_window": 8}),
    "granite": ("granite", {"logits_scaling": 4.0, "embedding_multiplier": 3.0, "residual_multiplier": 0.5}),
    "cohere": ("cohere", {"logit_scale": 0.25}),
    "cohere2": ("cohere2", {"logit_scale": 0.25, "sliding_window": 8}),
}
WINDOW = 8


def build(name: str) -> PreTrainedModel:
    """A random model of the family, with biases and norms that are not their neutral starting values."""
    kind, own = FAMILIES[name]
    config = AutoConfig.for_model(kind, **(own if kind == "gpt2" else {**_SIZES, **own}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        model = AutoModelForCausalLM.from_config(config, attn_implementation="eager")
        with torch.no_grad():
            for name_, parameter in model.named_parameters():
                if name_.endswith("bias") or "norm" in name_:
                    parameter.add_(0.1 * torch.randn_like(parameter))
                else:
                    parameter.mul_(3.0)
    return model.eval()
