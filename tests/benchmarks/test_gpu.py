"""The GPU script, as far as a CPU can run it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import gpu
from benchmarks._peak_memory import PeakGpuMemory
from benchmarks._results import ROOT, read_result
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.tiny import TinyShape
from prl_ray.plan_layout import shape_of


def test_a_finished_part_is_not_measured_again(tmp_path):
    file = tmp_path / "steps.json"

    def stopped():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gpu.kept(file, stopped)
    assert gpu.kept(file, lambda: {"peak_gb": 2.5}) == {"peak_gb": 2.5}
    assert gpu.kept(file, stopped) == {"peak_gb": 2.5}


def test_the_model_has_a_wide_vocabulary_that_keeps_any_text(tmp_path):
    size = gpu.Size(TinyShape(hidden=64, layers=1, heads=2, kv_heads=1, mlp=64, vocab=5000), 1000, (), 1, 1)
    gpu.write_model(tmp_path, size)
    tokenizer, text = load_tokenizer(tmp_path), "def f(x):\n    return x + 12  # é\n"
    assert tokenizer.decode(tokenizer.encode(text)) == text
    assert shape_of(str(tmp_path)).vocabulary == len(tokenizer) == 5000
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"


def test_the_whole_model_has_a_billion_and_a_half():
    s = gpu.WHOLE.shape
    layer = s.hidden * (2 * s.hidden + 2 * s.kv_heads * s.hidden // s.heads + 3 * s.mlp)
    assert 1.5e9 < s.layers * layer + s.vocab * s.hidden < 1.6e9


def test_the_result_holds_medians_of_all_parts(tmp_path):
    rate = {"ours_tokens_per_second": 99.0, "bare_tokens_per_second": 100.0, "repeats": [{"ratio": 0.99}]}
    rows = [{"step": i, "phases": {"gen": float(i), "step": 10.0}, "tokens": 5} for i in (1, 2, 3)]
    parts = {
        "generator": {"ratio": 0.99, **rate},
        "learner": {"ratio": 1.02, **rate},
        "steps": {
            "rows": rows,
            "parameters": 1000,
            "peak_gb": 60.0,
            "learner_peak_gb": 39.0,
            "learner_planned_gb": 40.0,
        },
        "object_store": {"seconds": [0.5, 0.7, 0.6]},
        "filesystem": {"seconds": [1.0]},
    }
    gpu.write(parts, ["model.path=/somewhere", "reward=outcome"], tmp_path)
    result = read_result("gpu", tmp_path)
    assert result["headline"] == {"generator_ratio": 0.99, "learner_ratio": 1.02, "push_s": 0.6, "peak_gb": 60.0}
    assert result["config"]["push_s"] == {"object_store": 0.6, "filesystem": 1.0}
    assert result["config"]["phases"] == {"gen": 2.0, "step": 10.0}
    assert result["config"]["overrides"] == ["reward=outcome"]
    assert len(result["repeats"]) == 1 + 1 + 3 + 3 + 1


def test_without_a_gpu_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(SystemExit, match=r"no GPU; --tiny"):
        gpu.main([])


def test_the_peak_of_a_gpu_is_the_most_that_was_seen(tmp_path, monkeypatch):
    figures = tmp_path / "figures"
    figures.write_text("1000\n")
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat {figures}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(PeakGpuMemory, "every_s", 0.01)
    with PeakGpuMemory() as peak:
        for mib in ("3000\n", "2000\n"):
            (tmp_path / "next").write_text(mib)
            (tmp_path / "next").rename(figures)
            time.sleep(0.5)
    assert peak.total_gb == pytest.approx(3000 * 2**20 / 1e9)


@pytest.mark.slow
def test_all_parts_run_with_a_tiny_model(tmp_path):
    command = [sys.executable, "benchmarks/gpu.py", "--tiny", "--repeats", "1", "--scratch", str(tmp_path)]
    command.append("cluster.threads=1")
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550, check=False)
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    result = read_result("gpu", tmp_path / "tiny")
    assert all(value > 0 for value in result["headline"].values())
    assert set(result["config"]["push_s"]) >= {"object_store", "filesystem"}
    assert {"gen", "update_actor", "update_weights", "step"} <= set(result["config"]["phases"])
