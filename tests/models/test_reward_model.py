from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    GPT2Config,
    GPT2LMHeadModel,
)

from prl_ray.errors import ModelError
from prl_ray.models.policy import hidden_states, load_policy, load_tokenizer
from prl_ray.models.reward_model import (
    LIKELIHOOD_BIAS,
    LIKELIHOOD_FLOOR,
    LIKELIHOOD_WEIGHT,
    check_unit,
    features,
    head_logits,
    init_reward_model,
    line_logits,
    load_reward_model,
    probabilities,
    reward_form,
    reward_kind,
    reward_unit,
    score_head,
    set_temperature,
    temperature,
)
from prl_ray.models.saving import save_model
from prl_ray.ppo.collate import collate, packs
from tests.trajectories import Sample, batch_of

IDS = torch.tensor([[5, 9, 11, 4, 7]])


def test_a_new_reward_model_is_undecided_and_has_the_policys_trunk(tiny):
    model = init_reward_model(tiny, torch.float32, seed=1)
    hidden = features(model, IDS, torch.ones_like(IDS))
    assert torch.allclose(hidden, hidden_states(load_policy(tiny, torch.float32), IDS), atol=1e-6)
    p = probabilities(model, head_logits(model, hidden[0]))
    assert p.shape == (5,)
    assert (p - 0.5).abs().max() < 0.1
    again = init_reward_model(tiny, torch.float32, seed=1)
    assert torch.equal(score_head(model).weight, score_head(again).weight)


def test_scores_survive_saving_and_the_auto_class_gives_the_same(tiny, tmp_path):
    model = init_reward_model(tiny, torch.float32, kind="prm")
    with torch.no_grad():
        score_head(model).weight.normal_(generator=torch.Generator().manual_seed(0))
        score_head(model).bias.fill_(0.7)
    set_temperature(model, 2.0)
    model.save_pretrained(tmp_path)
    loaded = load_reward_model(tmp_path, torch.float32)
    assert (reward_kind(loaded), temperature(loaded)) == ("prm", 2.0)
    logits = head_logits(loaded, features(loaded, IDS)[0])
    auto = AutoModelForTokenClassification.from_pretrained(tmp_path).eval()
    assert torch.allclose(logits, auto(IDS).logits[0, :, 0], atol=1e-5)
    assert torch.allclose(probabilities(loaded, logits), torch.sigmoid(logits / 2))


def test_an_outcome_model_is_a_sequence_classifier_too(tiny, tmp_path):
    model = init_reward_model(tiny, torch.float32, kind="orm")
    with torch.no_grad():
        score_head(model).weight.normal_(generator=torch.Generator().manual_seed(0))
    assert not score_head(model).bias.requires_grad
    model.save_pretrained(tmp_path)
    loaded = load_reward_model(tmp_path, torch.float32)
    assert not score_head(loaded).bias.requires_grad
    ours = head_logits(loaded, features(loaded, IDS)[:, -1])
    sequence = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert torch.allclose(ours, sequence(IDS).logits[:, 0], atol=1e-5)


def test_other_architectures_work(tmp_path):
    GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=32)).save_pretrained(tmp_path)
    model = init_reward_model(tmp_path, torch.float32).train()
    hidden = features(model, IDS)
    assert torch.allclose(head_logits(model, hidden[0]), model(IDS).logits[0, :, 0], atol=1e-5)


def test_a_line_scores_by_its_likelihood(tiny: Path, tmp_path: Path) -> None:
    """Against the log-probabilities that transformers' causal LM gives each sample alone."""
    ends = [1, 1, 4]  # two short lines end in one token
    samples = [Sample([5, 9], [11, 4, 7, 6, 3], ends), Sample([5, 9], [8], [0])]
    batch = batch_of(samples)
    save_model(init_reward_model(tiny, torch.float32, form="likelihood"), load_tokenizer(tiny), tmp_path / "prm")
    model = load_reward_model(tmp_path / "prm", torch.float32)
    assert reward_form(model) == "likelihood" and reward_form(init_reward_model(tiny, torch.float32)) == "head"

    plain = AutoModelForCausalLM.from_pretrained(tmp_path / "prm").eval()
    with torch.no_grad():
        rows = [plain(torch.tensor([[*s.prompt, *s.tokens]])).logits[0].log_softmax(-1) for s in samples]
    own = [float(rows[0][1 + at, token]) for at, token in enumerate(samples[0].tokens)]
    sums = [own[0] + own[1], own[1], sum(own[2:]), float(rows[1][1, 8])]
    assert min(sums) < LIKELIHOOD_FLOOR < max(sums)
    expected = [LIKELIHOOD_BIAS + LIKELIHOOD_WEIGHT * max(value, LIKELIHOOD_FLOOR) for value in sums]
    for shared in (True, False):
        padded = collate(batch, packs(batch, np.arange(2), 99, shared))
        hidden = hidden_states(model, padded.input_ids, padded.attention_mask, padded.position_ids)
        assert line_logits(model, padded, hidden).tolist() == pytest.approx(expected, abs=1e-4)
    empty = collate(batch, [])
    assert line_logits(model, empty, hidden_states(model, empty.input_ids)).shape == (0,)


def test_an_outcome_model_has_a_head(tiny: Path) -> None:
    with pytest.raises(ValueError, match="has a head"):
        init_reward_model(tiny, torch.float32, kind="orm", form="likelihood")


def test_a_policy_is_no_reward_model(tiny, tmp_path):
    with pytest.raises(ModelError, match="no reward model"):
        load_reward_model(tiny, torch.float32)
    with pytest.raises(ModelError, match=r"no readable config\.json"):
        load_reward_model(tmp_path, torch.float32)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_temperatures_are_positive(tiny, value):
    with pytest.raises(ValueError, match="positive"):
        set_temperature(init_reward_model(tiny, torch.float32), value)


def test_a_model_remembers_whether_it_scores_lines_or_blocks(tiny: Path, tmp_path: Path) -> None:
    save_model(init_reward_model(tiny, torch.float32, unit="block"), load_tokenizer(tiny), tmp_path / "prm")
    model = load_reward_model(tmp_path / "prm", torch.float32)
    assert reward_unit(model) == "block"
    check_unit(model, "block")
    with pytest.raises(ModelError, match=r"lines\.unit=block"):
        check_unit(model, "line")
    assert reward_unit(init_reward_model(tiny, torch.float32)) == "line"
