"""KL to a reference policy: per-token estimators, the reward penalty, and fixed or adaptive coefficients.

Estimators are Schulman's k1, k2 and k3 ("Approximating KL Divergence", 2020) of ``KL(policy || reference)`` from
samples of the policy. A *reward* may use any of them (k1 is unbiased). As a *loss* k1 is useless: its expected gradient
is zero. k2 has the correct gradient; k3's is biased but has low variance.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray

from prl_ray.errors import ConfigError

FloatArray = NDArray[np.floating]
Column = TypeVar("Column", FloatArray, torch.Tensor)
"""A numpy array or a torch tensor: rewards are numpy, losses are torch, with one formula for both."""


def k1(logprobs: Column, ref_logprobs: Column) -> Column:
    """``log p - log q``: unbiased, may be negative."""
    kl: Column = logprobs - ref_logprobs
    return kl


def k2(logprobs: Column, ref_logprobs: Column) -> Column:
    """``(log p - log q)^2 / 2``: never negative, biased, low variance ("mse")."""
    gap: Column = logprobs - ref_logprobs
    kl: Column = gap * gap * 0.5
    return kl


def k3(logprobs: Column, ref_logprobs: Column) -> Column:
    """``q/p - 1 - log(q/p)``: unbiased and never negative. The log ratio is clamped to ±20 so that ``exp`` stays
    finite."""
    gap = ref_logprobs - logprobs
    if isinstance(gap, torch.Tensor):
        gap = gap.clamp(-20, 20)
        return gap.exp() - 1 - gap
    gap = np.clip(gap, -20, 20)
    return cast(Column, np.exp(gap) - 1 - gap)


KL_ESTIMATORS: dict[str, Callable[..., object]] = {"k1": k1, "k2": k2, "mse": k2, "k3": k3}


def kl_estimate(name: str, logprobs: Column, ref_logprobs: Column) -> Column:
    """The estimator called ``name`` (``k1``, ``k2`` or ``mse``, ``k3``), per token. ``ConfigError`` for an unknown
    name."""
    if name not in KL_ESTIMATORS:
        raise ConfigError(f"unknown KL estimator {name!r}; known: {', '.join(KL_ESTIMATORS)}")
    return cast(Column, KL_ESTIMATORS[name](logprobs, ref_logprobs))


def penalise(
    rewards: FloatArray, logprobs: FloatArray, ref_logprobs: FloatArray, coefficient: float, estimator: str = "k1"
) -> tuple[FloatArray, FloatArray]:
    """``r_t - beta KL_t`` and ``KL_t``, float32 ``[tokens]`` each. ``logprobs`` are the policy's before the update."""
    kl = kl_estimate(estimator, logprobs, ref_logprobs).astype(np.float32)
    return (rewards - coefficient * kl).astype(np.float32), kl


class FixedKL:
    """A coefficient that never changes."""

    def __init__(self, coefficient: float) -> None:
        self.coefficient = coefficient

    def update(self, current_kl: float, samples: int) -> None:
        """Called with a step's mean KL (nats per token) over ``samples`` samples; changes nothing."""

    def state_dict(self) -> dict[str, float]:
        """The state for a checkpoint."""
        return {"coefficient": self.coefficient}

    def load_state_dict(self, state: dict[str, float]) -> None:
        """Loads a checkpoint's ``state_dict``; target and horizon come from the configuration."""
        self.coefficient = state["coefficient"]


class AdaptiveKL(FixedKL):
    """Proportional control of the coefficient towards a target KL (Ziegler et al. 2019, section 2.2).

    ``beta <- beta (1 + clip(KL / target - 1, -0.2, 0.2) samples / horizon)``. ``target`` is in the unit of ``update``'s
    argument, ``horizon`` in samples.
    """

    def __init__(self, coefficient: float, target: float, horizon: int) -> None:
        super().__init__(coefficient)
        if target <= 0 or horizon <= 0:
            raise ConfigError(f"adaptive KL needs a positive target and horizon, got {target} and {horizon}")
        self.target = target
        self.horizon = horizon

    def update(self, current_kl: float, samples: int) -> None:
        """Updates the coefficient for ``samples`` samples of mean KL ``current_kl``."""
        error = min(max(current_kl / self.target - 1, -0.2), 0.2)
        self.coefficient *= 1 + error * min(samples / self.horizon, 1.0)
