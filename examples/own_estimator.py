"""Your own advantage estimator: compares each sample with the best one of its prompt.

A run selects it by its import path, with its parameters::

    cd examples
    python -m prl_ray.train experiment=smoke algorithm.estimator=own_estimator:best_of_prompt \\
        algorithm.estimator_params.share=0.5

Run as a program, this file prints the advantages of one prompt's four samples.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from prl_ray.plugins import Bounds
from prl_ray.ppo.advantages import AdvantageInputs, Estimate, estimator, reward_to_go, sample_totals


@estimator(groups=True)
def best_of_prompt(inputs: AdvantageInputs, *, share: Annotated[float, Bounds(low=0, high=1)] = 1.0) -> Estimate:
    """A sample's total minus ``share`` times the best total of its prompt, on all of its tokens."""
    totals = sample_totals(inputs.rewards, inputs.offsets)
    _, group = np.unique(inputs.prompt_ids, return_inverse=True)
    best = np.full(group.max(initial=-1) + 1, -np.inf)
    np.maximum.at(best, group, totals)
    advantages = np.repeat(totals - share * best[group], np.diff(inputs.offsets)).astype(np.float32)
    return Estimate(advantages, reward_to_go(inputs.rewards, inputs.offsets, inputs.gamma))


def main() -> None:
    """Prints the advantage of each sample."""
    rewards = np.array([1.0, -0.3, -0.6, 1.0], dtype=np.float32)
    inputs = AdvantageInputs(rewards, offsets=np.arange(5), prompt_ids=np.zeros(4, dtype=np.int64))
    print(best_of_prompt(inputs).advantages.tolist())


if __name__ == "__main__":
    main()
