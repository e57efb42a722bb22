from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.ppo.line_credit import (
    EMPTY,
    FAILING,
    MIXED,
    PASSING,
    UNKNOWN,
    LineCredit,
    credit_shares,
    gate,
    group_kinds,
    line_group,
    on_tokens,
)
from prl_ray.ppo.line_values import state_anchor, vine, vine_values


def columns(counts: list[int], wrong: list[int], ok: list[bool], **more: object) -> tuple[LineCredit, np.ndarray]:
    """Samples with so many lines of two tokens each, and their token offsets."""
    offsets = np.cumsum([0, *counts])
    lines = LineCredit(
        offsets=offsets,
        ends=np.arange(1, 2 * offsets[-1], 2),
        counted=np.ones(offsets[-1], dtype=bool),
        wrong=np.array(wrong),
        ok=np.array(ok),
        **more,  # type: ignore[arg-type]
    )
    return lines, 2 * offsets


@st.composite
def groups(draw: st.DrawFn) -> tuple[LineCredit, np.ndarray, np.ndarray, np.ndarray]:
    """Lines, prompt numbers, validity and token offsets; a program passes where all of its lines are right."""
    samples = draw(st.integers(1, 8))
    counts = draw(st.lists(st.integers(0, 5), min_size=samples, max_size=samples))
    wrong = [draw(st.integers(UNKNOWN, count)) for count in counts]
    ok = [place == count for place, count in zip(wrong, counts, strict=True)]
    lines, tokens = columns(counts, wrong, ok)
    some = draw(st.lists(st.booleans(), min_size=len(lines.ends), max_size=len(lines.ends)))
    states = draw(st.lists(st.integers(UNKNOWN, 3), min_size=len(lines.ends), max_size=len(lines.ends)))
    lines = replace(lines, counted=np.array(some, dtype=bool), states=np.array(states, dtype=np.int64))
    prompts = np.array(draw(st.lists(st.integers(0, 2), min_size=samples, max_size=samples)))
    valid = np.array(draw(st.lists(st.booleans(), min_size=samples, max_size=samples)))
    return lines, prompts, valid, tokens


def test_line_group_by_hand() -> None:
    # One prompt, three samples of three lines: right throughout, wrong at line 1, wrong at line 0.
    lines, _ = columns([3, 3, 3], [3, 1, 0], [True, False, False])
    advantages = line_group(lines, np.zeros(3, dtype=int), np.ones(3, dtype=bool))
    # line 0: y = 1, 1, 0; the others' means are 1/2, 1/2, 1
    # line 1: reached by the first two, y = 1, 0; the others' means are 0, 1
    # line 2: only the first reaches it, and no other sample of the batch does: no baseline, no credit
    assert advantages.tolist() == pytest.approx([0.5, 1, 0, 0.5, -1, 0, -1, 0, 0])


def test_a_line_that_one_sample_reaches_is_compared_with_its_depth_in_the_batch() -> None:
    # two prompts; at line 1 the first prompt has one sample, the second two, one of which is wrong there
    lines, _ = columns([2, 2, 2, 2], [2, 0, 2, 1], [True, False, True, False])
    advantages = line_group(lines, np.array([0, 0, 1, 1]), np.ones(4, dtype=bool))
    # line 1 of sample 0: y = 1 less the mean of the others at depth 1 in the batch, (1 + 0) / 2
    assert advantages.tolist() == pytest.approx([1, 0.5, -1, 0, 0, 1, 0, -1])


def test_samples_without_a_location_or_a_verdict_take_no_part() -> None:
    lines, _ = columns([1, 1, 1, 1], [1, 0, UNKNOWN, 0], [True, False, False, False])
    advantages = line_group(lines, np.zeros(4, dtype=int), np.array([True, True, True, False]))
    assert advantages.tolist() == [1, -1, 0, 0]


def test_lines_before_one_that_fails_anyhow_get_no_credit_and_stay_in_the_comparison() -> None:
    # one prompt, three samples: wrong at line 1 by its error alone, right throughout, wrong at line 0
    lines, _ = columns([2, 2, 1], [1, 2, 0], [False, True, False], proven=np.array([False, True, True]))
    advantages = line_group(lines, np.zeros(3, dtype=int), np.ones(3, dtype=bool))
    # line 0: y = 1, 1, 0; the others' means are 1/2, 1/2, 1, and the first of them is not known to be right
    # line 1: y = 0, 1; the others' means are 1, 0
    assert advantages.tolist() == pytest.approx([0, -1, 0.5, 1, -1])
    assert lines.evident.tolist() == [False, True, True, True, True]
    proven = replace(lines, proven=None)
    assert line_group(proven, np.zeros(3, dtype=int), np.ones(3, dtype=bool)).tolist() == pytest.approx(
        [0.5, -1, 0.5, 1, -1]
    )


def test_neutral_lines_are_no_places() -> None:
    # the first sample has a comment in front: its second line has the place of the second sample's first
    lines, _ = columns([2, 1], [1, 1], [False, True])
    lines = replace(lines, counted=np.array([False, True, True]))
    assert line_group(lines, np.zeros(2, dtype=int), np.ones(2, dtype=bool)).tolist() == [0, -1, 1]


def test_given_places_decide_what_is_compared() -> None:
    lines, _ = columns([2, 2], [1, 2], [False, True], places=np.array([7, 8, 8, 7]))
    # place 8: wrong in the first sample, right in the second; place 7: right in both
    assert line_group(lines, np.zeros(2, dtype=int), np.ones(2, dtype=bool)).tolist() == [0, -1, 1, 0]


def test_gate_by_hand() -> None:
    # prompt 0: a pass, a failure located at line 1, a failure without a location; prompt 1: two failures
    lines, tokens = columns([1, 2, 1, 2, 2], [1, 1, UNKNOWN, 0, 1], [True, False, False, False, False])
    prompts, valid = np.array([0, 0, 0, 1, 1]), np.ones(5, dtype=bool)
    outcome = np.array([1.0, -0.5, -0.5, 0.25, -0.25])  # the last two: another status, say
    expected = {
        "both": [1, 1, 0, 0, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5, 0, 0, 0.5, 0.5, 0, 0],
        "mixed": [1, 1, 0, 0, -0.5, -0.5, -0.5, -0.5, 0, 0, 0, 0, 0, 0, 0, 0],
        "failing": [1, 1, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5, -0.5, 0, 0, 0.5, 0.5, 0, 0],
    }
    # Prompt 1, line 0: y = 0 and 1. Line 1 is reached by the last sample alone; at depth 1 of the batch there is only
    # the located failure of prompt 0 (y = 0), so its credit is 0 - 0 = 0.
    for part, wanted in expected.items():
        found = gate(outcome, lines, prompts, valid, tokens, weight=0.5, part=part)
        assert found.tolist() == pytest.approx(wanted), part


def test_state_anchor_by_hand() -> None:
    # Both samples compute state 1; then the first goes on to 2 and passes, the second to 3 and fails.
    lines, _ = columns([2, 2], [2, UNKNOWN], [True, False], states=np.array([1, 2, 1, 3]))
    found = state_anchor(np.array([1.0, 0.0]), lines, np.zeros(2, dtype=int), np.ones(2, dtype=bool))
    assert found.tolist() == [0, 0.5, 0, -0.5]
    # Three samples, two of which make the same first line: V(start) = 1/3, V(1) = 1/2, V(9) = 0.
    lines, _ = columns([2, 2, 2], [2, UNKNOWN, UNKNOWN], [True, False, False], states=np.array([1, 2, 1, 3, 9, 9]))
    found = state_anchor(np.array([1.0, 0.0, 0.0]), lines, np.zeros(3, dtype=int), np.ones(3, dtype=bool))
    assert found.tolist() == pytest.approx([1 / 6, 1 / 2, 1 / 6, -1 / 2, -1 / 3, 0])


def test_vine_by_hand() -> None:
    # A pass and two failures: V(start) = 1/3. The first line is completed well by 2 of 3, the failures' first lines by
    # 1 of 3 and by none; the last one's second line has no value, so V is as before it.
    values = np.array([2 / 3, 0.9, 1 / 3, 0.9, 0.0, np.nan, 0.9])
    lines, _ = columns([2, 2, 3], [2, UNKNOWN, UNKNOWN], [True, False, False])
    lines = replace(lines, values=values)
    found = vine(lines, np.zeros(3, dtype=int), np.ones(3, dtype=bool))
    assert found.tolist() == pytest.approx([1 / 3, 1 / 3, 0, -1 / 3, -1 / 3, 0, 0])
    assert values[1] == 0.9, "the given column stays as it is"
    before, after = vine_values(lines, np.zeros(3, dtype=int), np.ones(3, dtype=bool))
    assert before.tolist() == pytest.approx([1 / 3, 2 / 3, 1 / 3, 1 / 3, 1 / 3, 0, 0])
    assert after.tolist() == pytest.approx([2 / 3, 1, 1 / 3, 0, 0, 0, 0])
    # a group without a pass has something to learn where completions pass: 1/2, then lost with the last line
    lines, _ = columns([2], [UNKNOWN], [False])
    found = vine(replace(lines, values=np.array([0.5, 0.0])), np.zeros(1, dtype=int), np.ones(1, dtype=bool))
    assert found.tolist() == [0.5, -0.5]
    with pytest.raises(ValueError, match="has none"):
        vine(lines, np.zeros(1, dtype=int), np.ones(1, dtype=bool))


def test_state_anchor_needs_states() -> None:
    lines, _ = columns([1], [1], [True])
    with pytest.raises(ValueError, match="has none"):
        state_anchor(np.ones(1), lines, np.zeros(1, dtype=int), np.ones(1, dtype=bool))


def test_lines_that_end_in_one_token_share_it() -> None:
    lines = LineCredit(
        offsets=np.array([0, 3, 4]),
        ends=np.array([1, 1, 2, 5]),
        counted=np.ones(4, dtype=bool),
        wrong=np.array([3, 1]),
        ok=np.array([True, True]),
    )
    # token 3 lies behind the first sample's last line
    found = on_tokens(lines, np.array([1.0, 10.0, 2.0, 3.0]), np.array([0, 4, 6]))
    assert found.tolist() == [1, 11, 2, 0, 3, 3]


def test_kinds_of_groups() -> None:
    ok = np.array([True, True, True, False, False, False, False])
    prompts = np.array([5, 5, 2, 2, 3, 3, 4])
    valid = np.array([True, True, True, True, True, True, False])
    assert group_kinds(ok, prompts, valid).tolist() == [PASSING, PASSING, MIXED, MIXED, FAILING, FAILING, EMPTY]


def test_credit_shares_by_hand() -> None:
    shares = credit_shares(np.array([1.0, -1.0, 2.0]), np.array([MIXED, FAILING]), np.array([0, 2, 3]))
    assert shares == {"line/credit_passing": 0, "line/credit_mixed": 0.5, "line/credit_failing": 0.5}


@given(groups())
def test_line_groups_credit_only_what_is_reached_and_weigh_out_in_pairs(
    drawn: tuple[LineCredit, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    lines, prompts, valid, _ = drawn
    found = line_group(lines, prompts, valid)
    assert not found[~lines.reached].any() and not found[~valid[lines.sample]].any()
    assert (np.abs(found) <= 1).all()
    assert (found[lines.first_wrong] <= 0).all() and (found[~lines.first_wrong] >= 0).all()
    # where all of a prompt's lines at one depth are right, or all wrong, none of them is better than another
    for prompt in set(prompts.tolist()):
        for depth in set(lines.depth.tolist()):
            at = lines.reached & valid[lines.sample] & (prompts[lines.sample] == prompt) & (lines.depth == depth)
            if at.sum() > 1:
                assert found[at].sum() == pytest.approx(0)


@given(groups())
def test_a_gate_puts_a_failures_credit_on_its_first_wrong_line(
    drawn: tuple[LineCredit, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    lines, prompts, valid, tokens = drawn
    outcome = np.where(lines.ok, 1.0, -1.0)
    found = gate(outcome, lines, prompts, valid, tokens, weight=0.5, part="mixed")
    kinds = group_kinds(lines.ok, prompts, valid)
    for i, (start, stop) in enumerate(pairwise(tokens)):
        mine = found[start:stop]
        if not valid[i] or kinds[i] != MIXED:
            assert not mine.any()
        elif lines.ok[i] or lines.wrong[i] == UNKNOWN:
            assert (mine == outcome[i]).all()
        else:
            at = 2 * int(lines.wrong[i])
            named = lines.counted[lines.offsets[i] + lines.wrong[i]]
            assert mine[at : at + 2].tolist() == [-1.0 * named] * 2 and not np.delete(mine, [at, at + 1]).any()


@given(groups())
def test_state_anchors_add_up_to_the_return_less_the_prompts_mean(
    drawn: tuple[LineCredit, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    lines, prompts, valid, _ = drawn
    returns = lines.ok.astype(float)
    found = state_anchor(returns, lines, prompts, valid)
    for i in range(len(returns)):
        mine = found[lines.offsets[i] : lines.offsets[i + 1]]
        if valid[i] and lines.counted[lines.offsets[i] : lines.offsets[i + 1]].any():
            mean = returns[(prompts == prompts[i]) & valid].mean()
            assert mine.sum() == pytest.approx(returns[i] - mean)
        else:
            assert not mine.any()


@given(groups(), st.data())
def test_vines_add_up_to_the_outcome_less_the_prompts_pass_rate(
    drawn: tuple[LineCredit, np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    lines, prompts, valid, _ = drawn
    share = st.one_of(st.just(np.nan), st.floats(0, 1))
    count = len(lines.counted)
    values = np.array(data.draw(st.lists(share, min_size=count, max_size=count)), dtype=np.float64)
    found = vine(replace(lines, values=values), prompts, valid)
    assert not found[~lines.counted].any()
    for i in range(len(prompts)):
        own = slice(lines.offsets[i], lines.offsets[i + 1])
        rate = lines.ok[(prompts == prompts[i]) & valid].mean() if valid[i] else 0.0
        wanted = float(lines.ok[i]) - rate if valid[i] and lines.counted[own].any() else 0.0
        assert found[own].sum() == pytest.approx(wanted, abs=1e-9)


@given(groups(), st.randoms(use_true_random=False))
def test_the_order_of_samples_does_not_matter(
    drawn: tuple[LineCredit, np.ndarray, np.ndarray, np.ndarray], random: object
) -> None:
    lines, prompts, valid, _ = drawn
    order = np.array(random.sample(range(len(prompts)), len(prompts)))  # type: ignore[attr-defined]
    rows = np.concatenate([np.arange(lines.offsets[i], lines.offsets[i + 1]) for i in order]).astype(int)
    counts = np.diff(lines.offsets)[order]
    moved = LineCredit(
        offsets=np.cumsum([0, *counts]),
        ends=lines.ends[: len(rows)],
        counted=lines.counted[rows],
        wrong=lines.wrong[order],
        ok=lines.ok[order],
        states=lines.states[rows],  # type: ignore[index]
    )
    for estimator in (line_group, lambda *a: state_anchor(a[0].ok.astype(float), *a)):
        before = estimator(lines, prompts, valid)[rows]
        np.testing.assert_allclose(estimator(moved, prompts[order], valid[order]), before, atol=1e-12)
