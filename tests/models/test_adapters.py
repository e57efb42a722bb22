"""LoRA adapters: they start as nothing, merge exactly, are saved in PEFT's format, and switch off."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from prl_ray.config import LoraConfig, ModelConfig
from prl_ray.errors import ConfigError
from prl_ray.models.adapters import merged_weights, prepare_training, without_adapters
from prl_ray.models.named_weights import Weight
from prl_ray.models.policy import load_policy, load_tokenizer
from prl_ray.models.reward_model import init_reward_model
from prl_ray.models.saving import ADAPTER_FOLDER, save_model, write_shards

IDS = torch.arange(24).reshape(2, 12) * 13 % 90


def adapted(folder: Path, settings: LoraConfig, *, trained: bool = True) -> Any:
    model = load_policy(folder, torch.float32)
    prepare_training(model, ModelConfig(lora=settings), 5, folder)
    if trained:
        torch.manual_seed(0)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.1)
    return model


@torch.no_grad()
def logits(model: Any) -> torch.Tensor:
    found: torch.Tensor = model(input_ids=IDS, use_cache=False).logits
    return found


def test_fresh_adapters_change_nothing_and_are_all_that_learns(tiny: Path) -> None:
    model, plain = adapted(tiny, LoraConfig(rank=4), trained=False), load_policy(tiny, torch.float32)
    assert torch.equal(logits(model), logits(plain))
    learns = [name for name, p in model.named_parameters() if p.requires_grad]
    assert learns and all(".lora_" in name for name in learns)
    assert not any("lm_head" in name or "embed" in name for name in learns)


def test_merged_weights_are_base_plus_scaled_product(tiny: Path) -> None:
    model, plain = adapted(tiny, LoraConfig(rank=4, alpha=6.0)), load_policy(tiny, torch.float32)
    before, merged = plain.state_dict(), {w.name: w.value for w in merged_weights(model)}
    assert merged.keys() == before.keys()
    layer = model.model.layers[1].mlp.up_proj
    product = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
    name = "model.layers.1.mlp.up_proj.weight"
    assert torch.allclose(merged[name], before[name] + 6.0 / 4 * product, atol=1e-6)
    assert torch.equal(merged["model.norm.weight"], before["model.norm.weight"])


def test_saved_adapters_load_merged_and_with_peft(tiny: Path, tmp_path: Path) -> None:
    model = adapted(tiny, LoraConfig(rank=3))
    expected = logits(model)
    save_model(model, load_tokenizer(tiny), tmp_path / "out", merged_weights(model), nullcontext())
    assert torch.allclose(logits(load_policy(tmp_path / "out", torch.float32)), expected, atol=1e-5)
    base = AutoModelForCausalLM.from_pretrained(tiny, dtype=torch.float32)
    with_peft = PeftModel.from_pretrained(base, tmp_path / "out" / ADAPTER_FOLDER)
    assert torch.allclose(logits(with_peft), expected, atol=1e-5)
    assert not torch.allclose(logits(load_policy(tiny, torch.float32)), expected, atol=1e-3)


def test_switched_off_it_is_the_model_from_before(tiny: Path) -> None:
    model, plain = adapted(tiny, LoraConfig(rank=4)), load_policy(tiny, torch.float32)
    expected = logits(model)
    with without_adapters(model):
        assert torch.equal(logits(model), logits(plain))
    assert torch.equal(logits(model), expected)
    assert any(p.requires_grad for p in model.parameters()), "it learns on"


def test_targets_choose_layers_and_unknown_ones_are_named(tiny: Path) -> None:
    model = adapted(tiny, LoraConfig(rank=2, targets=["q_proj", "v_proj"]))
    touched = {name.split(".lora_")[0].rpartition(".")[2] for name, _ in model.named_parameters() if ".lora_" in name}
    assert touched == {"q_proj", "v_proj"}
    with pytest.raises(ConfigError, match=r"no layer is named c_attn; this model has .*q_proj"):
        adapted(tiny, LoraConfig(rank=2, targets=["c_attn"]))


def test_a_reward_models_head_learns_whole(tiny: Path) -> None:
    model = init_reward_model(tiny, torch.float32)
    prepare_training(model, ModelConfig(lora=LoraConfig(rank=2)), 5, tiny)
    learns = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {"score.weight", "score.bias"} <= learns
    assert all(".lora_" in name or name.startswith("score.") for name in learns)


def test_gradient_checkpointing_changes_no_gradient(tiny: Path) -> None:
    found = []
    for checkpointing in (False, True):
        model = load_policy(tiny, torch.float32)
        prepare_training(model, ModelConfig(gradient_checkpointing=checkpointing), 5, tiny)
        assert getattr(model.model, "gradient_checkpointing", False) == checkpointing
        model(input_ids=IDS, labels=IDS, use_cache=False).loss.backward()
        found.append({name: p.grad for name, p in model.named_parameters()})
    assert all(torch.allclose(found[1][name], grad, atol=1e-6) for name, grad in found[0].items())


def test_shards_hold_at_most_their_size_and_load_as_one(tiny: Path, tmp_path: Path) -> None:
    model = load_policy(tiny, torch.float32)
    limit = 100_000
    sent = [Weight(w.name, w.value, w.same_as) for w in merged_weights(model)]
    write_shards(sent, tmp_path, limit)
    model.config.save_pretrained(tmp_path)
    files = sorted(tmp_path.glob("*.safetensors"))
    largest = max(w.value.numel() * 4 for w in sent)
    assert len(files) > 1 and max(f.stat().st_size for f in files) < max(limit, largest) + 4096
    assert torch.equal(logits(load_policy(tmp_path, torch.float32)), logits(model))
