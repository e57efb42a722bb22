"""An engine of two ranks serves what one rank serves, also after weights were pushed to it."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray
import torch

from prl_ray.actors.generator import Generator, Sampling
from prl_ray.actors.sampling_engine import GeneratorSetup
from prl_ray.actors.waiting import wait
from prl_ray.actors.weights import Route, SentWeights, TransportSetup
from prl_ray.models.named_weights import named_weights
from prl_ray.models.policy import load_policy, probe_logprobs
from prl_ray.problems.problem import Problem

pytestmark = pytest.mark.slow
TOKENS = tuple(range(10, 60))


def test_two_ranks_serve_pushed_weights(ray_here: None, base: Path, problems: list[Problem], tmp_path: Path) -> None:
    """Through the object store, whose weights they read from the folder form that the filesystem transport has too."""
    transport = TransportSetup(Route(tmp_path / "weights", ranks=2))
    setup = GeneratorSetup(base, "float32", 256, max_num_seqs=8, transport=transport, tensor_parallel=2)
    engine = ray.remote(num_cpus=1)(Generator).remote(setup)
    try:
        assert wait(engine.load_folder.remote(base, 1), "the first weights", 600) == 1
        model = load_policy(base, torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)
        ticket = transport.open().send(7, named_weights(model.state_dict()), torch.float32)
        sent = SentWeights(7, ticket, TOKENS, probe_logprobs(model, TOKENS))
        served = wait(engine.load.remote(sent), "the engine", 200)
        assert served.version == 7 and served.gap_max < 1e-4
        sampling = Sampling(samples=1, temperature=0.0, max_tokens=8, seed=1)
        stream = engine.generate.options(num_returns="streaming").remote(problems[:2], [0, 1], sampling)
        assert sum(len(ray.get(ref)) for ref in stream) == 2
    finally:
        ray.kill(engine)
