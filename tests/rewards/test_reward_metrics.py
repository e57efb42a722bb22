import numpy as np
import pytest
from hypothesis import given
from trajectories import Sample, any_batches, batch_of

from prl_ray.rewards.metrics import hack_metrics, line_table, rewards_by_line
from prl_ray.trajectory import TrajectoryBatch

BATCH = batch_of(
    [
        Sample(
            tokens=range(6),
            line_ends=[1, 2, 4, 5],
            neutral=[False, True, False, False],
            program="x = 1\n# why\nx = 1\n",
        ),
        Sample(tokens=range(4), line_ends=[1, 3], program="def f():\n    return 2\n\n", finished=False),
        Sample(tokens=range(3), line_ends=[1, 2], program="return 1"),
    ]
)


def test_hack_metrics_by_hand() -> None:
    metrics = hack_metrics(BATCH)
    assert metrics["hack/neutral_share"] == pytest.approx(1 / 6)
    assert metrics["hack/lines_per_program"] == pytest.approx((2 + 2 + 1) / 3)
    assert metrics["hack/repeated_share"] == pytest.approx(1 / 6)
    assert metrics["hack/one_line_share"] == pytest.approx(1 / 3)


def test_rewards_by_line_sums_tokens_and_gives_the_tail_to_the_last_line() -> None:
    rewards = np.array([1, 2, 3, 4, 5, 6, 10, 20, 30, 40, 7, 8, 9], dtype=np.float32)
    assert rewards_by_line(BATCH, rewards).tolist() == [3, 3, 9, 6, 30, 70, 15, 9]
    unfinished = batch_of([Sample(tokens=range(4), line_ends=[1], finished=False)])
    assert rewards_by_line(unfinished, rewards[:4]).tolist() == [10]


@given(any_batches())
def test_line_rewards_add_up_to_the_samples_rewards(batch: TrajectoryBatch) -> None:
    rewards = np.arange(len(batch.tokens), dtype=np.float32)
    by_line = rewards_by_line(batch, rewards)
    for i in range(len(batch)):
        lines = by_line[batch.line_offsets[i] : batch.line_offsets[i + 1]]
        if len(lines):
            assert lines.sum() == rewards[batch.token_offsets[i] : batch.token_offsets[i + 1]].sum()


def test_line_table_marks_the_end() -> None:
    rewards = np.ones(13, dtype=np.float32)
    scores = np.linspace(0, 0.7, 8, dtype=np.float32)
    rows = line_table(BATCH, 0, rewards, scores)
    assert [(r.line, r.token, r.neutral, r.is_end, r.reward) for r in rows] == [
        (0, 1, False, False, 2.0),
        (1, 2, True, False, 1.0),
        (2, 4, False, False, 2.0),
        (3, 5, False, True, 1.0),
    ]
    assert [r.is_end for r in line_table(BATCH, 1, rewards)] == [False, False]
    assert np.isnan(line_table(BATCH, 1, rewards)[0].score)
