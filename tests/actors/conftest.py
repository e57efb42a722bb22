"""One Ray session, one tiny Llama and one of each actor for all tests of this folder.

The Llama starts from random weights with a tokenizer made from six problems; its own sft and reward stages (two of the
actors under test) teach it those problems by heart, so that some of what it samples parses and passes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from fragile import FragilePool, MakePool
from tiny_run import (
    CLUSTER,
    POLICY_EPOCHS,
    Cycle,
    Step,
    Trained,
    config_for,
    generator_setup,
    labelled_examples,
    learner_setup,
    reference_examples,
    trained,
)

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.scoring import ScorerSetup
from prl_ray.actors.verifier import VerifierSetup
from prl_ray.config import SandboxConfig
from prl_ray.loop import Loop
from prl_ray.models.encode import tokenizer_texts
from prl_ray.models.tiny import TinyShape, write_tiny
from prl_ray.problems import load_problems
from prl_ray.problems.problem import Problem

HERE = Path(__file__).parent
SHAPE = TinyShape(hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, vocab=500, context=512)


@pytest.fixture(scope="session")
def ray_here() -> Iterator[None]:
    """Eight logical CPUs: what the actors ask for is a matter of placement, not of this machine."""
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    # Not tests/ itself: there a folder has the name of the package sandbox_workers.
    paths = os.pathsep.join([str(HERE.parents[1]), str(HERE), os.environ.get("PYTHONPATH", "")])
    ray.init(
        address="local",
        num_cpus=8,
        namespace="prl_ray",
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": paths, "TOKENIZERS_PARALLELISM": "false"}},
    )
    yield
    ray.shutdown()


@pytest.fixture(scope="session")
def problems() -> list[Problem]:
    return load_problems("composed", split="train", limit=6, seed=3, max_difficulty=2)


@pytest.fixture(scope="session")
def base(problems: list[Problem], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, tied embeddings."""
    folder = tmp_path_factory.mktemp("models") / "base"
    folder.mkdir()
    write_tiny(folder, tokenizer_texts(problems), seed=1, shape=SHAPE)
    return folder


@pytest.fixture(scope="session")
def policy(ray_here: None, problems: list[Problem], base: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The references, learnt by heart."""
    folder = tmp_path_factory.mktemp("models") / "policy"
    examples = reference_examples(problems)
    return Trained(folder, *trained("sft", base, examples, folder, epochs=POLICY_EPOCHS, learning_rate=5e-3))


@pytest.fixture(scope="session")
def prm(policy: Trained, problems: list[Problem], tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """A reward model of the references and of one broken line each."""
    folder = tmp_path_factory.mktemp("models") / "prm"
    examples = labelled_examples(problems)
    return Trained(folder, *trained("prm", policy.folder, examples, folder, epochs=15, learning_rate=3e-3))


@pytest.fixture(scope="session")
def cycle(policy: Trained, prm: Trained, problems: list[Problem]) -> Iterator[Cycle]:
    config = config_for("float32")
    fleet = Fleet(CLUSTER, SandboxConfig(), "tests", say=lambda line: None)
    fleet.start_verifiers(problems)
    fleet.start_generators(generator_setup(policy.folder, config))
    fleet.start_scorers(ScorerSetup(prm.folder, None, None, True, torch.float32, 1024))
    fleet.start_learners(learner_setup(policy.folder, problems, config))
    fleet.wait_ready()
    yield Cycle(config, fleet, Loop(config, fleet, problems, True), problems, policy.folder, prm.folder)
    fleet.close()


@pytest.fixture(scope="session")
def step(cycle: Cycle) -> Step:
    cycle.loop.push_weights()
    return Step(*cycle.loop.step(0))


@pytest.fixture
def make_pool(ray_here: None) -> Iterator[MakePool]:
    """Makes pools of verifiers that break on purpose."""
    pools: list[Any] = []

    def make(size: int, attempts: int = 3, cpus: float = 0.25) -> Any:
        setup = VerifierSetup(wall_s=3.0, memory_mb=256, attempts=attempts)
        pools.append(ray.remote(num_cpus=0, max_concurrency=1000)(FragilePool).remote(setup, size, cpus))
        ray.get(pools[-1].ready.remote(), timeout=60)
        return pools[-1]

    yield make
    for pool in pools:
        ray.get(pool.resize.remote(0), timeout=30)
        ray.kill(pool)
