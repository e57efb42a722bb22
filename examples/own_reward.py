"""Your own reward: pays the outcome at the end, and subtracts a charge for each late line.

A run selects it by its import path, with its parameters::

    cd examples
    python -m prl_ray.train experiment=smoke reward.name=own_reward:late_lines reward.params.after=2

Run as a program, this file prints the rewards of two hand-written programs.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np

from prl_ray.plugins import Bounds
from prl_ray.rewards.config import RewardConfig
from prl_ray.rewards.inputs import Floats, RewardInputs
from prl_ray.rewards.shaping import shaping
from prl_ray.trajectory import STATUSES, TrajectoryBatch, Verdicts


@shaping(needs="tests")
def late_lines(
    x: RewardInputs,
    *,
    after: Annotated[int, Bounds(low=1)] = 4,
    charge: Annotated[float, Bounds(low=0, high=1)] = 0.1,
) -> Floats:
    """The outcome at the last token, minus ``charge`` at the end of every line after the first ``after`` ones."""
    batch = x.batch
    own_index = np.arange(len(batch.line_ends)) - np.repeat(batch.line_offsets[:-1], np.diff(batch.line_offsets))
    late = batch.global_line_ends[own_index >= after].astype(np.int64)
    return x.at_end(x.outcome) - x.at_tokens(late, np.full(len(late), charge))


def two_programs() -> TrajectoryBatch:
    """One sample of two lines and one of four, ends included, with one token per line."""
    lines, offsets = [0, 1, 0, 1, 2, 3], np.array([0, 2, 6])
    return TrajectoryBatch(
        task_ids=("short", "long"),
        prompt_ids=np.array([0, 0]),
        programs=("return 1", "a = 1\nb = a\nreturn b"),
        finished=np.array([True, True]),
        prompt_tokens=np.zeros(2, dtype=np.int32),
        prompt_offsets=np.array([0, 1, 2]),
        tokens=np.arange(6, dtype=np.int32),
        token_offsets=offsets,
        logprobs=np.zeros(6, dtype=np.float32),
        weight_versions=np.zeros(6, dtype=np.int32),
        line_ends=np.array(lines, dtype=np.int32),
        line_offsets=offsets,
        line_neutral=np.zeros(6, dtype=np.bool_),
    )


def main() -> None:
    """Prints the reward of each token."""
    batch = two_programs()
    verdicts = Verdicts(
        status=np.full(2, STATUSES.index("passed"), dtype=np.uint8),
        passed=np.array([3, 3]),
        total=np.array([3, 3]),
        error_line=np.array([-1, -1]),
        finished=batch.finished,
        tokens=np.diff(batch.token_offsets),
    )
    inputs = RewardInputs(batch, verdicts, config=RewardConfig(params={"after": 2}))
    for name, rewards in zip(batch.task_ids, np.split(late_lines(inputs), batch.token_offsets[1:-1]), strict=True):
        print(f"{name}: {' '.join(f'{r:+.2f}' for r in rewards)}")


if __name__ == "__main__":
    main()
