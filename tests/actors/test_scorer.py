"""One pass gives line scores and the critic's features, whichever models a scorer holds."""

from __future__ import annotations

import numpy as np
import pytest
import ray
import torch
from tiny_run import Trained

from prl_ray.actors.scorer import Scorer
from prl_ray.actors.scoring import ScorerSetup, Scores
from prl_ray.examples import as_batch
from prl_ray.models.encode import encode_program
from prl_ray.models.policy import load_tokenizer
from prl_ray.problems.problem import Problem
from prl_ray.trajectory import TrajectoryBatch


@pytest.fixture
def chunks(problems: list[Problem], policy: Trained) -> list[TrajectoryBatch]:
    from tiny_run import labelled_examples

    tokenizer = load_tokenizer(policy.folder)
    rows = labelled_examples(problems[:3])
    encoded = [encode_program(tokenizer, e.problem, e.program) for e in rows]
    batch = as_batch(rows, encoded)
    return [batch.take([i, i + 1]) for i in (0, 2, 4)]


def scores_of(setup: ScorerSetup, chunks: list[TrajectoryBatch]) -> Scores:
    return Scorer(setup).score([ray.put(chunk) for chunk in chunks])


def test_chunks_together_score_as_they_do_alone(prm: Trained, chunks: list[TrajectoryBatch]) -> None:
    setup = ScorerSetup(prm.folder, None, None, True, torch.float32, 256)
    together = scores_of(setup, chunks)
    alone = Scores.concat([scores_of(setup, [chunk]) for chunk in chunks])
    assert len(together.line_scores) == sum(len(c.line_ends) for c in chunks)
    assert ((together.line_scores > 0) & (together.line_scores < 1)).all()
    np.testing.assert_allclose(together.line_scores, alone.line_scores, atol=1e-4)
    assert together.features.dtype == np.float16
    np.testing.assert_allclose(together.features, alone.features, atol=2e-2)
    assert together.orm_scores is None


def test_features_may_come_from_a_policy_and_scores_be_left_out(policy: Trained, chunks: list[TrajectoryBatch]) -> None:
    found = scores_of(ScorerSetup(None, None, policy.folder, True, torch.float32, 256), chunks)
    assert found.line_scores is None and found.orm_scores is None
    assert found.features.shape == (sum(len(c.tokens) for c in chunks), 64)


def test_an_outcome_model_gives_a_score_a_program(prm: Trained, chunks: list[TrajectoryBatch]) -> None:
    setup = ScorerSetup(prm.folder, prm.folder, None, False, torch.float32, 256)
    found = scores_of(setup, chunks)
    assert found.orm_scores.shape == (6,)
    assert found.features is None
    # read at the last token, where the end's line score is read too
    ends = np.concatenate([[len(c.line_ends[: c.line_offsets[i + 1]]) - 1 for i in range(2)] for c in chunks])
    starts = np.cumsum([0] + [len(c.line_ends) for c in chunks])[:-1].repeat(2)
    np.testing.assert_allclose(found.orm_scores, found.line_scores[ends + starts], atol=1e-4)
