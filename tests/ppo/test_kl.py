import numpy as np
import pytest
import torch

from prl_ray.errors import ConfigError
from prl_ray.ppo.kl import AdaptiveKL, FixedKL, kl_estimate, penalise


def test_estimators_by_hand_in_numpy_and_torch() -> None:
    logprobs, reference = np.log([0.5, 0.2]), np.log([0.25, 0.4])
    expected = {
        "k1": [np.log(2), -np.log(2)],
        "k2": [np.log(2) ** 2 / 2] * 2,
        "mse": [np.log(2) ** 2 / 2] * 2,
        "k3": [0.5 - 1 + np.log(2), 2 - 1 - np.log(2)],
    }
    for name, values in expected.items():
        np.testing.assert_allclose(kl_estimate(name, logprobs, reference), values)
        tensors = kl_estimate(name, torch.tensor(logprobs), torch.tensor(reference))
        np.testing.assert_allclose(tensors.numpy(), values)
    with pytest.raises(ConfigError, match="known: k1, k2"):
        kl_estimate("k4", logprobs, reference)


def test_k1_and_k3_are_unbiased_and_k2_has_the_kls_gradient() -> None:
    logits = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    reference = torch.randn(50, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).log_softmax(-1)
    logprobs = logits.log_softmax(-1)
    p = logprobs.exp()
    true = (p * (logprobs - reference)).sum()
    for name in ("k1", "k3"):
        assert (p * kl_estimate(name, logprobs, reference)).sum().item() == pytest.approx(true.item())
    (true_gradient,) = torch.autograd.grad(true, logits, retain_graph=True)
    # As a loss: samples from p, the sampling itself not differentiated.
    gradients = {
        name: torch.autograd.grad(
            (p.detach() * kl_estimate(name, logprobs, reference)).sum(), logits, retain_graph=True
        )[0]
        for name in ("k1", "k2")
    }
    np.testing.assert_allclose(gradients["k2"], true_gradient, atol=1e-12)
    np.testing.assert_allclose(gradients["k1"], 0, atol=1e-12)


def test_a_wild_token_stays_finite() -> None:
    assert np.isfinite(kl_estimate("k3", np.array([-800.0]), np.array([0.0]))).all()


def test_penalise_subtracts_the_kl_at_every_token() -> None:
    rewards = np.array([0.0, 1.0], dtype=np.float32)
    shaped, kl = penalise(rewards, np.array([-1.0, -2.0]), np.array([-1.5, -1.0]), 0.1)
    assert kl.tolist() == [0.5, -1.0]
    assert shaped.tolist() == pytest.approx([-0.05, 1.1])
    assert shaped.dtype == np.float32


def test_adaptive_kl_by_hand() -> None:
    controller = AdaptiveKL(0.2, target=6.0, horizon=100)
    controller.update(6.0, samples=10)
    assert controller.coefficient == 0.2
    controller.update(6.6, samples=10)
    assert controller.coefficient == pytest.approx(0.2 * 1.01)
    controller.update(600.0, samples=10)
    assert controller.coefficient == pytest.approx(0.2 * 1.01 * 1.02)
    controller.update(0.0, samples=10)
    assert controller.coefficient == pytest.approx(0.2 * 1.01 * 1.02 * 0.98)


def test_adaptive_kl_finds_the_coefficient_that_holds_the_target() -> None:
    controller = AdaptiveKL(1.0, target=0.5, horizon=100)
    for _ in range(500):
        controller.update(0.1 / controller.coefficient, samples=50)  # a plant whose KL falls with the coefficient
    assert controller.coefficient == pytest.approx(0.2, rel=1e-3)


def test_controllers_resume_from_their_state() -> None:
    controller = AdaptiveKL(0.2, target=1.0, horizon=10)
    controller.update(2.0, 5)
    resumed = AdaptiveKL(0.2, target=1.0, horizon=10)
    resumed.load_state_dict(controller.state_dict())
    assert resumed.coefficient == controller.coefficient != 0.2
    fixed = FixedKL(0.3)
    fixed.update(100.0, 100)
    assert fixed.state_dict() == {"coefficient": 0.3}


def test_adaptive_kl_rejects_a_target_it_cannot_divide_by() -> None:
    with pytest.raises(ConfigError, match="positive target"):
        AdaptiveKL(0.2, target=0.0, horizon=10)
