"""Checkpoints load with another number of ranks: the state is the same, and so is what training makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from _state_rank import FORMS, Form, Found

from benchmarks._form_rank import join
from prl_ray.actors.meeting import free_port
from prl_ray.errors import CheckpointError

Answers = dict[str, dict[str, Found]]
SCRIPT = Path(__file__).with_name("_state_rank.py")


@pytest.fixture(scope="module")
def groups(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[Answers]]:
    """What each rank of a group of one and a group of two found, which run at the same time."""
    folder = tmp_path_factory.mktemp("state")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    ranks: dict[int, list[subprocess.Popen[str]]] = {}
    for world, other in ((1, 2), (2, 1)):
        (folder / str(world)).mkdir()
        rest = [str(world), str(free_port()), str(folder / str(world)), str(folder / str(other))]
        words = [[sys.executable, str(SCRIPT), str(rank), *rest] for rank in range(world)]
        ranks[world] = [subprocess.Popen(w, stdout=subprocess.PIPE, text=True, env=environment) for w in words]
    try:
        said = {world: [rank.communicate(timeout=600)[0] for rank in group] for world, group in ranks.items()}
    finally:
        for rank in (rank for group in ranks.values() for rank in group):
            rank.kill()
    assert all(rank.returncode == 0 for group in ranks.values() for rank in group)
    return {w: [json.loads(a.split("FOUND")[1].splitlines()[0]) for a in group] for w, group in said.items()}


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("form", FORMS)
def test_the_state_of_other_ranks_is_loaded_to_the_last_digit(groups: dict[int, list[Answers]], form: str) -> None:
    for world, other in ((1, 2), (2, 1)):
        saved = groups[other][0][form]["saved"]
        for rank in groups[world]:
            loaded = rank[form]["loaded"]
            shared = loaded.keys() & saved.keys()  # a sharded module lists a tied weight under both names
            assert {"master.last.weight", "exp_avg_sq.first.bias", "steps", "last.weight"} <= shared
            assert {name: loaded[name] for name in shared} == {name: saved[name] for name in shared}


@pytest.mark.parametrize("form", FORMS)
def test_training_goes_on_as_if_nothing_had_changed(groups: dict[int, list[Answers]], form: str) -> None:
    """In float32 by rounding. In bfloat16 the gradients of another split are rounded otherwise, and Adam's steps of
    0.01 follow their sign: masters may differ by a fraction of one such step."""
    exact = "bfloat16" not in form
    for world, other in ((1, 2), (2, 1)):
        resumed, plain = groups[world][0][form]["resumed"], groups[other][0][form]["plain"]
        assert resumed["steps"] == plain["steps"] == [4]
        for name, values in plain.items():
            if name in resumed:
                far = np.abs(np.subtract(resumed[name], values)).max()
                assert far < (2e-5 if exact else 4e-3), name
        moved = np.abs(
            np.subtract(plain["master.first.weight"], groups[other][0][form]["saved"]["master.first.weight"])
        )
        assert moved.max() > 5e-3


def test_states_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    join(0, 1, free_port())
    with pytest.raises(CheckpointError, match="no state that can be loaded"):
        Form("stage 1", 0, 1).engine.load(tmp_path, "net")
    whole, part = Form("stage 1", 0, 1), Form("stage 2, some layers frozen", 0, 1)
    whole.engine.save(tmp_path / "whole", "net")
    part.engine.save(tmp_path / "part", "net")
    with pytest.raises(CheckpointError, match=r"middle\.(weight|bias), which this model does not train"):
        part.engine.load(tmp_path / "whole", "net")
    with pytest.raises(CheckpointError, match=r"the state of another model: it has no .*middle"):
        whole.engine.load(tmp_path / "part", "net")
    next((tmp_path / "whole").rglob("*.safetensors")).unlink()
    with pytest.raises(CheckpointError, match="no state that can be loaded"):
        whole.engine.load(tmp_path / "whole", "net")
    torch.distributed.destroy_process_group()
