"""What all hosts of a test share."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def environment(shared: Path) -> dict[str, str]:
    """What all hosts share: the code, a cache for the model, and what torch has compiled for DeepSpeed."""
    from torch.utils.cpp_extension import get_default_build_root

    compiled = os.environ.get("TORCH_EXTENSIONS_DIR", get_default_build_root())
    return {
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        "XDG_CACHE_HOME": str(shared / "cache"),
        "TORCH_EXTENSIONS_DIR": compiled,
    }
