import pytest
import torch

from prl_ray.errors import ConfigError
from prl_ray.models import dtype
from prl_ray.models.dtype import choose_dtype


@pytest.mark.parametrize("name", ["bfloat16", "float32"])
def test_a_configured_format_is_taken_as_it_is(name):
    choice = choose_dtype(name)
    assert (choice.name, choice.dtype, choice.reason) == (name, getattr(torch, name), "as configured")


def test_an_unknown_format_names_the_known_ones():
    with pytest.raises(ConfigError, match="auto, bfloat16, float32"):
        choose_dtype("float16")


@pytest.mark.parametrize(
    ("flags", "name", "said"),
    [
        ({"avx2", "avx512_bf16"}, "bfloat16", "avx512_bf16"),
        ({"amx_bf16", "avx512_bf16"}, "bfloat16", "amx_bf16 and avx512_bf16"),
        ({"asimd", "bf16"}, "bfloat16", "bf16"),
        ({"avx512f"}, "float32", "no bf16"),
        (set(), "float32", "no bf16"),
    ],
)
def test_auto_follows_the_processors_flags(monkeypatch, flags, name, said):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(dtype, "cpu_flags", lambda: frozenset(flags))
    choice = choose_dtype("auto")
    assert choice.name == name
    assert said in str(choice)


def test_this_machines_flags_are_read():
    assert {"fpu", "fp"} & dtype.cpu_flags()  # x86 has the first, Arm the second
