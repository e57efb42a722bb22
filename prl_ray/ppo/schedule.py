"""The schedule of the actor's learning rate over the PPO steps."""

from __future__ import annotations


def learning_rate(
    peak: float, step: int, steps: int, *, first: int = 0, warmup: int = 0, decay_to: float = 1.0
) -> float:
    """Rate of PPO step ``step`` (from 0) of ``steps``; ``first`` is the first step that updates the actor.

    It warms up linearly over ``warmup`` steps from ``first`` on, and decays linearly over all steps to ``decay_to``
    times the rate at the last one: a good policy has fewer prompts left to learn from, and needs smaller steps.
    """
    growth = min(1.0, (step - first + 1) / max(1, warmup))
    progress = min(1.0, step / max(1, steps - 1))
    return peak * growth * (1.0 - (1.0 - decay_to) * progress)
