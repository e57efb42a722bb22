"""Folders as people have them: weights as ``.bin``, in shards, with another copy beside; each is loaded and proved."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from prl_ray.actors.generator import PROBE_TEXT, PROBE_TOKENS, Generator
from prl_ray.actors.weights import SentWeights, reload_weights
from prl_ray.errors import ModelError
from prl_ray.models.policy import load_policy, probe_logprobs
from prl_ray.models.registry import check_causal_lm

pytestmark = pytest.mark.slow


def as_bin(folder: Path) -> None:
    """One ``pytorch_model.bin``, as older folders have."""
    state = load_file(folder / "model.safetensors")
    torch.save(state, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def sharded(folder: Path) -> None:
    """Two shards with an index."""
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    index = {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
        file = f"model-0000{number}-of-00002.safetensors"
        save_file({name: state[name] for name in part}, folder / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    (folder / "model.safetensors").unlink()
    text = json.dumps({"metadata": {"total_size": 1}, "weight_map": index})
    (folder / "model.safetensors.index.json").write_text(text)


def consolidated(folder: Path) -> None:
    """Mistral's own format beside transformers': other names, here with other numbers too."""
    state = load_file(folder / "model.safetensors")
    wrong = {name: torch.zeros_like(tensor) for name, tensor in state.items()}
    save_file({**wrong, "layers.0.attention.wq.weight": torch.zeros(2, 2)}, folder / "consolidated.safetensors")


@pytest.fixture(params=[as_bin, sharded, consolidated], ids=lambda form: form.__name__)
def folder(request: pytest.FixtureRequest, two_ends: Path, tmp_path: Path) -> Path:
    """The engine's architecture with other weights, written in some form."""
    folder = tmp_path / "model"
    shutil.copytree(two_ends, folder)
    noise = torch.Generator().manual_seed(1)
    old = load_file(folder / "model.safetensors")
    state = {name: tensor + 0.05 * torch.randn(tensor.shape, generator=noise) for name, tensor in old.items()}
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    form: Callable[[Path], None] = request.param
    form(folder)
    return folder


def test_the_engine_serves_what_the_folder_holds(engine: Generator, folder: Path, two_ends: Path) -> None:
    """Before: a ``.bin`` folder loaded nothing, and ``consolidated.safetensors`` was loaded over the weights."""
    check_causal_lm(folder)
    assert engine.load_folder(folder, 7) == 7
    tokens = engine.tokenizer.encode(PROBE_TEXT)[:PROBE_TOKENS]
    expected = probe_logprobs(load_policy(folder, torch.float32), tokens)
    before = probe_logprobs(load_policy(two_ends, torch.float32), tokens)
    np.testing.assert_allclose(engine.logprobs(tokens), expected, atol=1e-3)
    assert np.abs(expected - before).mean() > 0.05
    engine.load_folder(two_ends, 0)


def test_an_engine_that_serves_other_weights_is_an_error(engine: Generator, two_ends: Path) -> None:
    weights = load_policy(two_ends, torch.float32)
    tokens = tuple(engine.tokenizer.encode(PROBE_TEXT)[:PROBE_TOKENS])
    wrong = probe_logprobs(weights, list(tokens)) - 0.5
    packed = SimpleNamespace(load=lambda llm, ticket: reload_weights(llm, iter(weights.state_dict().items())))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ModelError, match="serves other weights"):
        patch.setattr(engine, "transport", packed)
        engine.load(SentWeights(3, None, tokens, wrong))
    engine.load_folder(two_ends, 0)


def cut(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


@pytest.mark.parametrize("damage", [cut, empty, Path.unlink])
@pytest.mark.parametrize("form", [None, as_bin, sharded])
def test_damaged_weights_are_one_message(
    form: Callable[[Path], None] | None, damage: Callable[[Path], None], two_ends: Path, tmp_path: Path
) -> None:
    """Before: the errors of safetensors and pickle came through as they are."""
    folder = tmp_path / "model"
    shutil.copytree(two_ends, folder)
    if form:
        form(folder)
    files = [*folder.glob("model-00002*"), *folder.glob("*.bin"), *folder.glob("model.safetensors")]
    damage(files[0])
    with pytest.raises(ModelError, match=str(folder)):
        load_policy(folder, torch.float32)
