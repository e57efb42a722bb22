"""Each family through the learner's side: head, sft's loss, shared prompts, reward model, saving and loading."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from trajectories import Sample, batch_of
from zoo import FAMILIES, VOCAB, build

from prl_ray.actors.forward import Forward, logprobs
from prl_ray.models.output_head import output_head
from prl_ray.models.policy import check_head, hidden_states, load_policy
from prl_ray.models.reward_model import head_logits, init_reward_model, load_reward_model
from prl_ray.trajectory import TrajectoryBatch

pytestmark = [pytest.mark.families, pytest.mark.slow]


@pytest.fixture(scope="module", params=list(FAMILIES))
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("families") / request.param
    build(request.param).save_pretrained(folder)
    return folder


def batch(prompt: int, response: int) -> TrajectoryBatch:
    """Three samples behind one prompt and one behind another."""
    draw = np.random.default_rng(0)

    def tokens(count: int) -> list[int]:
        return draw.integers(3, VOCAB, count).tolist()

    shared = tokens(prompt)
    samples = [Sample(prompt=shared, tokens=tokens(response), line_ends=[1, response - 1], group=0) for _ in range(3)]
    return batch_of([*samples, Sample(prompt=tokens(prompt), tokens=tokens(response), line_ends=[0], group=1)])


def plain_logprobs(folder: Path, samples: TrajectoryBatch, temperature: float) -> np.ndarray:
    """One forward pass of the model's own per sample: no packing, no padding, no head of ours."""
    model, out = load_policy(folder, torch.float32), []
    for i in range(len(samples)):
        prompt = samples.prompt_tokens[samples.prompt_offsets[i] : samples.prompt_offsets[i + 1]]
        response = samples.tokens[samples.token_offsets[i] : samples.token_offsets[i + 1]].astype(np.int64)
        ids = torch.from_numpy(np.concatenate([prompt, response]).astype(np.int64))[None]
        with torch.no_grad():
            logits = model(ids, use_cache=False).logits[0, len(prompt) - 1 : -1].float() / temperature
        out.append(torch.log_softmax(logits, -1).gather(-1, torch.from_numpy(response)[:, None])[:, 0].numpy())
    return np.concatenate(out)


@pytest.mark.parametrize(("prompt", "response"), [(3, 4), (12, 10)], ids=["short", "beyond the window"])
def test_logprobs_are_the_models_own(folder: Path, prompt: int, response: int) -> None:
    """Before: off by up to 3 nats beyond a sliding window, and caps, scales and biases were refused or left out."""
    samples = batch(prompt, response)
    model = load_policy(folder, torch.float32)
    check_head(model)
    found = logprobs(Forward(model, 256), samples, np.arange(4), 0.7)
    np.testing.assert_allclose(found, plain_logprobs(folder, samples, 0.7), atol=2e-5)


def test_gradients_are_the_models_own(folder: Path) -> None:
    """What sft and PPO minimise: the gradient of a log-probability through our head and through the model's."""
    ids = torch.randint(3, VOCAB, (1, 7), generator=torch.Generator().manual_seed(1))
    norms = []
    for ours in (True, False):
        model = load_policy(folder, torch.float32)
        if ours:
            found = output_head(model).logprobs(hidden_states(model, ids)[0, :-1], ids[0, 1:])[0]
        else:
            logits = model(ids, use_cache=False).logits[0, :-1]
            found = torch.log_softmax(logits, -1).gather(-1, ids[0, 1:, None])[:, 0]
        found.sum().backward()
        norms.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    assert norms[1].norm() > 0
    torch.testing.assert_close(norms[0], norms[1], rtol=1e-4, atol=1e-4)


def test_reward_models_of_every_family_are_saved_and_loaded(folder: Path, tmp_path: Path) -> None:
    """Before: five families had no token-classification class in transformers and ended in an error."""
    ids = torch.randint(3, VOCAB, (1, 9), generator=torch.Generator().manual_seed(2))
    model = init_reward_model(folder, torch.float32, kind="prm", seed=1)
    trunk = load_policy(folder, torch.float32)
    with torch.no_grad():
        states = hidden_states(model, ids)
        torch.testing.assert_close(states, hidden_states(trunk, ids), atol=1e-6, rtol=1e-6)
        expected = head_logits(model, states[0])
        model.save_pretrained(tmp_path / "prm")
        again = load_reward_model(tmp_path / "prm", torch.float32)
        torch.testing.assert_close(head_logits(again, hidden_states(again, ids)[0]), expected)
