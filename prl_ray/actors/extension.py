"""DeepSpeed's extension for CPUs, compiled at its first start: by one process at a time, also after one was killed."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Protocol


class OpBuilder(Protocol):
    """The part of DeepSpeed's extension builder that is used here."""

    name: str

    def load(self) -> object:
        """Compiles the extension if it is not compiled yet, and imports it."""
        ...


def build_extension() -> None:
    """Compiles and loads what DeepSpeed would compile itself when a group of ranks is made."""
    import deepspeed
    from deepspeed.accelerator import get_accelerator
    from torch.utils.cpp_extension import get_default_build_root

    builder = get_accelerator().create_op_builder("ShareMemCommBuilder")
    if builder is not None and deepspeed.ops.__compatible_ops__.get(builder.NAME, False):
        load_alone(builder, Path(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root()))


def load_alone(builder: OpBuilder, root: Path) -> None:
    """``builder.load()`` under a lock that the kernel releases when its holder dies.

    torch's own lock is a file, which a killed compilation leaves behind and every later one waits for.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / "prl_ray.lock").open("w") as ours:
        fcntl.flock(ours, fcntl.LOCK_EX)
        for left in root.glob(f"**/{builder.name}/lock"):
            left.unlink(missing_ok=True)
        builder.load()
