import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import Sample, any_batches, batch_of, verdicts_of

from prl_ray.rewards.controls import CONTROLS
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.trajectory import TrajectoryBatch

BATCH = batch_of(
    [
        Sample(tokens=range(8), line_ends=[1, 3, 4, 6, 7], neutral=[False, False, True, False, False]),
        Sample(tokens=range(3), line_ends=[1, 2]),
    ]
)
INPUTS = RewardInputs(
    BATCH,
    verdicts_of(["wrong_answer", "passed"]),
    np.array([0.9, 0.8, 0.99, 0.1, 0.3, 0.7, 0.6], dtype=np.float32),
    None,
)
RAW = SHAPINGS["process_raw"]


def test_shuffling_moves_scores_between_the_lines_of_a_sample_only() -> None:
    seen = set()
    for seed in range(20):
        rewards = CONTROLS["shuffled"](RAW, INPUTS, np.random.default_rng(seed))
        lines = rewards[BATCH.global_line_ends]
        assert lines[2] == 0.0  # the comment
        assert sorted(lines[[0, 1, 3, 4]]) == pytest.approx([-0.8, -0.4, 0.6, 0.8], abs=1e-6)
        assert sorted(lines[5:]) == pytest.approx([0.2, 0.4], abs=1e-6)
        seen.add(tuple(lines))
    assert len(seen) > 10


def test_the_constant_is_the_mean_score_of_the_scored_lines() -> None:
    rewards = CONTROLS["constant"](RAW, INPUTS, np.random.default_rng(0))
    s = 2 * np.mean([0.9, 0.8, 0.1, 0.3, 0.7, 0.6]) - 1
    assert rewards[BATCH.global_line_ends] == pytest.approx([s, s, 0, s, s, s, s], abs=1e-6)


@pytest.mark.parametrize("name", SHAPINGS)
@settings(max_examples=40)
@given(any_batches(), st.integers(0, 5))
def test_the_end_control_pays_the_same_totals_at_the_last_token(name: str, batch: TrajectoryBatch, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = RewardInputs(
        batch,
        verdicts_of(list(rng.choice(["passed", "timeout", "sandbox_error"], len(batch)))),
        rng.random(len(batch.line_ends), dtype=np.float32),
        rng.random(len(batch), dtype=np.float32),
    )
    real = SHAPINGS[name](x)
    control = CONTROLS["mean_at_end"](SHAPINGS[name], x, rng)
    for start, stop in zip(batch.token_offsets[:-1], batch.token_offsets[1:], strict=True):
        assert not control[start : max(stop - 1, start)].any()
        assert control[start:stop].sum() == pytest.approx(real[start:stop].sum(), abs=1e-5)


def test_controls_leave_the_inputs_alone() -> None:
    before = INPUTS.line_scores.copy()
    for control in CONTROLS.values():
        control(RAW, INPUTS, np.random.default_rng(0))
    np.testing.assert_array_equal(INPUTS.line_scores, before)
