import pytest
from trajectories import Sample, batch_of

from prl_ray.rewards.metrics import hack_metrics

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
