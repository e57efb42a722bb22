"""The credit audit of a sample, beside figures that were worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stored_samples import each_character
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.tracking import Tracker
from prl_ray.tracking.sample_table import LEARNT_COLUMNS, SamplePart, step_table
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


def test_an_estimator_that_is_not_installed_does_not_hide_the_sample(tmp_path: Path) -> None:
    write(tmp_path / "run", "estimator: 'elsewhere.package:own'", [1.0, 1.0, -1.0, 0.0])
    assert audit(tmp_path, 0)["raw"] is None
