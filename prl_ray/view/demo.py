"""The small run that is included in the package: made by ``python benchmarks/demo_run.py``, shown by ``--demo``."""

from __future__ import annotations

import importlib.resources
import tarfile
from pathlib import Path

NAME = "demo.tar.xz"


def unpack_demo(folder: Path) -> Path:
    """Unpacks the run into ``folder`` and returns the folder of runs."""
    archive = importlib.resources.files("prl_ray.view") / NAME
    with archive.open("rb") as file, tarfile.open(fileobj=file, mode="r:xz") as packed:
        packed.extractall(folder, filter="data")
    return folder
