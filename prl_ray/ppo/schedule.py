"""How the actor's learning rate runs over the steps of PPO."""

from __future__ import annotations


def learning_rate(
    peak: float, step: int, steps: int, *, first: int = 0, warmup: int = 0, decay_to: float = 1.0
) -> float:
    """Rate of PPO step ``step`` (from 0) of ``steps``; ``first`` is the first step that updates the actor.

    It grows to its size over the ``warmup`` steps from ``first`` on, and over all steps falls linearly to ``decay_to``
    of it at the last one: the policy has fewer prompts left to learn from when it is good, and takes smaller steps.
    """
    growth = min(1.0, (step - first + 1) / max(1, warmup))
    progress = min(1.0, step / max(1, steps - 1))
    return peak * growth * (1.0 - (1.0 - decay_to) * progress)
