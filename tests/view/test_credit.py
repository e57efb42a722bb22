"""The credit audit of a sample, beside figures that were worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored_samples import each_character
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.ppo.line_credit import UNKNOWN, LineCredit
from prl_ray.tracking import Tracker
from prl_ray.tracking.sample_schema import LEARNT_COLUMNS
from prl_ray.tracking.sample_table import LineFindings, SamplePart, step_table
from prl_ray.view.answers import answer
from prl_ray.view.runs import Runs

REWARDS, KL, VALUES = [0.0, 1.0, 0.0, -1.0], [0.2, 0.0, 0.0, 0.0], [0.5, 0.25, 0.0, 0.0]


def write(folder: Path, settings: str, advantages: list[float], kl_coef: float | None = None) -> None:
    """One step: a sample ``ab`` that passes and a sample ``cd`` that fails, of one prompt, two tokens each."""
    batch = batch_of([Sample(tokens=[1, 2], line_ends=[1], program=text, finished=False) for text in ("ab", "cd")])
    zeros = np.zeros(4, np.float32)
    learnt = dict.fromkeys(LEARNT_COLUMNS, zeros) | {
        "reward": np.array(REWARDS, np.float32),
        "kl": np.array(KL, np.float32),
        "value": np.array(VALUES, np.float32),
        "advantage": np.array(advantages, np.float32),
        "loss_weight": np.full(4, 0.25, np.float32),
    }
    table = step_table([SamplePart(batch, verdicts_of(["passed", "wrong_answer"]), learnt=learnt)], each_character, str)
    tracker = Tracker(folder, folder.name, "off", "p", {})
    tracker.store.write(0, table)
    tracker.log(0, {"critic/score/mean": 0.5, **({} if kl_coef is None else {"actor/kl_coef": kl_coef})})
    (folder / "config.yaml").write_text(f"algorithm: {{{settings}}}\n")


def audit(folder: Path, row: int) -> dict[str, object]:
    return answer(Runs([folder]), "sample", {"run": "run", "step": "0", "row": str(row)})["credit"]


GAE = "estimator: gae, gamma: 1.0, lam: 0.5, kl_coef: 0.1, group_baseline: false, whiten: true, negative_scale: 0.5"
# reward − 0.1 KL: −0.02, 1 | 0, −1.  δ: −0.02 + 0.25 − 0.5 = −0.27, 1 − 0.25 = 0.75 | 0, −1
RAW = [-0.27 + 0.5 * 0.75, 0.75, -0.5, -1.0]
MEAN = sum(RAW) / 4
STD = (sum(a * a for a in RAW) / 4 - MEAN**2) ** 0.5
WHITE = [(a - MEAN) / STD for a in RAW]


def test_gae_is_told_number_by_number(tmp_path: Path) -> None:
    write(tmp_path / "run", GAE, [a if a > 0 else 0.5 * a for a in WHITE])
    found = audit(tmp_path, 0)
    assert found["rewards"] == pytest.approx([-0.02, 1.0])
    assert found["delta"] == pytest.approx([-0.27, 0.75])
    assert found["raw"] == pytest.approx(RAW[:2], rel=1e-3)
    assert (found["mean"], found["std"], found["counted"]) == (
        pytest.approx(MEAN, rel=1e-3),
        pytest.approx(STD, rel=1e-3),
        4,
    )
    assert found["total"] == pytest.approx(0.98) and found["others"] == pytest.approx(-1.0)
    assert found["right"] is True and found["taken"] is None
    assert audit(tmp_path, 1)["raw"] == pytest.approx(RAW[2:], rel=1e-3)


def test_an_advantage_that_does_not_follow_is_said_to_be_so(tmp_path: Path) -> None:
    write(tmp_path / "run", GAE, [1.0, 1.0, 1.0, 1.0])
    assert audit(tmp_path, 0)["right"] is False


def test_the_logged_kl_coefficient_counts_and_not_the_configured_one(tmp_path: Path) -> None:
    write(tmp_path / "run", GAE, WHITE, kl_coef=0.5)
    found = audit(tmp_path, 0)
    assert found["beta"] == 0.5 and found["rewards"] == pytest.approx([-0.1, 1.0])


def test_the_group_baseline_is_taken_off_at_the_last_token(tmp_path: Path) -> None:
    write(tmp_path / "run", GAE.replace("group_baseline: false", "group_baseline: true"), WHITE)
    found = audit(tmp_path, 0)
    assert found["taken"] == pytest.approx(-1.0) and found["rewards"] == pytest.approx([-0.02, 2.0])


def test_a_baseline_of_the_others_is_told(tmp_path: Path) -> None:
    # totals 0.98 and −1: less the other's 1.98 and −1.98, root mean square 1.98
    settings = "estimator: rloo, kl_coef: 0.1, whiten: true, negative_scale: 1.0"
    write(tmp_path / "run", settings, [1.0, 1.0, -1.0, -1.0])
    found = audit(tmp_path, 1)
    assert found["total"] == pytest.approx(-1.0) and found["others"] == pytest.approx(0.98)
    assert found["raw"] == pytest.approx([-1.98, -1.98]) and found["std"] == pytest.approx(1.98)
    assert found["right"] is True and found["delta"] is None


def test_an_estimator_of_lines_leaves_open_what_is_not_stored(tmp_path: Path) -> None:
    write(tmp_path / "run", "estimator: gate, kl_coef: 0.1", [1.0, 1.0, -1.0, 0.0])
    found = audit(tmp_path, 0)
    assert found["raw"] is None and found["right"] is None and found["total"] == pytest.approx(0.98)


def compared(
    folder: Path,
    settings: str,
    statuses: list[str],
    wrong: list[int],
    advantages: list[float],
    values: list[float] | None = None,
    found_by: str = "",
) -> None:
    """Prompt 0: one line; two lines; two lines. Prompt 1: one line; two lines. One token per line, reward 1 for a pass
    at the last token, all lines compared but the first of the last sample."""
    counts, groups = [1, 2, 2, 1, 2], [0, 0, 0, 1, 1]
    samples = [
        Sample(tokens=range(n), line_ends=range(n), program="x\n" * n, finished=False, group=group)
        for n, group in zip(counts, groups, strict=True)
    ]
    batch = batch_of(samples)
    rewards = np.zeros(8, np.float32)
    rewards[batch.token_offsets[1:] - 1] = [status == "passed" for status in statuses]
    learnt = dict.fromkeys(LEARNT_COLUMNS, np.zeros(8, np.float32)) | {
        "reward": rewards,
        "advantage": np.array(advantages, np.float32),
        "loss_weight": np.full(8, 0.125, np.float32),
    }
    lines = LineCredit(
        offsets=batch.line_offsets,
        ends=batch.global_line_ends,
        counted=np.array([True] * 6 + [False, True]),
        wrong=np.array(wrong),
        ok=np.array([status == "passed" for status in statuses]),
        values=np.array(values) if values else None,
    )
    findings = LineFindings(np.array(wrong), [found_by] * 5, np.array([1, 1, 2, 1, UNKNOWN, 4, 5, 6]))
    part = SamplePart(batch, verdicts_of(statuses), None, findings, learnt, lines)
    tracker = Tracker(folder, folder.name, "off", "p", {})
    tracker.store.write(0, step_table([part], each_character, str))
    tracker.log(0, {"critic/score/mean": 0.2})
    (folder / "config.yaml").write_text(
        f"algorithm: {{{settings}, kl_coef: 0.0, whiten: false, negative_scale: 1.0}}\n"
    )


FAILURES = ["passed", "wrong_answer", "wrong_answer", "wrong_answer", "wrong_answer"]
# Prompt 0: a pass (1 less the others' 0), a failure located at line 2, one without a location (0 less 0.5 each).
# Prompt 1: nothing passes; wrong at line 1, and right at its only compared line: 0 less 1 and 1 less 0, half of it.
GATED = [1.0, 0.0, -0.5, -0.5, -0.5, -0.5, 0.0, 0.5]


def test_the_gate_is_told_rule_by_rule(tmp_path: Path) -> None:
    compared(tmp_path / "run", "estimator: gate", FAILURES, [1, 1, UNKNOWN, 0, 2], GATED)
    audits = [audit(tmp_path, row) for row in range(5)]
    assert all(found["right"] for found in audits)
    lines = [found["lines"] for found in audits]
    assert [(one["rule"], one["kind"]) for one in lines] == [
        ("outcome", "mixed"),
        ("located", "mixed"),
        ("outcome", "mixed"),
        ("lines", "failing"),
        ("lines", "failing"),
    ]
    assert [one["difference"] for one in lines] == [1.0, -0.5, -0.5, 0.0, 0.0]
    assert [one["located"] for one in lines] == [None, 1, None, 0, None]
    assert (lines[3]["lines"][0]["y"], lines[3]["lines"][0]["baseline"], lines[3]["lines"][0]["others"]) == (0, 1, 1)
    assert [line["compared"] for line in lines[4]["lines"]] == [False, True] and lines[4]["weight"] == 0.5
    assert [found["raw"] for found in audits] == [[1.0], [0.0, -0.5], [-0.5, -0.5], [-0.5], [0.0, 0.5]]


def test_the_gates_parameters_have_their_part(tmp_path: Path) -> None:
    settings = "estimator: gate, estimator_params: {part: mixed}"
    compared(tmp_path / "run", settings, FAILURES, [1, 1, UNKNOWN, 0, 2], [*GATED[:5], 0.0, 0.0, 0.0])
    found = audit(tmp_path, 3)
    assert found["right"] is True and found["lines"]["rule"] == "nothing" and found["raw"] == [0.0]


def test_a_line_that_no_other_sample_reaches_is_said_to_be_compared_by_depth(tmp_path: Path) -> None:
    # Line 2 of the second sample is reached by it alone; no other sample of the step has a second line that is reached.
    wrong, advantages = [UNKNOWN, 2, 0, UNKNOWN, 1], [0.0, 1.0, 0.0, -1.0, 0.0, 0.0, 0.0, -1.0]
    compared(tmp_path / "run", "estimator: line_group", FAILURES, wrong, advantages)
    found = audit(tmp_path, 1)
    first, second = found["lines"]["lines"]
    assert found["lines"]["rule"] == "lines" and found["lines"]["weight"] == 1
    assert (first["y"], first["baseline"], first["others"], first["by_depth"]) == (1, 0, 1, False)
    assert second["reached"] and second["by_depth"] and second["others"] == 0 and second["y"] == second["baseline"]
    behind = audit(tmp_path, 2)["lines"]["lines"][1]
    assert behind["compared"] and not behind["reached"]


def test_a_line_before_an_error_is_said_not_to_be_known_right(tmp_path: Path) -> None:
    """Prompt 1: line 1 is wrong in the first sample; the second fails at its line 2, the only compared one, by an
    error."""
    settings = "estimator: line_group, locator: exact"
    wrong, advantages = [UNKNOWN, 1, 0, 0, 1], [0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 0.0]
    compared(tmp_path / "run", settings, FAILURES, wrong, advantages, found_by="error")
    found = audit(tmp_path, 1)
    first, second = found["lines"]["lines"]
    assert found["right"] is True and first["reached"] and not first["evident"] and first["y"] == 1
    assert second["evident"] and second["y"] == 0
    # another locator: its lines do not rest on the error, so the same line counts as right
    advantages[1] = 1.0
    compared(
        tmp_path / "b" / "run", settings.replace("exact", "surprise"), FAILURES, wrong, advantages, found_by="error"
    )
    found = audit(tmp_path / "b", 1)
    assert found["right"] is True and found["lines"]["lines"][0]["evident"]


def test_states_are_told_by_their_values(tmp_path: Path) -> None:
    # Prompt 0: V(start) = 1/3; all pass through state 1 (V 1/3), the last line has the sample's own return.
    advantages = [2 / 3, 0.0, -1 / 3, 0.0, -1 / 3, 0.0, 0.0, 0.0]
    compared(tmp_path / "run", "estimator: state_anchor", FAILURES, [UNKNOWN] * 5, advantages)
    found = audit(tmp_path, 1)
    assert found["right"] is True and found["lines"]["rule"] == "states"
    values = [(line["before"], line["after"]) for line in found["lines"]["lines"]]
    assert values == [pytest.approx((1 / 3, 1 / 3), rel=1e-3), pytest.approx((1 / 3, 0.0), rel=1e-3)]


def test_completions_are_told_by_their_shares(tmp_path: Path) -> None:
    # Prompt 0: V(start) = 1/3, then 1/2 and 0 behind the failures' first lines; in prompt 1 nothing passes.
    none, settings = float("nan"), "estimator: vine"
    advantages = [2 / 3, 1 / 6, -1 / 2, -1 / 3, 0.0, 0.0, 0.0, 0.0]
    values = [none, 0.5, none, 0.0, none, none, none, none]
    compared(tmp_path / "run", settings, FAILURES, [UNKNOWN] * 5, advantages, values)
    found = audit(tmp_path, 1)
    assert found["right"] is True and found["lines"]["rule"] == "completions"
    told = [(line["before"], line["after"]) for line in found["lines"]["lines"]]
    assert told == [pytest.approx((1 / 3, 1 / 2), rel=1e-3), pytest.approx((1 / 2, 0.0), rel=1e-3)]
    compared(tmp_path / "other", settings, FAILURES, [UNKNOWN] * 5, advantages)
    other = answer(Runs([tmp_path]), "sample", {"run": "other", "step": "0", "row": "1"})["credit"]
    assert other["raw"] is None, "a run that stored no values leaves it open"


def test_a_step_in_which_the_gate_took_over_is_told_by_the_gate(tmp_path: Path) -> None:
    compared(tmp_path / "run", "estimator: line_group", FAILURES, [1, 1, UNKNOWN, 0, 2], GATED)
    Tracker(tmp_path / "run", "run", "off", "p", {}).log(0, {"locator/gated": 1.0})
    assert audit(tmp_path, 1)["lines"]["rule"] == "located" and audit(tmp_path, 1)["right"] is True


def test_an_estimator_that_is_not_installed_does_not_hide_the_sample(tmp_path: Path) -> None:
    write(tmp_path / "run", "estimator: 'elsewhere.package:own'", [1.0, 1.0, -1.0, 0.0])
    assert audit(tmp_path, 0)["raw"] is None
