"""Each shaping on hand-computed programs."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trajectories import Sample, any_batches, batch_of, verdicts_of

from prl_ray.errors import ConfigError
from prl_ray.rewards.config import RewardConfig
from prl_ray.rewards.inputs import RewardInputs
from prl_ray.rewards.located import counted_tokens
from prl_ray.rewards.shaping import SHAPINGS
from prl_ray.trajectory import STATUSES, TrajectoryBatch

# Lines end at tokens 1, 2 (a comment), 4 and 5 (the end). s = 0.8, -, -0.6, 0.2.
SAMPLE = Sample(tokens=range(6), line_ends=[1, 2, 4, 5], neutral=[False, True, False, False])
SCORES = np.array([0.9, 0.1, 0.2, 0.6], dtype=np.float32)
PARAMS = RewardConfig(alpha=0.5, lines=3)


def shaped(name: str, status: str, params: RewardConfig = PARAMS, **verdict: list[int]) -> list[float]:
    rewards = SHAPINGS[name](
        RewardInputs(batch_of([SAMPLE]), verdicts_of([status], **verdict), SCORES, np.array([0.7]), params)
    )
    assert rewards.dtype == np.float32
    return rewards.tolist()


def at(**tokens: float) -> list[float]:
    return pytest.approx([tokens.get(f"t{i}", 0.0) for i in range(6)], abs=1e-6)


def test_outcome_on_the_coderl_scale() -> None:
    x = RewardInputs(batch_of([SAMPLE] * len(STATUSES)), verdicts_of(STATUSES), config=PARAMS)
    by_status = dict(zip(STATUSES, x.outcome, strict=True))
    assert by_status == {
        "passed": 1.0,
        "wrong_answer": -0.3,
        "compile_error": -1.0,
        "sandbox_error": 0.0,
        "unsupported": 0.0,
        **dict.fromkeys(["runtime_error", "timeout", "out_of_memory", "output_limit", "forbidden"], -0.6),
    }
    assert shaped("outcome", "passed") == at(t5=1.0)
    assert shaped("outcome", "compile_error") == at(t5=-1.0)


def test_pass_rate_and_orm_pay_the_last_token() -> None:
    assert shaped("pass_rate", "wrong_answer") == at(t5=0.25)
    assert shaped("orm", "wrong_answer") == at(t5=0.7)


def test_process_raw_is_the_papers_sum() -> None:
    assert shaped("process_raw", "passed") == at(t1=0.8, t4=-0.6, t5=0.2)


def test_process_charges_shortfalls_within_its_budget() -> None:
    # Shortfalls 0.1, 0.8, 0.4: the budget of 1 leaves 0.1 for the last.
    assert shaped("process", "passed") == at(t1=-0.05, t4=-0.4, t5=1.0 - 0.05)
    assert shaped("process", "wrong_answer") == at(t1=-0.05, t4=-0.4, t5=-0.3 - 0.05)


def test_process_charges_what_no_line_explains_to_the_end_of_a_failure() -> None:
    batch = batch_of([Sample(tokens=range(3), line_ends=[0, 2])])
    rewards = SHAPINGS["process"](
        RewardInputs(batch, verdicts_of(["wrong_answer"]), np.array([0.9, 0.8]), None, PARAMS)
    )
    assert rewards.tolist() == pytest.approx([-0.05, 0.0, -0.3 - 0.1 - 0.35], abs=1e-6)


def test_process_mean_of_a_program_of_just_k_lines_adds_up_to_outcome_and_mean() -> None:
    mean = (0.8 - 0.6 + 0.2) / 3
    rewards = shaped("process_mean", "passed")
    assert rewards == at(t1=0.5 * -0.2 / 3, t4=0.5 * -1.6 / 3, t5=1.0 + 0.5 + 0.5 * -0.8 / 3)
    assert sum(rewards) == pytest.approx(1.0 + 0.5 * mean, abs=1e-6)
    assert sum(shaped("process_mean", "wrong_answer")) == pytest.approx(-0.3 + 0.5 * mean, abs=1e-6)


def test_process_mean_fills_short_programs_up_by_their_outcome() -> None:
    params = RewardConfig(alpha=0.5, lines=5)
    assert sum(shaped("process_mean", "passed", params)) == pytest.approx(1.0 + 0.5 * (0.4 + 2) / 5, abs=1e-6)
    assert sum(shaped("process_mean", "timeout", params)) == pytest.approx(-0.6 + 0.5 * (0.4 - 2) / 5, abs=1e-6)


def test_process_mean_reads_long_programs_as_their_lowest_lines() -> None:
    params = RewardConfig(alpha=0.5, lines=2)
    rewards = shaped("process_mean", "passed", params)
    assert rewards[1] == 0.0
    assert sum(rewards) == pytest.approx(1.0 + 0.5 * (-0.6 + 0.2) / 2, abs=1e-6)


def test_min_form_deals_the_lowest_score_out_by_a_softmax() -> None:
    tau = 0.5
    weights = np.exp(-np.array([0.8, -0.6, 0.2]) / tau)
    shares = 0.5 * -0.6 * weights / weights.sum()
    params = RewardConfig(alpha=0.5, params={"tau": tau})
    assert shaped("min_form", "passed", params) == at(t1=shares[0], t4=shares[1], t5=1.0 + shares[2])


def test_clip_delta_returns_each_lines_own_clipped_score() -> None:
    params = RewardConfig(alpha=0.5, params={"eta": 0.4})
    # c = 0, -1.0, -0.2, the first of them replaced by the lowest
    assert shaped("clip_delta", "passed", params) == at(t1=0.5 * (-1.0 + 1.0), t4=0.5 * (-1.0 + 0.2), t5=1.0 - 0.1)


def test_potential_pays_differences_that_cancel() -> None:
    rewards = shaped("potential", "wrong_answer")
    assert rewards == at(t1=0.45, t4=0.5 * (0.2 - 0.9), t5=-0.3 - 0.1)
    assert sum(rewards) == pytest.approx(-0.3, abs=1e-6)


@given(any_batches(), st.floats(0.5, 1.0), st.data())
def test_potential_cancels_under_discounting_by_the_token(
    batch: TrajectoryBatch, gamma: float, data: st.DataObject
) -> None:
    scores = data.draw(st.lists(st.floats(0, 1), min_size=len(batch.line_ends), max_size=len(batch.line_ends)))
    verdicts = verdicts_of(["passed"] * len(batch))
    keep = RewardConfig(truncated="keep")
    x = RewardInputs(batch, verdicts, np.array(scores, dtype=np.float32), config=keep, gamma=gamma)
    rewards = SHAPINGS["potential"](x)
    for start, stop in zip(batch.token_offsets[:-1], batch.token_offsets[1:], strict=True):
        discounts = gamma ** np.arange(stop - start)
        expected = discounts[-1] if stop > start else 0.0
        assert (rewards[start:stop] * discounts).sum() == pytest.approx(expected, abs=1e-5)


def test_gated_pays_lines_of_right_programs_only() -> None:
    assert shaped("gated", "passed") == shaped("process_mean", "passed")
    assert shaped("gated", "wrong_answer") == at(t5=-0.3)


def test_group_gated_pays_lines_where_the_outcome_does_not_tell_samples_apart() -> None:
    samples = [Sample(tokens=[0, 1], line_ends=[0, 1], group=g) for g in (7, 7, 3, 3, 7, 3)]
    statuses = ["passed", "wrong_answer", "timeout", "timeout", "passed", "sandbox_error"]
    scores = np.tile(np.array([0.9, 0.4], dtype=np.float32), 6)
    x = RewardInputs(batch_of(samples), verdicts_of(statuses), scores, None, PARAMS)
    mixed = SHAPINGS["outcome"](x).reshape(6, 2)
    process = SHAPINGS["process_mean"](x).reshape(6, 2)
    rewards = SHAPINGS["group_gated"](x).reshape(6, 2)
    np.testing.assert_array_equal(rewards[[0, 1, 4]], mixed[[0, 1, 4]])
    np.testing.assert_array_equal(rewards[[2, 3]], process[[2, 3]])
    np.testing.assert_array_equal(rewards[5], 0)


def test_first_error_charges_the_first_doubtful_line_of_a_failure() -> None:
    assert shaped("first_error", "wrong_answer") == at(t4=-0.5, t5=-0.3)
    assert shaped("first_error", "passed") == at(t5=1.0)
    assert shaped("first_error", "wrong_answer", RewardConfig(theta=0.1)) == at(t5=-0.3)


def test_located_pays_a_failures_outcome_where_the_model_sees_the_error() -> None:
    assert shaped("located", "wrong_answer") == at(t4=-0.3)
    assert shaped("located", "passed") == at(t5=1.0)
    assert shaped("located", "wrong_answer", RewardConfig(theta=0.1)) == at(t5=-0.3)


def test_nothing_counts_after_a_located_error() -> None:
    batch = batch_of([SAMPLE, SAMPLE])
    x = RewardInputs(batch, verdicts_of(["wrong_answer", "passed"]), np.tile(SCORES, 2), None, PARAMS)
    expected = [True] * 5 + [False] + [True] * 6
    assert counted_tokens(x).tolist() == expected
    assert SHAPINGS["located"].counted(x).tolist() == expected
    assert SHAPINGS["process"].counted(x).all()
    broken = replace(x, verdicts=verdicts_of(["wrong_answer", "sandbox_error"]))
    assert SHAPINGS["located"].counted(broken).tolist() == expected[:6] + [False] * 6


def test_error_line_charges_the_line_that_the_traceback_names() -> None:
    assert shaped("error_line", "runtime_error", error_lines=[2]) == at(t4=-1.0, t5=-0.6)
    assert shaped("error_line", "runtime_error") == at(t5=-0.6)
    assert shaped("error_line", "passed") == at(t5=1.0)
    with pytest.raises(ValueError, match="does not have"):
        shaped("error_line", "runtime_error", error_lines=[4])


@pytest.mark.parametrize("name", SHAPINGS)
@settings(max_examples=40)
@given(any_batches(), st.data())
def test_every_shaping_is_finite_and_silent_about_broken_sandboxes(
    name: str, batch: TrajectoryBatch, data: st.DataObject
) -> None:
    statuses = data.draw(st.lists(st.sampled_from(STATUSES), min_size=len(batch), max_size=len(batch)))
    lines = len(batch.line_ends)
    scores = np.array(data.draw(st.lists(st.floats(0, 1), min_size=lines, max_size=lines)), dtype=np.float32)
    scores[batch.line_neutral] = np.nan
    verdicts = verdicts_of(statuses)
    rewards = SHAPINGS[name](RewardInputs(batch, verdicts, scores, np.full(len(batch), 0.5)))
    assert rewards.shape == batch.tokens.shape and rewards.dtype == np.float32
    assert np.isfinite(rewards).all()
    assert not rewards[~np.repeat(verdicts.valid, batch.response_lengths)].any()


@pytest.mark.parametrize("name", SHAPINGS)
@settings(max_examples=40)
@given(any_batches(min_size=2), any_batches(), st.data())
def test_a_samples_reward_depends_on_its_own_group_only(
    name: str, batch: TrajectoryBatch, others: TrajectoryBatch, data: st.DataObject
) -> None:
    others = others.take(range(len(others)))
    others.prompt_ids[:] += 100
    both = TrajectoryBatch.concat([batch, others])
    statuses = data.draw(st.lists(st.sampled_from(STATUSES), min_size=len(both), max_size=len(both)))
    lines = len(both.line_ends)
    scores = np.array(data.draw(st.lists(st.floats(0, 1), min_size=lines, max_size=lines)), dtype=np.float32)
    shaping = SHAPINGS[name]
    whole = shaping(RewardInputs(both, verdicts_of(statuses), scores, np.full(len(both), 0.5)))
    own_scores = scores[: len(batch.line_ends)]
    alone = shaping(RewardInputs(batch, verdicts_of(statuses[: len(batch)]), own_scores, np.full(len(batch), 0.5)))
    np.testing.assert_allclose(whole[: len(batch.tokens)], alone, atol=1e-6)


def test_missing_or_unfit_scores_are_errors() -> None:
    batch, verdicts = batch_of([SAMPLE]), verdicts_of(["passed"])
    with pytest.raises(ConfigError, match="process reward model"):
        SHAPINGS["process_mean"](RewardInputs(batch, verdicts))
    with pytest.raises(ConfigError, match="outcome reward model"):
        SHAPINGS["orm"](RewardInputs(batch, verdicts))
    with pytest.raises(ValueError, match="3 line scores for 4 lines"):
        RewardInputs(batch, verdicts, SCORES[:3])
    with pytest.raises(ValueError, match="probabilities"):
        RewardInputs(batch, verdicts, np.array([0.5, 0.5, np.nan, 0.5]))
    with pytest.raises(ValueError, match="2 verdicts for 1 samples"):
        RewardInputs(batch, verdicts_of(["passed", "passed"]))
    with pytest.raises(ValueError, match="2 ORM scores for 1 samples"):
        RewardInputs(batch, verdicts, orm_scores=np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="ORM scores must be probabilities"):
        RewardInputs(batch, verdicts, orm_scores=np.array([np.inf]))
    with pytest.raises(ConfigError, match="known: outcome"):
        SHAPINGS.find("proces")


def test_every_shaping_explains_itself() -> None:
    for shaping in SHAPINGS.values():
        assert len(shaping.summary) > 40
