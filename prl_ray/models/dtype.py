"""The number format of computations: the fastest of this machine, unless the user sets it.

Without bf16 instructions a processor emulates bfloat16, 5 to 7 times slower than float32. With them bfloat16 is faster
on some processors (1.5 to 1.7 times, AMD with ``avx512_bf16``) and slower on others (half as fast, Intel with
``avx512_bf16`` and without AMX). So the choice follows the processor's flags and one short measurement.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from prl_ray.errors import ConfigError
from prl_ray.machine import processor_flags

_DTYPES = {"bfloat16": torch.bfloat16, "float32": torch.float32}
_BF16_FLAGS = ("amx_bf16", "avx512_bf16", "bf16")
"""As ``/proc/cpuinfo`` spells them: two for x86, the last for Arm."""
MIN_SPEEDUP = 1.2
"""Smaller gains over float32 are not worth the rounding, and a choice close to 1 would change with the noise."""
_SHAPE = (512, 1024, 1024)
"""Rows, inner size and columns of the measured matrix product."""
_REPEATS = 7


@dataclass(frozen=True, slots=True)
class DtypeChoice:
    """A number format and the reason for choosing it."""

    name: str
    """``"bfloat16"`` or ``"float32"``, as vLLM and DeepSpeed configs spell it."""
    reason: str
    """One phrase for the log."""

    @property
    def dtype(self) -> torch.dtype:
        """The same as a torch dtype."""
        return _DTYPES[self.name]

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def choose_dtype(setting: str = "auto", *, on_gpus: bool = False) -> DtypeChoice:
    """The format to compute in.

    ``setting`` is ``"bfloat16"``, ``"float32"``, or ``"auto"``: bfloat16 if the GPUs (with ``on_gpus``) have
    instructions for it, or else if the processor has them and is faster with them. Raises ``ConfigError`` for anything
    else.
    """
    if setting in _DTYPES:
        return DtypeChoice(setting, "as configured")
    if setting != "auto":
        raise ConfigError(f"model.dtype is {setting!r}; it must be one of: auto, {', '.join(_DTYPES)}")
    if not on_gpus:
        return _from_flags(processor_flags())
    if torch.cuda.is_available():
        gpu = torch.cuda.get_device_name()
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return DtypeChoice("bfloat16", f"{gpu} computes in bf16")
        return DtypeChoice("float32", f"{gpu} has no bf16 arithmetic")
    # The driver may run on a node without a GPU, whose processor says nothing about the GPUs of other nodes.
    return DtypeChoice("bfloat16", "GPUs on other nodes; model.dtype=float32 if they have no bf16 arithmetic")


def dither(values: Tensor, dtype: torch.dtype, generator: torch.Generator) -> Tensor:
    """Random values that ``dtype`` rounds to ``values``, which ``dtype`` represents exactly.

    Float32 master weights that were loaded from bfloat16 lie on its grid, and an update of less than half a grid step
    (0.2% of a weight) does not change the rounded weight that the model uses: at PPO's learning rates only the smallest
    weights would change. If the master weights are spread over the grid cell, each update changes the rounded weight
    with a probability proportional to its size, so it takes effect on average.

    Returns float32 of the same shape. Zeros stay.
    """
    _, exponent = torch.frexp(values.float())
    step = torch.ldexp(torch.full_like(values, torch.finfo(dtype).eps / 2, dtype=torch.float32), exponent)
    noise = torch.rand(values.shape, generator=generator, device=values.device) - 0.5
    moved = torch.where(values == 0, 0.0, values.float() + step * noise)
    return torch.where(moved.to(dtype) == values.to(dtype), moved, values.float())


def _from_flags(flags: frozenset[str]) -> DtypeChoice:
    found = [flag for flag in _BF16_FLAGS if flag in flags]
    if not found:
        return DtypeChoice("float32", "the processor has no bf16 instructions")
    name = "bfloat16" if (gain := bf16_speedup()) >= MIN_SPEEDUP else "float32"
    return DtypeChoice(
        name, f"the processor has {' and '.join(found)}, and bf16 is {gain:.2g} times as fast as float32"
    )


@cache
def bf16_speedup() -> float:
    """Seconds of a matrix product in float32 over those in bfloat16, the least of some repeats that take turns."""
    rows, inner, columns = _SHAPE
    seconds = dict.fromkeys(_DTYPES.values(), float("inf"))
    pairs = {
        dtype: (torch.ones(rows, inner, dtype=dtype), torch.ones(inner, columns, dtype=dtype)) for dtype in seconds
    }
    for _ in range(_REPEATS):
        for dtype, (left, right) in pairs.items():
            begin = time.perf_counter()
            torch.mm(left, right)
            seconds[dtype] = min(seconds[dtype], time.perf_counter() - begin)
    return seconds[torch.float32] / seconds[torch.bfloat16]
