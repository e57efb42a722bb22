"""No per-line reward pays for stopping early or for padding, whatever the line scores are."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.errors import ConfigError
from prl_ray.rewards.config import RewardConfig
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.shaping import SHAPINGS

SAFE = [name for name, shaping in SHAPINGS.items() if not shaping.farmable]
FAILURES = ["wrong_answer", "runtime_error", "compile_error", "timeout", "out_of_memory", "output_limit", "forbidden"]
probabilities = st.floats(0, 1, width=32)


@dataclass(frozen=True)
class Program:
    """Line scores, the end's last; every line has two tokens and the end one."""

    scores: list[float]
    status: str
    neutral: tuple[int, ...] = ()
    tests_passed: float = 1.0

    def padded(self, filler: list[float], at: int, neutral: bool = False) -> Program:
        marks = tuple(range(at, at + len(filler))) if neutral else ()
        return replace(self, scores=self.scores[:at] + filler + self.scores[at:], neutral=marks)


def earned(name: str, program: Program, params: RewardConfig | None = None) -> float:
    lines = len(program.scores) - 1
    ends = [2 * i + 1 for i in range(lines)] + [2 * lines]
    neutral = [i in program.neutral for i in range(lines + 1)]
    batch = batch_of([Sample(tokens=range(2 * lines + 1), line_ends=ends, neutral=neutral)])
    scores = np.array(program.scores, dtype=np.float32)
    # The ORM is not a per-line reward: it is taken to be right.
    orm = np.array([float(program.status == "passed")], dtype=np.float32)
    rewards = SHAPINGS[name](RewardInputs(batch, verdicts_of([program.status]), scores, orm, params or RewardConfig()))
    return float(rewards.astype(np.float64).sum())


# Hand-made: a right program of five lines; its first line, then the end, which the reward model likes nearly as much;
# and the right program with ten filler lines that the reward model is surer of than of any real line.
RIGHT = Program([0.95, 0.8, 0.7, 0.9, 0.85, 0.9], "passed")
STOPPED = Program([0.95, 0.88], "wrong_answer")
PADDED = RIGHT.padded([0.99] * 10, at=5)


@pytest.mark.parametrize("name", SAFE)
def test_stopping_after_a_right_first_line_earns_less(name: str) -> None:
    assert earned(name, STOPPED) < earned(name, RIGHT)


@pytest.mark.parametrize("name", SAFE)
def test_ten_filler_lines_earn_nothing(name: str) -> None:
    assert earned(name, PADDED) <= earned(name, RIGHT) + 1e-6


def test_the_raw_sum_is_farmed_by_padding_and_by_stopping() -> None:
    assert earned("process_raw", PADDED) > earned("process_raw", RIGHT)
    doubted = Program([0.95, 0.3, 0.3, 0.4, 0.5], "passed")
    assert earned("process_raw", STOPPED) > earned("process_raw", doubted)


@pytest.mark.parametrize("name", SAFE)
@settings(max_examples=40)
@given(
    st.lists(probabilities, min_size=2, max_size=12),
    st.lists(probabilities, min_size=1, max_size=12),
    st.data(),
    st.booleans(),
)
def test_padding_a_right_program_never_pays(
    name: str, scores: list[float], filler: list[float], data: st.DataObject, neutral: bool
) -> None:
    right = Program(scores, "passed")
    at = data.draw(st.integers(0, len(scores) - 1))
    padded = right.padded(filler, at, neutral)
    assert earned(name, padded) <= earned(name, right) + 1e-5
    if neutral:
        assert earned(name, padded) == pytest.approx(earned(name, right), abs=1e-5)


@pytest.mark.parametrize("name", [n for n in SAFE if n != "pass_rate"])
@settings(max_examples=40)
@given(
    st.lists(probabilities, min_size=2, max_size=12),
    st.lists(probabilities, min_size=1, max_size=12),
    st.sampled_from(FAILURES),
)
def test_no_failure_earns_more_than_a_right_program(
    name: str, right: list[float], wrong: list[float], how: str
) -> None:
    for alpha in (0.5, 0.65):
        params = RewardConfig(alpha=alpha, params={"eta": 1.0} if name == "clip_delta" else {})
        assert earned(name, Program(wrong, how), params) <= earned(name, Program(right, "passed"), params) + 1e-5


@given(st.lists(probabilities, min_size=8, max_size=20), st.lists(probabilities, min_size=1), st.integers(0, 8))
def test_padding_a_failure_of_full_length_does_not_pay_in_process_mean(
    scores: list[float], filler: list[float], at: int
) -> None:
    wrong = Program(scores, "wrong_answer")
    assert (
        earned("process_mean", wrong.padded(filler, min(at, len(scores) - 1))) <= earned("process_mean", wrong) + 1e-5
    )


@given(st.lists(probabilities, min_size=1, max_size=7), st.lists(probabilities, min_size=1, max_size=4))
def test_a_failure_that_stops_early_does_not_gain_in_process_mean(scores: list[float], rest: list[float]) -> None:
    lines, end = (scores + rest)[:7], 0.2
    whole, stopped = Program([*lines, end], "wrong_answer"), Program([*scores, end], "wrong_answer")
    assert earned("process_mean", stopped) <= earned("process_mean", whole) + 1e-5


@given(st.lists(probabilities, min_size=1), st.lists(probabilities, min_size=1))
def test_all_failures_of_one_kind_earn_the_same_in_process(one: list[float], other: list[float]) -> None:
    assert earned("process", Program(one, "timeout")) == pytest.approx(
        earned("process", Program(other, "timeout")), abs=1e-5
    )


def test_weights_that_break_the_guarantee_are_rejected() -> None:
    with pytest.raises(ConfigError, match="half the gap"):
        RewardConfig(alpha=0.7)
    with pytest.raises(ConfigError, match="half the gap"):
        RewardConfig(alpha=0.5, failed=0.5)
    with pytest.raises(ConfigError, match=r"reward\.params\.tau=0\.0 is below"):
        SHAPINGS["min_form"].check_params({"tau": 0.0})
