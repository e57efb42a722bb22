"""From a rollout's verdicts and line verdicts to advantages: locators, how they are checked, and the fallback."""

from dataclasses import replace

import numpy as np
import pytest

from prl_ray.actors.advantage_columns import Given, Shaped, advantage_columns, part_to_read
from prl_ray.actors.rollout import Experience
from prl_ray.actors.scoring import Scores
from prl_ray.config import AlgorithmConfig
from prl_ray.credit.columns import FOUND_BY, LineVerdicts
from prl_ray.ppo.line_credit import UNKNOWN
from tests.trajectories import Sample, batch_of, verdicts_of

# two prompts of two samples; three lines of one token each, the end included
SURPRISED = [-0.1, -2.0, -0.1]
BATCH = batch_of(
    [Sample(tokens=range(3), line_ends=range(3), group=group, logprobs=SURPRISED) for group in (0, 0, 1, 1)]
)
VERDICTS = verdicts_of(["passed", "wrong_answer", "wrong_answer", "wrong_answer"])
STATE, PASSED = FOUND_BY.index("state"), FOUND_BY.index("passed")
EXECUTED = LineVerdicts(
    wrong=np.array([3, 1, 0, 1]),
    found_by=np.array([PASSED, STATE, STATE, STATE]),
    runs=np.array([1, 2, 2, 2]),
    states=np.array([1, 2, UNKNOWN, 1, 9, UNKNOWN, 8, 7, UNKNOWN, 1, 9, UNKNOWN]),
)
REWARDS = np.zeros(12, dtype=np.float32)
REWARDS[[2, 5, 8, 11]] = [1.0, -0.3, -0.3, -0.3]


def columns(
    lines: LineVerdicts | None = EXECUTED, values: np.ndarray | None = None, **algorithm: object
) -> tuple[list[float], dict[str, float]]:
    experience = Experience(BATCH, VERDICTS, Scores(None, None, None), lines=lines, values=values)
    zeros = np.zeros(12, dtype=np.float32)
    shaped = Shaped(REWARDS, np.ones(12, dtype=np.bool_), VERDICTS.valid, VERDICTS.ok, {})
    given = Given(shaped, zeros, zeros, zeros, np.ones(12, dtype=np.bool_))
    config = AlgorithmConfig(whiten=False, negative_scale=1.0, kl_coef=0.0, **algorithm)  # type: ignore[arg-type]
    made = advantage_columns(experience, given, config, 0.0, 12)
    return [round(float(x), 4) for x in made.advantages], made.metrics(experience)


def test_the_gate_by_execution() -> None:
    found, metrics = columns(estimator="gate", locator="exact")
    # prompt 0: 1 - (-0.3) = 1.3 for the pass, -1.3 on the failure's second line; prompt 1: half of -1 and 1, and of the
    # second line alone at its place (against 0 and 1 of prompt 0: 0 - 1/2)
    assert found == [1.3] * 3 + [0, -1.3, 0] + [-0.5, 0, 0] + [0.5, -0.25, 0]
    assert metrics["locator/hit"] == 1 and metrics["locator/located"] == 1 and metrics["locator/runs"] == 7
    assert metrics["locator/confident_errors"] == pytest.approx(1 / 3)
    assert metrics["line/credit_mixed"] == pytest.approx(5.2 / 6.45)
    assert metrics["line/credit_failing"] == pytest.approx(1.25 / 6.45)


def test_the_loss_of_credited_tokens_ends_at_the_last_advantage_of_each_sample() -> None:
    shaped = Shaped(REWARDS, np.ones(12, dtype=np.bool_), VERDICTS.valid, VERDICTS.ok, {})
    experience = Experience(BATCH, VERDICTS, Scores(None, None, None), lines=EXECUTED)
    config = AlgorithmConfig(estimator="gate", locator="exact", kl_in="loss", kl_estimator="k3", loss_tokens="credited")
    made = advantage_columns(experience, Given.unread(shaped), config, 0.02)
    assert made.mask.tolist() == [*(1, 1, 1), *(1, 1, 0), *(1, 0, 0), *(1, 1, 0)]
    assert made.weights.divisor(np.arange(4)) == 8
    part = part_to_read(experience, shaped, config, 0)
    assert part.read.tolist() == made.mask.astype(bool).tolist()
    # the passes change nothing: the KL is in the loss alone
    read = replace(Given.unread(shaped), old=np.full(12, -1.0), reference=np.full(12, -3.0), read=part.read)
    again = advantage_columns(experience, read, config, 0.02)
    np.testing.assert_array_equal(again.advantages, made.advantages)
    np.testing.assert_array_equal(again.mask, made.mask)


def test_lines_before_an_error_get_no_credit() -> None:
    by_error = replace(EXECUTED, found_by=np.array([PASSED, STATE, STATE, FOUND_BY.index("error")]))
    found, _ = columns(by_error, estimator="gate", locator="exact")
    assert found == [1.3] * 3 + [0, -1.3, 0] + [-0.5, 0, 0] + [0, -0.25, 0]
    # the sampler's surprise does not rest on the error
    surprised, _ = columns(by_error, estimator="gate", locator="surprise")
    assert surprised == columns(EXECUTED, estimator="gate", locator="surprise")[0]


def test_another_locator_is_compared_with_execution_where_there_was_one() -> None:
    some = LineVerdicts(
        wrong=np.array([3, 1, UNKNOWN, UNKNOWN]),
        found_by=np.array([PASSED, STATE, *[FOUND_BY.index("unexecuted")] * 2]),
        runs=np.array([1, 2, 0, 0]),
        states=np.full(12, UNKNOWN),
    )
    found, metrics = columns(some, estimator="gate", locator="surprise")
    assert found[:6] == [1.3] * 3 + [0, -1.3, 0]
    assert found[6:] == [0] * 6  # both failures are located at the second line: none of them is better
    assert metrics["locator/hit"] == 1 and "locator/hit_confident" not in metrics
    _, metrics = columns(None, estimator="gate", locator="surprise")
    assert "locator/hit" not in metrics


def test_states_are_pooled_without_any_locator() -> None:
    found, _ = columns(estimator="state_anchor")
    # prompt 0: V = 0.35 at the start and behind the common first line, then each one's own total
    assert found[:6] == pytest.approx([0, 0.65, 0, 0, -0.65, 0], abs=1e-4)
    assert found[6:] == [0] * 6


def test_values_of_completions_need_neither_locator_nor_execution() -> None:
    values = np.array([0.75, 1, np.nan, 0.75, 0, np.nan, 0, 0, np.nan, 0.5, 0, np.nan])
    found, _ = columns(None, values, estimator="vine")
    # prompt 0: V(start) = 1/2; prompt 1: 0, though a first line is completed well by half
    assert found == [0.25, 0.25, 0, 0.25, -0.75, 0, 0, 0, 0, 0.5, -0.5, 0]


def test_line_groups_give_way_to_the_gate_where_the_locator_finds_too_little() -> None:
    gate, _ = columns(estimator="gate", locator="surprise")
    groups, metrics = columns(estimator="line_group", locator="surprise", locator_min_hit=0.6)
    assert metrics["locator/hit"] == pytest.approx(2 / 3) and metrics["locator/gated"] == 0 and groups != gate
    found, metrics = columns(estimator="line_group", locator="surprise", locator_min_hit=0.7)
    assert metrics["locator/gated"] == 1 and found == gate


def test_other_estimators_have_no_line_metrics() -> None:
    found, metrics = columns(None, estimator="rloo")
    assert found == [1.3] * 3 + [-1.3] * 3 + [0] * 6
    assert not any(name.startswith("locator/") for name in metrics) and metrics["line/credit_mixed"] == 1


def test_what_a_critic_explains_is_told_where_there_is_a_critic() -> None:
    _, metrics = columns(estimator="gate", locator="exact")
    assert "critic/vf_explained_var" not in metrics and "critic/values/mean" not in metrics
    _, metrics = columns(estimator="gae", group_baseline=False)
    # values of 0 explain nothing of the returns, which are the totals behind each token
    assert metrics["critic/vf_explained_var"] == 0 and metrics["critic/values/mean"] == 0
