"""Policy losses, normalisers and the objective, against hand-computed values; cutting a batch up changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from prl_ray import compose
from prl_ray.errors import ConfigError
from prl_ray.ppo.config import POLICY_LOSSES, LossConfig
from prl_ray.ppo.losses import LossOutput, mean_metrics
from prl_ray.ppo.normalisers import NORMALISERS
from prl_ray.ppo.policy_losses import PolicyInputs, policy_objective

# Three samples of 3, 0 and 2 tokens; the third token of the first one does not count.
OFFSETS = np.array([0, 3, 3, 5])
MASK = np.array([1, 1, 0, 1, 1], dtype=np.float32)


@pytest.mark.parametrize(
    ("name", "tokens", "samples"),
    [
        ("token_mean", [1, 1, 0, 1, 1], [2, 0, 2]),
        ("sample_mean", [0.5, 0.5, 0, 0.5, 0.5], [1, 0, 1]),
        ("constant", [1, 1, 0, 1, 1], [10, 0, 10]),
    ],
)
def test_normalisers_by_hand(name: str, tokens: list[float], samples: list[float]) -> None:
    weights = NORMALISERS[name](MASK, OFFSETS, 10)
    assert weights.tokens.tolist() == tokens and weights.tokens.dtype == np.float32
    assert weights.samples.tolist() == samples
    assert weights.divisor(np.array([0, 1])) == samples[0]
    assert weights.divisor(np.array([1])) == 1.0, "a mini-batch without a counted token divides by 1"


def test_normalisers_give_the_means_of_their_papers() -> None:
    losses, rows = np.array([1.0, 3.0, 99.0, 10.0, 20.0]), np.arange(3)
    means = {n: NORMALISERS[n](MASK, OFFSETS, 10) for n in NORMALISERS}
    found = {n: float((w.tokens * losses).sum() / w.divisor(rows)) for n, w in means.items()}
    assert found == pytest.approx(
        {"token_mean": 34 / 4, "sample_mean": (4 / 2 + 30 / 2) / 2, "constant": 34 / (2 * 10)}
    )


def inputs(ratios: list[float], advantages: list[float], weights: list[float], lengths: list[int]) -> PolicyInputs:
    old = torch.full((len(ratios),), -1.0)
    return PolicyInputs(
        logprobs=(old + torch.tensor(ratios).log()).requires_grad_(),
        entropy=torch.full((len(ratios),), 0.5),
        old=old,
        sampler=old - 0.0,
        reference=old + 0.5,
        advantages=torch.tensor(advantages),
        weights=torch.tensor(weights),
        lengths=torch.tensor(lengths),
    )


def test_gspo_clips_the_geometric_mean_of_a_samples_ratios() -> None:
    # Sample 1: ratios 2 and 8, mean 4 (the uncounted 100 is left out). Sample 2: none. Sample 3: 0.25 and 1, mean 0.5.
    x = inputs([2.0, 8.0, 100.0, 0.25, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0], [1.0, 1.0, 0.0, 1.0, 1.0], [3, 0, 2])
    config = LossConfig(loss="gspo", clip_low=0.6, clip_high=0.3)
    loss = POLICY_LOSSES["gspo"](x, config)
    assert loss.total.item() == pytest.approx(-1.3 - 1.3 - 0.5 - 0.5)
    assert mean_metrics([loss])["actor/pg_clipfrac"] == 0.5
    loss.total.backward()
    # d(-w s_i A)/d logp = -w A s_i / |y_i| for each of the two terms of its sample
    assert x.logprobs.grad is not None
    assert x.logprobs.grad.tolist() == pytest.approx([0, 0, 0, -0.5, -0.5])


def test_ppo_and_gspo_have_one_gradient_where_the_policy_has_not_moved() -> None:
    gradients = []
    for name in ("ppo", "gspo"):
        x = inputs([1.0] * 4, [2.0, 2.0, -1.0, -1.0], [0.5, 0.5, 0.5, 0.5], [2, 2])
        POLICY_LOSSES[name](x, LossConfig()).total.backward()
        gradients.append(x.logprobs.grad)
    torch.testing.assert_close(*gradients)


def test_the_objective_adds_entropy_and_kl_where_they_are_asked_for() -> None:
    x = inputs([1.0, 2.0], [0.0, 0.0], [1.0, 1.0], [2])
    plain = policy_objective(x, LossConfig(entropy_coef=0.1), kl_coef=0.3)
    assert plain.total.item() == pytest.approx(-0.1 * 1.0)
    assert "actor/kl_loss" not in plain.sums
    assert plain.peaks["actor/log_ratio_max"] == pytest.approx(np.log(2))
    gaps = x.logprobs.detach() - x.reference
    with_kl = policy_objective(x, LossConfig(kl_in="loss", kl_estimator="k2"), kl_coef=0.3)
    assert with_kl.total.item() == pytest.approx(0.3 * float((gaps**2 / 2).sum()))
    assert mean_metrics([with_kl])["actor/kl_loss"] == pytest.approx(float((gaps**2 / 2).mean()))
    off = policy_objective(x, LossConfig(kl_in="loss", kl_coef=0.0), kl_coef=0.0)
    assert "actor/kl_loss" not in off.sums


def squared(x: PolicyInputs, config: LossConfig, *, factor: float = 1.0) -> LossOutput:
    total = factor * (x.log_ratio**2 * x.weights).sum()
    return LossOutput(total, x.weights.sum().item(), {"actor/pg_loss": total.item()})


def test_a_loss_of_ones_own_gets_its_parameters() -> None:
    own = f"{__name__}:squared"
    config = LossConfig(loss=own, loss_params={"factor": 3.0})
    found = policy_objective(inputs([1.0, 2.0], [0.0, 0.0], [1.0, 1.0], [2]), config, 0.0)
    assert found.total.item() == pytest.approx(3 * np.log(2) ** 2)
    with pytest.raises(ConfigError, match=r"algorithm.loss_params.faktor.*'factor'"):
        compose([f"algorithm.loss={own}", "algorithm.loss_params.faktor=3"])


@pytest.mark.parametrize("normaliser", NORMALISERS)
@pytest.mark.parametrize("loss", ["ppo", "gspo"])
@given(st.lists(st.integers(0, 6), min_size=2, max_size=8), st.integers(1, 7), st.integers(0, 1000))
def test_cutting_a_batch_into_micro_batches_changes_neither_loss_nor_metrics(
    loss: str, normaliser: str, lengths: list[int], cut: int, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    tokens, cut = sum(lengths), min(cut, len(lengths) - 1)
    columns = [torch.randn(tokens, generator=rng) for _ in range(6)]
    mask = (torch.rand(tokens, generator=rng) > 0.2).float().numpy()
    offsets = np.cumsum([0, *lengths])
    weights = NORMALISERS[normaliser](mask, offsets, 8)
    config = LossConfig(loss=loss, entropy_coef=0.1, kl_in="loss", kl_estimator="k3")

    def part(rows: slice) -> LossOutput:
        a, b = offsets[rows.start or 0], offsets[-1 if rows.stop is None else rows.stop]
        own = [column[a:b] for column in columns]
        w = torch.from_numpy(weights.tokens[a:b])
        return policy_objective(PolicyInputs(*own, w, torch.tensor(lengths[rows], dtype=torch.int64)), config, 0.2)

    whole, parts = part(slice(0, None)), [part(slice(0, cut)), part(slice(cut, None))]
    assert sum(p.total.item() for p in parts) == pytest.approx(whole.total.item(), rel=1e-4, abs=1e-3)
    assert mean_metrics(parts) == pytest.approx(mean_metrics([whole]), rel=1e-3, abs=1e-3)
    rows = np.arange(len(lengths))
    assert weights.samples[rows[:cut]].sum() + weights.samples[rows[cut:]].sum() == pytest.approx(weights.samples.sum())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["algorithm.loss=pppo"], "algorithm.loss=pppo.*'ppo'"),
        (["algorithm.normaliser=mean"], "algorithm.normaliser=mean.*token_mean"),
        (["algorithm.loss_params.x=1"], "no key 'algorithm.loss_params.x'"),
        (["algorithm.estimator_params.x=1"], "no key 'algorithm.estimator_params.x'"),
        (["algorithm.estimator=gea"], "algorithm.estimator=gea.*'gae'"),
        (["algorithm.kl_in=loss"], "kl_estimator=k1.*k2 or k3"),
        (["algorithm.loss_tokens=credited"], "algorithm.loss_tokens=credited with algorithm.kl_in=reward"),
        (
            ["algorithm=ppo", "algorithm.kl_coef=0", "algorithm.loss_tokens=credited"],
            "algorithm.estimator=gae gives one to every token",
        ),
    ],
)
def test_what_cannot_be_a_loss_is_refused_at_the_start(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(overrides)


def test_every_loss_and_normaliser_is_a_word_of_the_configuration() -> None:
    for name in POLICY_LOSSES:
        assert compose([f"algorithm.loss={name}"]).algorithm.loss == name
    for name in NORMALISERS:
        assert compose([f"algorithm.normaliser={name}"]).algorithm.normaliser == name
