"""A NaN or an infinity never reaches the weights: the step is skipped, counted and named, and a run of them ends.

One NaN log-probability used to make all weights NaN, which the next push reported as "serves other weights".
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from trajectories import Sample, batch_of, verdicts_of

from prl_ray.actors.finite import LIMIT, SkippedSteps, finite_only, first_not_finite, skip_causes
from prl_ray.actors.meeting import free_port
from prl_ray.actors.rollout import Experience
from prl_ray.actors.scoring import Scores
from prl_ray.errors import NotFiniteError
from prl_ray.evaluation_samples import by_problem

ONE = [("float32", 1, 1), ("bfloat16", 1, 1)]
TWO = [("float32", 2, 1), ("bfloat16", 2, 1), ("float32", 2, 0)]
FORMS = [*ONE, *(pytest.param(*form, marks=pytest.mark.slow) for form in TWO)]
"""Number format, ranks and ZeRO stage: each has an optimizer wrapper of its own in DeepSpeed."""


@pytest.mark.parametrize(("dtype", "world", "stage"), FORMS)
def test_the_optimizer_leaves_the_weights_alone(dtype: str, world: int, stage: int) -> None:
    script, port = Path(__file__).with_name("optimizer_rank.py"), free_port()
    words = [[str(script), str(rank), str(world), str(port), dtype, str(stage)] for rank in range(world)]
    ranks = [subprocess.Popen([sys.executable, *w], stdout=subprocess.PIPE, text=True) for w in words]
    answers = [rank.communicate(timeout=240)[0] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0] * world
    for answer in answers:
        (first, one), (wild, two), (last, three) = json.loads(answer.split("FOUND")[1].splitlines()[0])
        assert np.isfinite(first) and not np.isfinite(wild) and np.isfinite(last)
        assert one == two
        assert np.isfinite(three).all() and three != two, "the next step learns again"


def experience(change: Callable[[np.ndarray], None] | None = None, **scores: np.ndarray) -> Experience:
    batch = batch_of([Sample(tokens=range(4), line_ends=[1, 2, 3], neutral=[False, True, False])])
    if change:
        change(batch.logprobs)
    return Experience(batch, verdicts_of(["passed"]), Scores(**scores))


def test_what_enters_a_step_is_looked_at() -> None:
    def spoil(column: np.ndarray) -> None:
        column[2] = np.nan

    assert experience().not_finite() == ""
    assert experience(spoil).not_finite() == "sampler log-probabilities"
    lines = np.array([0.5, np.nan, 0.5], dtype=np.float32)
    assert experience(line_scores=lines).not_finite() == "", "a comment has no score"
    assert experience(line_scores=np.full(3, np.inf, np.float32)).not_finite() == "line scores"
    assert experience(orm_scores=np.array([np.inf])).not_finite() == "ORM scores"
    assert experience(features=np.full((4, 2), np.nan, np.float16)).not_finite() == "critic features"


def test_the_first_column_is_named() -> None:
    good, bad = np.zeros(2), np.array([0.0, -np.inf])
    assert first_not_finite({"a": good, "b": None, "c": bad, "d": bad}) == "c"
    assert first_not_finite({"a": good, "e": np.zeros(0)}) == ""


def test_metrics_without_a_number_are_left_out() -> None:
    assert finite_only({"a": 1.0, "b": float("nan"), "c": float("inf")}) == {"a": 1.0}


def test_a_run_of_skipped_steps_ends_with_the_first_cause() -> None:
    steps_of = SkippedSteps()
    metrics = steps_of.skipped(4, "line scores")
    assert metrics == {"training/skipped_step": 1.0, "training/skipped_for/line_scores": 1.0}
    assert skip_causes(metrics) == "line scores"
    assert steps_of.learnt() == {"training/skipped_step": 0.0}
    for number in range(5, 5 + LIMIT - 1):
        steps_of.skipped(number, "actor gradients")
    resumed = SkippedSteps()
    resumed.load_state_dict(json.loads(json.dumps(steps_of.state_dict())))
    with pytest.raises(NotFiniteError, match="First, step 5: actor gradients; last, step 7: rewards"):
        resumed.skipped(7, "rewards")
    with pytest.raises(NotFiniteError, match="First, step 5: actor gradients; last, step 7: rewards"):
        steps_of.skipped(7, "rewards")


def test_scores_that_are_none_choose_no_program() -> None:
    """Before: the best of n programs by a NaN was none, or the first."""
    lines = np.array([0.5, 0.5, np.nan], dtype=np.float32)
    assert by_problem(experience(line_scores=np.full(3, 0.5, np.float32))).line_scores == [[[0.5, 0.5]]]
    with pytest.raises(NotFiniteError, match="line scores are not finite"):
        by_problem(experience(line_scores=lines))


@pytest.mark.slow
def test_supervised_training_that_learns_nothing_ends(tmp_path: Path) -> None:
    """Before: each step was dropped without a word, and the model saved as if it had learnt."""
    script = Path(__file__).with_name("supervised_rank.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.split("FOUND")[1].splitlines()[0])
    assert found["first"]["training/skipped_step"] == 0.0 and np.isfinite(found["first"]["loss"])
    assert found["wild"]["training/skipped_for/loss"] == 1.0 and "loss" not in found["wild"]
    assert "3 sft steps in a row" in found["error"] and "First, step 1: loss" in found["error"]
