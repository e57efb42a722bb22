"""The line estimators as the registry has them: by name, with parameters, on a batch's columns."""

from dataclasses import replace

import numpy as np
import pytest

from prl_ray.errors import ConfigError
from prl_ray.ppo.advantages import BY_LINE, ESTIMATORS, AdvantageInputs
from prl_ray.ppo.line_credit import UNKNOWN, LineCredit

# one prompt: a pass, a failure at its second line, a failure at its first; two tokens a line
LINES = LineCredit(
    offsets=np.array([0, 2, 4, 6]),
    ends=np.array([1, 3, 5, 7, 9, 11]),
    counted=np.ones(6, dtype=bool),
    wrong=np.array([2, 1, 0]),
    ok=np.array([True, False, False]),
    states=np.array([1, 2, 1, 3, 4, 5]),
)
REWARDS = np.zeros(12, dtype=np.float32)
REWARDS[[3, 7, 11]] = [1.0, -0.5, -0.5]
INPUTS = AdvantageInputs(REWARDS, np.array([0, 4, 8, 12]), np.zeros(3, dtype=np.int64), lines=LINES)


def test_line_group_pays_lines_and_reads_no_reward() -> None:
    found = ESTIMATORS.find("line_group")(INPUTS)
    # first lines: 1, 1, 0 against 1/2, 1/2, 1; second lines: 1, 0 against 0, 1
    assert found.advantages.tolist() == [0.5, 0.5, 1, 1, 0.5, 0.5, -1, -1, -1, -1, 0, 0]
    assert found.advantages.dtype == np.float32
    assert found.returns.tolist() == [1] * 4 + [-0.5] * 8


def test_gate_by_hand_and_its_parameters() -> None:
    gate = ESTIMATORS.find("gate")
    # leave-one-out: 1 - (-0.5) = 1.5; -0.5 - 0.25 = -0.75
    assert gate(INPUTS).advantages.tolist() == [1.5] * 4 + [0, 0, -0.75, -0.75] + [-0.75, -0.75, 0, 0]
    assert gate(INPUTS, {"part": "failing"}).advantages.tolist() == [1.5] * 4 + [-0.75] * 8
    for wrong in ({"part": "all"}, {"weight": -1.0}, {"wait": 1.0}):
        with pytest.raises(ConfigError, match=r"algorithm\.estimator_params"):
            gate.check_params(wrong)


def test_state_anchor_by_hand() -> None:
    found = ESTIMATORS.find("state_anchor")(INPUTS)
    # V(start) = 0; V(1) = (1 - 0.5) / 2 = 0.25; behind the last lines each one's own total; V(4) = -0.5
    assert found.advantages.tolist() == [0.25, 0.25, 0.75, 0.75, 0.25, 0.25, -0.75, -0.75, -0.5, -0.5, 0, 0]


def test_vine_by_hand() -> None:
    values = np.array([0.5, np.nan, 0.25, np.nan, 0.0, np.nan])
    found = ESTIMATORS.find("vine")(replace(INPUTS, lines=replace(LINES, values=values)))
    # V(start) is the pass rate 1/3, V of the last lines the outcomes 1, 0, 0
    wanted = np.repeat([0.5 - 1 / 3, 0.5, 0.25 - 1 / 3, -0.25, -1 / 3, 0], 2)
    assert found.advantages.tolist() == pytest.approx(wanted)


def test_line_share_by_hand() -> None:
    line_share = ESTIMATORS.find("line_share")
    # shares 1, 1/2, 0 less the others' means 1/4, 1/2, 3/4
    assert line_share(INPUTS).advantages.tolist() == [0.75] * 4 + [0] * 4 + [-0.75] * 4
    unknown = replace(INPUTS, lines=replace(LINES, wrong=np.array([2, UNKNOWN, 0])))
    assert line_share(unknown).advantages.tolist() == [1] * 4 + [0] * 4 + [-1] * 4
    some = replace(INPUTS, lines=replace(LINES, counted=np.array([True, True, False, True, True, True])))
    # the second sample has no counted line before its wrong one: shares 1, 0, 0
    assert line_share(some).advantages.tolist() == [1] * 4 + [-0.5] * 8


def test_samples_without_a_verdict_get_nothing() -> None:
    valid = np.array([True, False, True])
    lines = replace(LINES, values=np.full(6, 0.5))
    for name in ("line_group", "gate", "state_anchor", "vine"):
        inputs = AdvantageInputs(REWARDS, INPUTS.offsets, INPUTS.prompt_ids, valid=valid, lines=lines)
        assert not ESTIMATORS.find(name)(inputs).advantages[4:8].any()


def test_what_they_need_is_said() -> None:
    bare = AdvantageInputs(REWARDS, INPUTS.offsets, INPUTS.prompt_ids)
    for name in ("line_group", "gate", "state_anchor", "vine"):
        estimator = ESTIMATORS.find(name)
        assert estimator.sparse and estimator.groups and estimator.needs in BY_LINE
        with pytest.raises(ConfigError, match="compares lines"):
            estimator(bare)


def test_an_unknown_place_leaves_a_failure_its_outcome() -> None:
    lines = LineCredit(LINES.offsets, LINES.ends, LINES.counted, np.array([2, UNKNOWN, UNKNOWN]), LINES.ok)
    inputs = AdvantageInputs(REWARDS, INPUTS.offsets, INPUTS.prompt_ids, lines=lines)
    rloo = ESTIMATORS.find("rloo")(inputs).advantages
    assert ESTIMATORS.find("gate")(inputs).advantages.tolist() == rloo.tolist()


def test_lines_are_compared_where_the_same_values_were_computed() -> None:
    # The second sample takes two lines for the first one's first line: its third line stands where the first sample's
    # second one does, and is right there. The third sample's second line does too, and is wrong.
    lines = LineCredit(
        offsets=np.array([0, 2, 5, 7]),
        ends=np.arange(7),
        counted=np.ones(7, dtype=bool),
        wrong=np.array([2, 3, 1]),
        ok=np.array([True, True, False]),
        states=np.array([1, 2, 9, 1, 2, 1, UNKNOWN]),
    )
    inputs = AdvantageInputs(np.zeros(7, dtype=np.float32), np.array([0, 2, 5, 7]), np.zeros(3, dtype=int), lines=lines)
    found = ESTIMATORS.find("line_group")(inputs, {"places": "state"}).advantages
    # state 1 before: 1, 1, 0 against 1/2, 1/2, 1; the second sample's own second line (state 9 before) is alone in its
    # prompt and is compared with the other lines at its depth in the batch, 1 and 0
    assert found.tolist() == [0, 0.5, 0, 0.5, 0.5, 0, -1]
    by_line = ESTIMATORS.find("line_group")(inputs).advantages
    assert by_line.tolist() == [0, 0.5, 0, 0.5, 0, 0, -1]
