import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prl_ray.ppo.logprobs import token_logprobs


def reference(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, torch.Tensor]:
    logits = hidden @ weight.T
    log_p = torch.log_softmax(((logits if bias is None else logits + bias) / temperature).float(), -1)
    return log_p.gather(-1, targets[:, None])[:, 0], -(log_p.exp() * log_p).sum(-1)


def case(n: int, seed: int, bias: bool, dtype: torch.dtype = torch.float32) -> list[torch.Tensor | None]:
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(n, 16, generator=rng).to(dtype).requires_grad_()
    weight = torch.randn(50, 16, generator=rng).to(dtype).requires_grad_()
    return [
        hidden,
        weight,
        torch.randn(50, generator=rng).to(dtype).requires_grad_() if bias else None,
        torch.randint(0, 50, (n,), generator=rng),
    ]


@settings(deadline=None, max_examples=30)
@given(
    n=st.integers(1, 11),
    seed=st.integers(0, 10_000),
    bias=st.booleans(),
    temperature=st.sampled_from([1.0, 0.7]),
    with_entropy=st.booleans(),
    chunk=st.integers(1, 12),
    keep=st.sampled_from([0, 700, 1 << 20]),
    as_module=st.booleans(),
)
def test_values_and_gradients_are_those_of_log_softmax(
    n: int, seed: int, bias: bool, temperature: float, with_entropy: bool, chunk: int, keep: int, as_module: bool
) -> None:
    hidden, weight, bias_, targets = case(n, seed, bias)
    assert hidden is not None and weight is not None and targets is not None
    expected_logprobs, expected_entropy = reference(hidden, weight, bias_, targets, temperature)
    logprobs, entropy = token_logprobs(
        hidden,
        (lambda h: h @ weight.T) if as_module else weight,
        targets,
        bias=bias_,
        temperature=temperature,
        with_entropy=with_entropy,
        chunk=chunk,
        keep_bytes=keep,
    )
    torch.testing.assert_close(logprobs, expected_logprobs, atol=1e-4, rtol=1e-4)
    if not with_entropy:
        expected_entropy = torch.zeros_like(entropy)
    torch.testing.assert_close(entropy, expected_entropy, atol=1e-4, rtol=1e-4)

    upstream = torch.randn(2, n, generator=torch.Generator().manual_seed(seed + 1))
    leaves = [t for t in (hidden, weight, bias_) if t is not None]
    expected = torch.autograd.grad((upstream[0] * expected_logprobs + upstream[1] * expected_entropy).sum(), leaves)
    actual = torch.autograd.grad((upstream[0] * logprobs + upstream[1] * entropy).sum(), leaves)
    for ours, theirs in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-4, rtol=1e-3)


def test_bfloat16_models_get_float32_logprobs() -> None:
    hidden, weight, _, targets = case(64, 3, bias=False, dtype=torch.bfloat16)
    assert hidden is not None and weight is not None and targets is not None
    logprobs, entropy = token_logprobs(hidden, weight, targets, chunk=24)
    assert logprobs.dtype == entropy.dtype == torch.float32
    exact, exact_entropy = reference(hidden.float(), weight.float(), None, targets, 1.0)
    torch.testing.assert_close(logprobs, exact, atol=0.1, rtol=0.02)
    torch.testing.assert_close(entropy, exact_entropy, atol=0.1, rtol=0.02)
    ours = torch.autograd.grad(logprobs.sum() + entropy.sum(), [hidden, weight])
    theirs = torch.autograd.grad(exact.sum() + exact_entropy.sum(), [hidden, weight])
    for a, b in zip(ours, theirs, strict=True):
        assert a.dtype == torch.bfloat16
        assert torch.nn.functional.cosine_similarity(a.float().flatten(), b.float().flatten(), dim=0) > 0.999


def test_only_what_needs_a_gradient_gets_one() -> None:
    hidden, weight, _, targets = case(5, 0, bias=False)
    assert hidden is not None and weight is not None and targets is not None
    logprobs, _ = token_logprobs(hidden, weight.detach(), targets)
    logprobs.sum().backward()
    assert hidden.grad is not None and weight.grad is None
    with torch.no_grad():
        assert not token_logprobs(hidden, weight, targets)[0].requires_grad


@pytest.mark.parametrize("as_module", [False, True])
def test_no_tokens(as_module: bool) -> None:
    hidden, weight, _, targets = case(0, 0, bias=False)
    assert hidden is not None and weight is not None and targets is not None
    logprobs, entropy = token_logprobs(hidden, (lambda h: h @ weight.T) if as_module else weight, targets)
    assert logprobs.shape == entropy.shape == (0,)
    (logprobs.sum() + entropy.sum()).backward()


def test_banned_tokens_do_not_spoil_the_entropy() -> None:
    bias = torch.zeros(50)
    bias[7] = float("-inf")
    hidden, weight, _, targets = case(4, 0, bias=False)
    assert hidden is not None and weight is not None and targets is not None
    logprobs, entropy = token_logprobs(hidden, weight, torch.full((4,), 3), bias=bias)
    assert torch.isfinite(logprobs).all() and torch.isfinite(entropy).all()
    (gradient,) = torch.autograd.grad(logprobs.sum() + entropy.sum(), hidden)
    assert torch.isfinite(gradient).all()
