"""From what the learner knows of a step to the table that is stored. Needs no Ray."""

from __future__ import annotations

import numpy as np
import pytest
from stored_samples import each_character, sample
from trajectories import batch_of, verdicts_of

from prl_ray.actors.columns import Columns
from prl_ray.actors.rollout import Experience
from prl_ray.actors.scoring import Scores
from prl_ray.actors.stored_samples import learnt_part
from prl_ray.credit.columns import FOUND_BY, LineVerdicts
from prl_ray.ppo.normalisers import NORMALISERS
from prl_ray.tracking.sample_table import step_table

FILLED = ("rewards", "kl", "old", "reference", "values", "advantages", "returns")


def columns_of(tokens: int, offsets: np.ndarray) -> Columns:
    """Each column filled with a number of its own, and a loss that is the mean over all tokens but the last."""
    mask = np.ones(tokens, np.float32)
    mask[-1] = 0
    weights = NORMALISERS.find("token_mean")(mask, offsets, 0)
    filled = {name: np.full(tokens, i + 1, np.float32) for i, name in enumerate(FILLED)}
    valid = np.ones(len(offsets) - 1, bool)
    read = np.ones(tokens, np.bool_)
    return Columns(valid=valid, mask=mask, kl_coef=0.5, weights=weights, read=read, **filled)


def test_what_no_pass_has_read_is_null() -> None:
    batch = batch_of([sample(), sample()])
    columns = columns_of(len(batch.tokens), batch.token_offsets)
    columns.read[:2] = False
    experience = Experience(batch, verdicts_of(["timeout", "passed"]), Scores(None, None, None))
    table = step_table([learnt_part(experience, columns)], each_character, str)
    for name in ("kl", "old_logprob", "reference_logprob"):
        values = [value for row in table.column(name).to_pylist() for value in row]
        assert [value is None for value in values] == (~columns.read).tolist()
    assert None not in [value for row in table.column("advantage").to_pylist() for value in row]


def test_every_column_of_the_learner_is_stored_under_its_name() -> None:
    batch = batch_of([sample(), sample()])
    tokens, lines = len(batch.tokens), len(batch.line_ends)
    columns = columns_of(tokens, batch.token_offsets)
    found = LineVerdicts(
        np.array([0, 2], np.int32),
        np.array([FOUND_BY.index("prefix"), FOUND_BY.index("passed")], np.uint8),
        np.zeros(2, np.int32),
        np.arange(lines),
    )
    scores = Scores(np.linspace(0, 1, lines, dtype=np.float32))
    experience = Experience(batch, verdicts_of(["timeout", "passed"]), scores, share=0.5, lines=found)
    table = step_table([learnt_part(experience, columns)], each_character, str)
    for name, source in (
        ("reward", columns.rewards),
        ("kl", columns.kl),
        ("value", columns.values),
        ("return", columns.returns),
        ("advantage", columns.advantages),
        ("old_logprob", columns.old),
        ("reference_logprob", columns.reference),
    ):
        assert np.concatenate(table.column(name).to_pylist()).tolist() == source.tolist()
    weights = np.concatenate(table.column("loss_weight").to_pylist())
    assert weights[:-1] == pytest.approx(0.5 / (tokens - 1)) and weights[-1] == 0
    assert table.column("wrong_found_by").to_pylist() == ["prefix", "passed"]
    assert table.column("line_verdict").to_pylist() == [[0, None], [1, 1]]
    assert np.concatenate(table.column("line_score").to_pylist()) == pytest.approx(np.linspace(0, 1, lines))
