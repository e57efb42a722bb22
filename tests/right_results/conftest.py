"""One small vLLM engine with random weights for the tests of this folder that sample."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from prl_ray.actors.generator import Generator
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.models.encode import tokenizer_texts
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.problems import Problem, load_problems

SHAPE = TinyShape(hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, vocab=400, context=512)


@pytest.fixture(scope="session")
def problems() -> list[Problem]:
    return load_problems("composed", split="train", limit=6, seed=3)


@pytest.fixture(scope="session")
def two_ends(problems: list[Problem], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose ``generation_config`` has other end tokens than its tokenizer: so many that some are drawn."""
    folder = tmp_path_factory.mktemp("models") / "two-ends"
    write_tiny(folder, tokenizer_texts(problems), seed=5, shape=SHAPE)
    file = folder / "generation_config.json"
    tokenizer = load_tokenizer(folder)
    config = json.loads(file.read_text())
    config["eos_token_id"] = [tokenizer.eos_token_id, *range(100, 120)]
    file.write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def engine(two_ends: Path) -> Iterator[Generator]:
    """The engine in this very process, at the largest seed there is."""
    yield Generator(GeneratorSetup(two_ends, "float32", max_model_len=256, max_num_seqs=32, seed=2**64 - 1))
