"""Engines that share a GPU with the learner sleep while it works: the order of the calls, on a stub of vLLM's engine.

vLLM's sleep mode itself needs a GPU.
"""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from prl_ray import compose
from prl_ray.actors.engines import Engines
from prl_ray.actors.fleet import Fleet
from prl_ray.actors.generator import Generator
from prl_ray.actors.sampling_engine import GeneratorSetup, start_engine
from prl_ray.actors.weights import SentWeights
from prl_ray.loop import Loop

PROBE = np.zeros(2, dtype=np.float32)
SENT = SentWeights(3, "ticket", (1, 2, 3), PROBE)


class Stub:
    """vLLM's ``LLM``, which remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.llm_engine = SimpleNamespace(set_weight_version=lambda version: self.calls.append(f"version {version}"))

    def sleep(self, level: int) -> None:
        self.calls.append(f"sleep {level}")

    def wake_up(self, tags: list[str]) -> None:
        self.calls.append(f"wake {tags}")

    def reset_prefix_cache(self) -> None:
        self.calls.append("reset")


@pytest.fixture
def generator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made: Any = Generator.__new__(Generator)
    made.setup, made.llm, made._asleep = GeneratorSetup(tmp_path, "float32", 64, sleep=2), Stub(), False
    made.transport = SimpleNamespace(load=lambda llm, ticket: llm.calls.append(f"load {ticket}"))
    monkeypatch.setattr(made, "logprobs", lambda tokens: made.llm.calls.append("probe") or PROBE, raising=False)
    return made


def test_weights_are_loaded_into_an_engine_that_is_half_awake(generator: Any) -> None:
    generator.sleep()
    assert generator.load(SENT).version == 3
    assert generator.llm.calls == [
        "sleep 2",
        "wake ['weights']",
        "load ticket",
        "wake ['kv_cache']",
        "reset",
        "probe",
        "version 3",
    ]


def test_an_engine_that_is_awake_is_not_woken(generator: Any) -> None:
    """The first push, and one to an engine that Ray has restarted."""
    generator.load(SENT)
    assert generator.llm.calls == ["load ticket", "reset", "probe", "version 3"]


@pytest.mark.parametrize("level", [0, 1])
def test_engines_sleep_after_sampling_and_before_the_update(level: int, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    overrides = ["+cluster=single_gpu", f"cluster.generator_sleep={level}"]
    engines = SimpleNamespace(sleep=lambda: calls.append("sleep"))
    fleet = SimpleNamespace(engines=cast(Engines, engines), metrics=dict)
    loop = Loop(compose(overrides), cast(Fleet, fleet), [], False)
    metrics = {"perf/total_num_tokens": 1.0}
    monkeypatch.setattr(loop, "_rollout_for", lambda number: calls.append("sample") or (None, metrics))
    monkeypatch.setattr(loop, "_learn", lambda rollout, number: calls.append("learn") or {})
    monkeypatch.setattr(loop, "push_weights", lambda: calls.append("push") or {})
    loop.step(0)
    assert calls == ["sample", *["sleep"] * level, "learn", "push"]


@pytest.mark.parametrize(
    ("sleep", "memory", "share"), [(0, 0.0, pytest.approx(0.45)), (1, 0.0, pytest.approx(0.45)), (1, 0.7, 0.7)]
)
def test_the_engine_is_made_with_sleep_mode_and_its_share(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, sleep: int, memory: float, share: object
) -> None:
    vllm = ModuleType("vllm")
    vllm.LLM = dict  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    setup = GeneratorSetup(tmp_path, "bfloat16", 64, sleep=sleep, memory=memory)
    made = cast("dict[str, object]", start_engine(setup, gpus=0.5))
    assert made["enable_sleep_mode"] is (sleep > 0)
    assert made["gpu_memory_utilization"] == share
