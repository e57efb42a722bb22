"""A program that the length limit cut off never earns more than one that ends, under any shaping and any policy for it.

A right program whose end the PRM doubts used to earn more by writing comments up to the limit: it then had no end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import Sample, any_batches, batch_of, verdicts_of

from prl_ray.evaluation import Sampled
from prl_ray.rerank import chosen, program_scores
from prl_ray.rewards.config import RewardConfig
from prl_ray.rewards.controls import CONTROLS
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.program_scores import AGGREGATES
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.trajectory import STATUSES, TrajectoryBatch

SAFE = [name for name, shaping in SHAPINGS.items() if not shaping.farmable]
MODES = ("fail", "mask", "keep")
probabilities = st.floats(0, 1, width=32)


@dataclass(frozen=True)
class Program:
    """Scores of its lines, the end's last where it ends; two tokens for each line and one for the end."""

    scores: list[float]
    finished: bool = True
    status: str = "passed"
    neutral: tuple[bool, ...] = ()


def inputs_of(program: Program, mode: str) -> RewardInputs:
    lines = len(program.scores) - program.finished
    ends = [2 * i + 1 for i in range(lines)] + [2 * lines] * program.finished
    tokens = range(2 * lines + program.finished)
    batch = batch_of([Sample(tokens=tokens, line_ends=ends, neutral=program.neutral, finished=program.finished)])
    orm = np.array([float(program.status == "passed")], dtype=np.float32)
    scores = np.array(program.scores, dtype=np.float32)
    return RewardInputs(batch, verdicts_of([program.status]), scores, orm, RewardConfig(truncated=mode))


def earned(name: str, program: Program, mode: str) -> float:
    return float(SHAPINGS[name](inputs_of(program, mode)).astype(np.float64).sum())


def test_the_case_that_was_reported() -> None:
    """Four sure lines and an end of probability 0.4; the same with twenty comments up to the limit."""
    ends = Program([1.0] * 4 + [0.4])
    runs_on = Program([1.0] * 24, finished=False, neutral=(False,) * 4 + (True,) * 20)
    assert earned("process_mean", ends, "keep") == pytest.approx(1 + 0.5 * (1 - 1.2 / 8))
    assert earned("process_mean", runs_on, "keep") == pytest.approx(1 + 0.5 * (1 - 2 / 8))
    assert earned("process_mean", runs_on, "fail") < 0
    assert earned("process_mean", runs_on, "mask") == 0


@pytest.mark.parametrize("name", SAFE)
@settings(max_examples=25, deadline=None)
@given(
    st.lists(probabilities, min_size=1, max_size=10),
    probabilities,
    st.lists(probabilities, max_size=12),
    st.booleans(),
)
def test_running_on_never_pays(name: str, scores: list[float], end: float, filler: list[float], comments: bool) -> None:
    ends = Program([*scores, end])
    neutral = (False,) * len(scores) + (comments,) * len(filler)
    runs_on = Program([*scores, *filler], finished=False, neutral=neutral)
    for mode in MODES:
        assert earned(name, runs_on, mode) <= earned(name, ends, mode) + 1e-5


@pytest.mark.parametrize("name", SAFE)
@settings(max_examples=25, deadline=None)
@given(
    st.lists(probabilities, min_size=1, max_size=10),
    st.lists(probabilities, min_size=1, max_size=12),
    st.data(),
)
def test_lines_added_to_a_right_program_that_is_cut_off_anyway_never_pay(
    name: str, scores: list[float], filler: list[float], data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(scores)))
    padded = Program([*scores[:at], *filler, *scores[at:]], finished=False)
    for mode in ("mask", "keep"):  # with fail it is no right program
        assert earned(name, padded, mode) <= earned(name, Program(scores, finished=False), mode) + 1e-5


@pytest.mark.parametrize("name", [name for name in SAFE if name != "pass_rate"])
@settings(max_examples=25, deadline=None)
@given(
    st.lists(probabilities, min_size=2, max_size=10),
    st.lists(probabilities, min_size=1, max_size=10),
    st.sampled_from(["wrong_answer", "runtime_error", "timeout", "compile_error"]),
)
def test_a_failure_that_is_cut_off_never_earns_more_than_a_right_program(
    name: str, right: list[float], wrong: list[float], status: str
) -> None:
    failure = Program(wrong, finished=False, status=status)
    for mode in MODES:
        assert earned(name, failure, mode) <= earned(name, Program(right), mode) + 1e-5


@pytest.mark.parametrize("name", SHAPINGS)
@settings(max_examples=25, deadline=None)
@given(any_batches(), st.data())
def test_masked_programs_have_no_reward_and_no_token_that_counts(
    name: str, batch: TrajectoryBatch, data: st.DataObject
) -> None:
    statuses = data.draw(st.lists(st.sampled_from(STATUSES), min_size=len(batch), max_size=len(batch)))
    scores, orm = np.full(len(batch.line_ends), 0.5, np.float32), np.full(len(batch), 0.5, np.float32)
    x = RewardInputs(batch, verdicts_of(statuses), scores, orm, RewardConfig(truncated="mask"))
    cut_off = np.repeat(~batch.finished, batch.response_lengths)
    assert not SHAPINGS[name](x)[cut_off].any() and not SHAPINGS[name].counted(x)[cut_off].any()
    assert not x.valid[~batch.finished].any()
    assert (
        SHAPINGS[name].counted(x)[np.repeat(x.valid, batch.response_lengths)].any()
        or not x.valid.any()
        or (batch.response_lengths[x.valid] == 0).all()
    )


def test_cut_off_programs_are_counted() -> None:
    batch = batch_of([Sample(tokens=[1], finished=f) for f in (True, False, False, True)])
    verdicts = verdicts_of(["passed", "passed", "wrong_answer", "sandbox_error"])
    for mode, masked in (("fail", 0.25), ("keep", 0.25), ("mask", 0.75)):
        x = RewardInputs(batch, verdicts, config=RewardConfig(truncated=mode))
        assert x.metrics() == {"reward/truncated": 0.5, "reward/truncated_passed": 0.25, "reward/masked": masked}
        assert x.ok.tolist() == [True, mode != "fail", False, False]
    assert RewardInputs(batch, verdicts).outcome.tolist() == [1.0, -0.3, -0.3, 0.0]


@pytest.mark.parametrize("control", [name for name in CONTROLS if name != "shuffled"])
@settings(max_examples=30, deadline=None)
@given(any_batches(), st.data())
def test_a_masked_program_changes_no_other_ones_reward(
    control: str, batch: TrajectoryBatch, data: st.DataObject
) -> None:
    """Before: its outcome decided whether ``group_gated`` pays its group's lines, its scores what ``constant`` pays."""
    statuses = data.draw(st.lists(st.sampled_from(STATUSES), min_size=len(batch), max_size=len(batch)))
    scores, orm = np.linspace(0, 1, len(batch.line_ends)).astype(np.float32), np.full(len(batch), 0.5, np.float32)
    config = RewardConfig(truncated="mask")
    x = RewardInputs(batch, verdicts_of(statuses), scores, orm, config)
    masked = x.verdicts.valid & ~x.valid
    flipped = ["wrong_answer" if s == "passed" else "passed" for s in statuses]
    other = [f if m else s for s, f, m in zip(statuses, flipped, masked, strict=True)]
    changed = np.where(np.repeat(x.valid, np.diff(batch.line_offsets)), scores, 1 - scores).astype(np.float32)
    y = RewardInputs(batch, verdicts_of(other), changed, orm, config)
    for shaping in SHAPINGS.values():
        paid = [CONTROLS[control](shaping, inputs, np.random.default_rng(0)) for inputs in (x, y)]
        assert np.array_equal(*paid), shaping.name


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_a_program_that_is_cut_off_is_never_chosen_before_one_that_ends(aggregate: str) -> None:
    """Before: with ``mean`` many sure lines outweighed the missing end."""
    rows = Sampled(["t/0"], [["x"] * 2], [["wrong_answer", "passed"]], [[[1.0] * 9 + [0.0], [0.6, 0.7]]])
    assert program_scores(rows, aggregate)[0][0] == 0
    assert chosen(rows, program_scores(rows, aggregate)).tolist() == [1.0]
