"""Sharded parameters and adapters on real ranks: the same losses, gradients and weights as one plain rank."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks._form_rank import PROBE
from benchmarks.parallel import run_form
from prl_ray.models.policy import load_policy, probe_logprobs
from prl_ray.models.shard_files import read_folder

LENGTH = 9
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_form("plain", 1, base, tmp_path_factory.mktemp("plain"), LENGTH)[0]


def test_two_sharded_ranks_train_as_one_plain_rank(plain: dict[str, Any], base: Path, tmp_path: Path) -> None:
    for found in run_form("zero3", 2, base, tmp_path, LENGTH):
        for name in ("losses", "norms", "first", "reference"):
            assert found[name] == pytest.approx(plain[name], rel=1e-4, abs=1e-5), name
        assert found["last"] == pytest.approx(plain["last"], rel=1e-2, abs=1e-3)
        assert found["again"] == pytest.approx(found["last"], abs=1e-5), "a checkpoint goes on where it was written"
        if found["sent"]:
            assert found["sent"] == pytest.approx(plain["sent"], rel=1e-3)
            exported = probe_logprobs(load_policy(tmp_path / "model", torch.float32), PROBE)
            assert found["probe"] == pytest.approx(exported, abs=1e-5)


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run_form("lora", 1, base, tmp_path_factory.mktemp("lora"), LENGTH)[0]


@pytest.mark.parametrize("form", ["lora", "lora3"])
def test_two_ranks_train_adapters_as_one_and_save_them_merged(
    plain: dict[str, Any], lora: dict[str, Any], base: Path, tmp_path: Path, form: str
) -> None:
    found = run_form(form, 2, base, tmp_path, LENGTH)[0]
    for name in ("losses", "norms"):
        assert found[name] == pytest.approx(lora[name], rel=1e-4), name
    assert found["first"] == pytest.approx(plain["first"], abs=1e-5), "fresh adapters change nothing"
    assert found["reference"] == pytest.approx(plain["first"], abs=1e-5), "the reference is the model without them"
    assert np.abs(np.subtract(found["last"], found["first"])).max() > 1e-3
    assert found["again"] == pytest.approx(found["last"], abs=1e-5)
    exported = load_policy(tmp_path / "model", torch.float32)
    assert found["probe"] == pytest.approx(probe_logprobs(exported, PROBE), abs=1e-5)
    named = {name: float(value.abs().sum()) for name, value in exported.state_dict().items()}
    assert found["sent"] == pytest.approx({name: named[name] for name in found["sent"]}, rel=1e-4)
    held = {name for path in (tmp_path / "checkpoint" / "actor").glob("rank_*") for name, _ in read_folder(path)}
    assert held and all(".lora_" in name for name in held), "adapters only"
