import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.errors import ConfigError
from prl_ray.models import dtype
from prl_ray.models.dtype import choose_dtype, dither


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_a_configured_format_is_taken_as_it_is(name):
    choice = choose_dtype(name)
    assert (choice.name, choice.dtype, choice.reason) == (name, getattr(torch, name), "as configured")


def test_an_unknown_format_names_the_known_ones():
    with pytest.raises(ConfigError, match="auto, bfloat16, float32"):
        choose_dtype("float16")


@pytest.mark.parametrize(
    ("flags", "speedup", "name", "said"),
    [
        ({"avx2", "avx512_bf16"}, 1.62, "bfloat16", "avx512_bf16, and bf16 is 1.6 times as fast"),
        ({"amx_bf16", "avx512_bf16"}, 1.2, "bfloat16", "amx_bf16 and avx512_bf16"),
        ({"asimd", "bf16"}, 2.0, "bfloat16", "bf16"),
        ({"avx2", "avx512_bf16"}, 0.55, "float32", "avx512_bf16, and bf16 is 0.55 times as fast"),
        ({"avx2", "avx512_bf16"}, 1.1, "float32", "1.1 times as fast"),
        ({"avx512f"}, 2.0, "float32", "no bf16"),
        (set(), 2.0, "float32", "no bf16"),
    ],
)
def test_auto_follows_the_processors_flags_and_speed(monkeypatch, flags, speedup, name, said):
    monkeypatch.setattr(dtype, "processor_flags", lambda: frozenset(flags))
    monkeypatch.setattr(dtype, "bf16_speedup", lambda: speedup)
    choice = choose_dtype("auto")
    assert choice.name == name
    assert said in str(choice)


@pytest.mark.parametrize(
    ("here", "computes", "name", "said"),
    [
        (True, True, "bfloat16", "a card computes in bf16"),
        (True, False, "float32", "no bf16"),
        (False, False, "bfloat16", "GPUs on other nodes"),
    ],
)
def test_auto_asks_the_gpu_where_models_run_on_gpus(monkeypatch, here, computes, name, said):
    monkeypatch.setattr(dtype, "processor_flags", frozenset)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: here)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: computes)
    choice = choose_dtype("auto", on_gpus=True)
    assert choice.name == name
    assert said in str(choice)


def test_the_speed_is_measured_once_and_is_a_ratio():
    first = dtype.bf16_speedup()
    assert 0.001 < first < 1000
    assert dtype.bf16_speedup() == first


GRID = st.floats(-100, 100, width=16).filter(lambda x: x == 0 or abs(x) > 1e-4)


@given(st.lists(GRID, min_size=1, max_size=50), st.integers(0, 100))
def test_dithered_values_round_to_what_they_were(values: list[float], seed: int) -> None:
    exact = torch.tensor(values).to(torch.bfloat16).float()
    moved = dither(exact, torch.bfloat16, torch.Generator().manual_seed(seed))
    assert torch.equal(moved.to(torch.bfloat16).float(), exact)
    assert torch.equal(moved == 0, exact == 0)


def test_small_updates_arrive_on_average() -> None:
    exact = torch.full((100_000,), 0.05).to(torch.bfloat16).float()
    update = 1e-5  # the grid's step at 0.05 is 2.4e-4
    assert torch.equal((exact + update).to(torch.bfloat16).float(), exact), "without dither nothing arrives"
    moved = dither(exact, torch.bfloat16, torch.Generator().manual_seed(0))
    arrived = (moved + update).to(torch.bfloat16).float() - exact
    assert arrived.mean().item() == pytest.approx(update, rel=0.1)
