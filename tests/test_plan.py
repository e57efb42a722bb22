"""Plans: hand-counted parameters and bytes, what fits, and settings that make the rest fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
from transformers import LlamaConfig

import prl_ray
from prl_ray.plan_layout import lines, nearest, plan_for, step_seconds
from prl_ray.plan_memory import GIB, PROCESS, Shape

LLAMA = LlamaConfig(
    vocab_size=1000,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    tie_word_embeddings=False,
)
SEVEN_BILLION = Shape(
    parameters=7_615_616_512,
    embeddings=1_090_519_040,
    linear=28 * (3 * (3584 + 18944) + 2 * (3584 + 3584) + 2 * (3584 + 512)),
    layers=28,
    hidden=3584,
    inner=18944,
    heads=28,
    kv_heads=4,
    head_size=128,
    vocabulary=152064,
)


def test_the_shape_is_counted_without_weights() -> None:
    shape = Shape.of(LLAMA)
    layer = 2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128 + 2 * 64
    assert shape.parameters == 2 * layer + 2 * 1000 * 64 + 64
    assert shape.embeddings == 2 * 1000 * 64
    assert shape.linear == 2 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
    assert (shape.heads, shape.kv_heads, shape.head_size, shape.inner) == (4, 2, 16, 128)


def parts(*overrides: str) -> dict[str, int]:
    config = prl_ray.compose(["+cluster=multi_node", "reward=outcome", "algorithm.estimator=rloo", *overrides])
    return next(n.parts for n in plan_for(SEVEN_BILLION, config, 2).needs if n.role == "learner")


def test_training_states_by_zero_stage() -> None:
    """bfloat16 on four ranks: 2 bytes of weights, 6 of gradients and 12 of optimizer a parameter, shared by stage."""
    n = SEVEN_BILLION.parameters
    largest = 152064 * 3584 * 2
    assert (parts("algorithm.zero_stage=0")["optimizer"], parts()["optimizer"]) == (12 * n, 12 * n // 4)
    assert (parts()["gradients"], parts("algorithm.zero_stage=2")["gradients"]) == (6 * n, 6 * n // 4)
    assert (parts()["weights"], parts("algorithm.zero_stage=3")["weights"]) == (2 * n, 2 * n // 4 + largest)
    assert parts()["reference"] == 2 * n


def test_adapters_train_little_and_need_no_reference() -> None:
    found, trained = parts("model.lora.rank=8"), 8 * SEVEN_BILLION.linear
    assert "reference" not in found
    assert found["gradients"] == 6 * trained and found["optimizer"] == 12 * trained // 4
    assert found["weights"] == 2 * (SEVEN_BILLION.parameters + trained)


def test_a_sleeping_engine_leaves_its_memory_to_the_learner() -> None:
    layout = ["+cluster=single_gpu", "reward=outcome", "algorithm.estimator=rloo", "model.lora.rank=8"]
    awake, level1, level2 = (
        plan_for(SEVEN_BILLION, prl_ray.compose([*layout, f"cluster.generator_sleep={level}"]), 2, 64 * GIB)
        for level in range(3)
    )
    need = {n.role: n for n in level1.needs}
    engine, learner = need["generator"], need["learner"]
    shared = [plan.devices[0].needed for plan in (awake, level1, level2)]
    sampling = engine.total + learner.total - learner.parts["activations"]
    learning = PROCESS + learner.total
    assert shared == [engine.total + learner.total, *[max(sampling, learning)] * 2]
    assert need["weights of a sleeping generator"].total == 2 * SEVEN_BILLION.parameters
    assert level1.devices[-1].name == "main memory" and len(level2.devices) == 1


def test_what_a_gpu_does_not_hold_is_counted_in_main_memory() -> None:
    n = SEVEN_BILLION.parameters
    layout = ["+cluster=multi_node", "reward=outcome", "algorithm.estimator=rloo", "algorithm.zero_stage=3"]
    config = prl_ray.compose([*layout, "algorithm.offload=all"])
    plan = plan_for(SEVEN_BILLION, config, 2, main_memory=64 * GIB)
    (offloaded,) = [need for need in plan.needs if need.role == "offloaded by a learner"]
    assert offloaded.parts == {"optimizer": 12 * n // 4, "weights": 2 * n // 4} and not offloaded.gpus
    learner = next(need for need in plan.needs if need.role == "learner")
    assert learner.parts["optimizer"] == 0 and learner.parts["weights"] == 152064 * 3584 * 2
    (memory,) = [device for device in plan.devices if device.name == "main memory"]
    assert memory.needed == offloaded.total and memory.fits
    small = plan_for(SEVEN_BILLION, config, 2, main_memory=16 * GIB)
    assert not small.fits


def test_checkpointing_keeps_one_layer() -> None:
    assert parts("model.gradient_checkpointing=true")["activations"] < parts()["activations"] / 5


def test_what_does_not_fit_comes_with_settings_that_do() -> None:
    config = prl_ray.compose(["+cluster=multi_node", "reward=outcome", "algorithm.estimator=rloo"])
    plan = plan_for(SEVEN_BILLION, config, 2)
    assert not plan.fits
    advice = nearest(SEVEN_BILLION, config, 2)
    assert advice
    again = prl_ray.compose(["+cluster=multi_node", "reward=outcome", "algorithm.estimator=rloo", *advice])
    assert plan_for(SEVEN_BILLION, again, 2).fits
    text = "\n".join(lines(plan, config, 2))
    assert "DOES NOT FIT" in text and advice[0] in text


def test_nothing_helps_where_the_engine_alone_is_too_large() -> None:
    config = prl_ray.compose(["+cluster=multi_node", "cluster.gpu_memory_gb=10"])
    assert nearest(SEVEN_BILLION, config, 2) is None
    assert "no setting of this layout fits" in "\n".join(lines(plan_for(SEVEN_BILLION, config, 2), config, 2))


def test_roles_with_shares_of_a_gpu_are_on_one_together() -> None:
    config = prl_ray.compose(["+cluster=single_gpu", "reward=process_mean", "cluster.gpu_memory_gb=24"])
    (device,) = plan_for(Shape.of(LLAMA), config, 2).devices
    assert [need.role for need, _ in device.holds] == ["generator", "scorer", "learner"]
    assert device.room == 24 * GIB and device.fits and device.needed > 3 * PROCESS


def test_a_step_of_the_stored_model_takes_the_stored_time() -> None:
    config = prl_ray.compose(["loop.prompts_per_step=8", "loop.samples_per_prompt=4"])
    same = replace(SEVEN_BILLION, parameters=134_515_008)
    assert sum(step_seconds(same, config).values()) == pytest.approx(24.3, rel=0.02)
    assert step_seconds(same, prl_ray.compose(["+cluster=single_gpu"])) == {}
