import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.credit.columns import FOUND_BY, LineVerdicts
from prl_ray.credit.locators import LOCATORS, LocatorInputs, least_logprob
from prl_ray.credit.quality import hit_metrics, prm_metrics
from prl_ray.errors import ConfigError
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.trajectory import TrajectoryBatch
from tests.trajectories import Sample, any_batches, batch_of, verdicts_of

LOGPROBS = [math.log(p) for p in (0.9, 0.8, 0.9, 0.3, 0.7, 0.95)]
FAILING = Sample(tokens=range(6), line_ends=[1, 3, 4, 5], logprobs=LOGPROBS)
PASSING = Sample(tokens=range(2), line_ends=[0, 1], logprobs=LOGPROBS[:2])
BROKEN = Sample(tokens=range(2), line_ends=[0, 1], logprobs=[-3.0, -3.0])
BATCH = batch_of([FAILING, PASSING, BROKEN])
VERDICTS = verdicts_of(["wrong_answer", "passed", "sandbox_error"])
SCORES = np.array([0.9, 0.6, 0.4, 0.2, 0.1, 0.1, 0.1, 0.1], dtype=np.float32)


def located(name: str, batch: TrajectoryBatch = BATCH, **params: object) -> list[int]:
    return LOCATORS.find(name)(LocatorInputs(batch, VERDICTS, SCORES, np.array([2, 2, UNKNOWN])), params).tolist()


@pytest.mark.parametrize(
    ("name", "line"),
    [("exact", 2), ("prm", 2), ("surprise", 1), ("place", 1)],
)
def test_by_hand(name: str, line: int) -> None:
    # the passing sample has its two lines right, the one without a verdict is not known
    assert located(name) == [line, 2, UNKNOWN]


def test_the_first_of_several_surprises_counts_and_a_neutral_line_never_does() -> None:
    assert located("surprise", threshold=0.85) == [0, 2, UNKNOWN]
    assert located("surprise", threshold=0.2) == [UNKNOWN, 2, UNKNOWN]
    neutral = Sample(tokens=range(6), line_ends=[1, 3, 4, 5], logprobs=LOGPROBS, neutral=[False, True, False, False])
    assert located("surprise", batch_of([neutral, PASSING, BROKEN])) == [UNKNOWN, 2, UNKNOWN]


def test_the_prm_blames_its_lowest_line_where_none_is_low() -> None:
    assert located("prm", theta=0.1) == [3, 2, UNKNOWN]


def test_places_count_from_either_side_and_stay_within_the_program() -> None:
    for place, line in ((0, 0), (-1, 3), (-2, 2), (9, 3), (-9, 0)):
        assert located("place", line=place) == [line, 2, UNKNOWN]


def test_the_rule_by_hand() -> None:
    # Scores only: log-odds of being wrong 0 at p = 0.5, so lines 0, 1, 2, 3 are wrong with 0.1, 0.4, 0.6, 0.8.
    # First wrong: 0.1, 0.9 * 0.4 = 0.36, 0.9 * 0.6 * 0.6 = 0.324, 0.9 * 0.6 * 0.4 * 0.8 = 0.173.
    assert located("surprise_prm", bias=0.0, by_probability=0.0, by_score=-1.0) == [1, 2, UNKNOWN]
    # Surprise only, log-odds -1 - 2 p: the least probability is that of line 1.
    assert located("surprise_prm", bias=-1.0, by_probability=-2.0, by_score=0.0) == [1, 2, UNKNOWN]
    logs = {"bias": -1.0, "by_probability": 0.0, "by_surprise": -2.0, "by_score": 0.0}  # log-odds -1 - 2 log p
    assert located("surprise_prm", **logs) == [1, 2, UNKNOWN]


def test_what_is_missing_is_said() -> None:
    bare = LocatorInputs(BATCH, VERDICTS)
    for name, locator in LOCATORS.items():
        if locator.needs != "nothing":
            with pytest.raises(ConfigError):
                locator(bare)
        else:
            assert locator(bare).tolist()[1:] == [2, UNKNOWN], name
    with pytest.raises(ConfigError, match="unknown locator 'nowhere'; known: exact, surprise"):
        LOCATORS.find("nowhere")
    for name, wrong in (("surprise", {"threshold": 0.0}), ("prm", {"theta": 1.5}), ("exact", {"theta": 0.5})):
        with pytest.raises(ConfigError, match=r"algorithm\.locator_params"):
            LOCATORS.find(name).check_params(wrong)


def test_least_logprob_by_hand() -> None:
    assert np.exp(least_logprob(BATCH)).tolist() == pytest.approx(
        [0.8, 0.3, 0.7, 0.95, 0.9, 0.8, math.exp(-3), math.exp(-3)], rel=1e-5
    )


def test_lines_begin_behind_the_previous_line_and_share_a_token_that_ends_both() -> None:
    shared = Sample(tokens=range(5), line_ends=[1, 1, 4], logprobs=LOGPROBS[:5])
    batch = batch_of([shared, Sample(tokens=range(2), line_ends=[], logprobs=LOGPROBS[:2]), PASSING])
    assert batch.line_starts.tolist() == [0, 1, 2, 0, 1]
    assert np.exp(least_logprob(batch)).tolist() == pytest.approx([0.8, 0.8, 0.3, 0.9, 0.8], rel=1e-5)


def test_hits_by_hand() -> None:
    batch = batch_of([FAILING] * 6)
    executed = np.array([2, 1, 0, 1, 2, UNKNOWN])
    found = np.array([2, 1, 1, 0, UNKNOWN, 3])
    metrics = hit_metrics(batch, found, executed, np.ones(6, dtype=bool))
    # the least probability of the first wrong lines is 0.7, 0.3, 0.8, 0.3 and 0.7: three of them were first choices
    expected = {"hit": 2 / 5, "early": 1 / 5, "confident_errors": 3 / 5, "hit_confident": 1 / 3}
    assert metrics == pytest.approx({f"locator/{name}": value for name, value in expected.items()})
    assert hit_metrics(batch, found, executed, np.zeros(6, dtype=bool)) == {}


def test_hits_of_the_prm_by_hand() -> None:
    batch = batch_of([FAILING, FAILING, FAILING, FAILING])
    executed = np.array([2, 1, 1, UNKNOWN])
    scores = np.array([0.9, 0.8, 0.3, 0.9] + [0.9, 0.8, 0.7, 0.9] + [0.4, 0.1, 0.9, 0.9] + [0.1] * 4)
    found = prm_metrics(LocatorInputs(batch, verdicts_of(["wrong_answer"] * 4), line_scores=scores, executed=executed))
    # the PRM blames 2, 2 (the lowest of all above 1/2) and 0; the surprise always blames 1, the most frequent place too
    assert found == pytest.approx(
        {
            "prm/first_error_hit": 1 / 3,
            "prm/first_error_hit_confident": 1.0,
            "prm/first_error_hit_surprise": 2 / 3,
            "prm/first_error_hit_place": 2 / 3,
        }
    )
    passed = verdicts_of(["passed"] * 4)
    assert prm_metrics(LocatorInputs(batch, passed, line_scores=scores, executed=executed)) == {}


def test_columns_travel_with_their_samples() -> None:
    verdicts = LineVerdicts(
        wrong=np.array([2, 2, UNKNOWN], dtype=np.int32),
        found_by=np.array([FOUND_BY.index(name) for name in ("state", "passed", "")], dtype=np.uint8),
        runs=np.array([4, 1, 0], dtype=np.int32),
        states=np.arange(8),
    )
    taken = verdicts.take(np.array([1, 0]), BATCH.line_offsets)
    assert taken.wrong.tolist() == [2, 2] and taken.states.tolist() == [4, 5, 0, 1, 2, 3]
    assert LineVerdicts.concat([verdicts, taken]).states.tolist() == [*range(8), 4, 5, 0, 1, 2, 3]
    unknown = LineVerdicts.unknown(BATCH)
    assert unknown.wrong.tolist() == [UNKNOWN] * 3 and len(unknown.states) == 8
    assert unknown.metrics(np.array([True, False, True]))["locator/located"] == 0
    assert verdicts.metrics(np.array([True, False, True])) == {
        "locator/located": 0.5,
        "locator/runs": 5.0,
        "locator/by_state": 0.5,
        "locator/by_error": 0.0,
        "locator/by_prefix": 0.0,
        "locator/by_repair": 0.0,
    }


def test_lines_that_change_nothing_are_idle() -> None:
    verdicts = LineVerdicts(
        wrong=np.array([3, UNKNOWN, 1]),
        found_by=np.zeros(3, dtype=np.uint8),
        runs=np.zeros(3, dtype=np.int32),
        states=np.array([5, 5, 6, 6, 6, UNKNOWN, UNKNOWN, 7, 7]),
    )
    # samples of 4, 3 and 2 lines: a repeated state, and the first wrong line, which has one too; another sample's state
    # does not count, an unknown one neither; the last sample's second line is its first wrong one
    assert verdicts.idle(np.array([0, 4, 7, 9])).tolist() == [False, True, False, False, *[False] * 5]


@given(any_batches(), st.integers(0, 99), st.data())
def test_every_locator_names_a_counted_line_of_the_sample_or_none(
    batch: TrajectoryBatch, seed: int, data: st.DataObject
) -> None:
    statuses = data.draw(
        st.lists(st.sampled_from(["passed", "wrong_answer"]), min_size=len(batch), max_size=len(batch))
    )
    rng = np.random.default_rng(seed)
    verdicts = verdicts_of(statuses)
    scores = rng.random(len(batch.line_ends)).astype(np.float32)
    counts = np.diff(batch.line_offsets)
    executed = np.where(counts > 0, rng.integers(0, np.maximum(counts, 1)), UNKNOWN)
    for name, locator in LOCATORS.items():
        found = locator(LocatorInputs(batch, verdicts, scores, executed, rng=rng))
        assert (found[verdicts.ok] == counts[verdicts.ok]).all()
        named = np.flatnonzero(~verdicts.ok & (found != UNKNOWN))
        assert (found[named] < counts[named]).all() and (found >= UNKNOWN).all()
        if name not in ("exact", "place"):
            assert not batch.line_neutral[batch.line_offsets[named] + found[named]].any()


@given(any_batches(), st.integers(0, 99))
def test_shuffled_scores_are_the_same_scores(batch: TrajectoryBatch, seed: int) -> None:
    """With one score for all lines, shuffling changes nothing."""
    verdicts = verdicts_of(["wrong_answer"] * len(batch))
    scores = np.full(len(batch.line_ends), 0.3, dtype=np.float32)
    inputs = LocatorInputs(batch, verdicts, scores, rng=np.random.default_rng(seed))
    assert LOCATORS["shuffled"](inputs).tolist() == LOCATORS["prm"](inputs).tolist()


def test_labels_of_executed_lines_by_hand() -> None:
    """Right up to the first wrong line; nothing of neutral lines, of what follows, and of what is not known."""
    first_neutral = Sample(tokens=range(6), line_ends=[1, 3, 4, 5], neutral=[True, False, False, False])
    batch = batch_of([first_neutral, PASSING, FAILING])
    state, passed = FOUND_BY.index("state"), FOUND_BY.index("passed")
    verdicts = LineVerdicts(
        wrong=np.array([2, 2, UNKNOWN]),
        found_by=np.array([state, passed, FOUND_BY.index("")], dtype=np.uint8),
        runs=np.ones(3, dtype=np.int32),
        states=np.arange(10),
    )
    assert verdicts.labels(batch).tolist() == [-1, 1, 0, -1] + [1, 1] + [-1] * 4
    # a line that changes no value is unlabelled, unless it is the first wrong one
    idle = replace(verdicts, states=np.array([1, 1, 1, 2, 1, 1, 0, 0, 0, 0]))
    assert idle.labels(batch).tolist() == [-1, -1, 0, -1] + [1, -1] + [-1] * 4
    # an error shows that its line is wrong, and nothing about the lines before it
    by_error = replace(verdicts, found_by=np.array([FOUND_BY.index("error"), passed, 0], dtype=np.uint8))
    assert by_error.labels(batch).tolist() == [-1, -1, 0, -1] + [1, 1] + [-1] * 4
