"""A reward model with random weights and a wide head, so that its scores differ from line to line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import Kind, init_reward_model, score_head, set_temperature
from prl_ray.models.saving import save_model
from prl_ray.models.tiny import TinyShape, write_tiny

TEXTS = [
    f"# Add {n} to x, then double it.\ndef f(x):\n    x = x + {n}\n    if x > {n}:\n        x = x * 2\n    return x\n"
    for n in range(40)
]
SHAPE = TinyShape(hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, vocab=400, context=128)


def random_reward_model(policy: Path, folder: Path, kind: Kind) -> Path:
    model = init_reward_model(policy, torch.float32, kind=kind)
    with torch.no_grad():
        score_head(model).weight.normal_(generator=torch.Generator().manual_seed(len(kind) + ord(kind[0])))
    set_temperature(model, 4.0)
    save_model(model, load_tokenizer(policy), folder)
    return folder


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder whose only run has both reward models."""
    place = tmp_path_factory.mktemp("score")
    policy = place / "policy"
    policy.mkdir()
    write_tiny(policy, TEXTS, seed=1, shape=SHAPE)
    for kind in ("prm", "orm"):
        random_reward_model(policy, place / "runs" / "demo" / kind, kind)
    return place / "runs"
