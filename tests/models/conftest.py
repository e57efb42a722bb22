"""A model small enough to be made anew: two layers, random weights, a tokenizer of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import SHAPE, TEXTS

from prl_ray.models.tiny import write_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    write_tiny(folder, TEXTS, seed=1, shape=SHAPE)
    return folder
