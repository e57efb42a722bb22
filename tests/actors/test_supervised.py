"""Supervised training: references are learnt, reward models learn their lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import ray
import torch
from tiny_run import POLICY_EPOCHS, Trained, labelled_examples, reference_examples, supervised_setup, trained

from prl_ray.actors.fleet import Fleet
from prl_ray.actors.forward import Forward, score_lines
from prl_ray.actors.waiting import wait
from prl_ray.config import ClusterConfig, SandboxConfig
from prl_ray.examples import as_batch, labels_of
from prl_ray.lines import segment
from prl_ray.models.encode import encode_program
from prl_ray.models.policy import load_policy, load_tokenizer
from prl_ray.models.reward_model import Form, load_reward_model, temperature
from prl_ray.problems.problem import Problem
from prl_ray.supervision.calibration import auroc
from prl_ray.supervision.rows import UNLABELLED


def test_the_references_are_learnt_by_heart(policy: Trained) -> None:
    assert policy.plan["examples"] == 6 and policy.plan["steps"] == len(policy.metrics) == POLICY_EPOCHS
    losses = [m["loss"] for m in policy.metrics]
    assert losses[0] > 4 and losses[-1] < 0.3


def test_the_learning_rate_warms_up_and_falls_to_a_tenth(policy: Trained) -> None:
    rates = [m["learning_rate"] for m in policy.metrics]
    warmup = POLICY_EPOCHS // 10
    assert rates[:warmup] == pytest.approx([5e-3 * (i + 1) / warmup for i in range(warmup)])
    assert max(rates) == pytest.approx(5e-3)
    assert rates[warmup:] == sorted(rates[warmup:], reverse=True)
    assert 5e-4 <= rates[-1] < 6e-4


def test_the_first_loss_is_the_models_own(policy: Trained, base: Path, problems: list[Problem]) -> None:
    """Mean over response tokens, the end included, computed one program at a time."""
    model, tokenizer = load_policy(base, torch.float32), load_tokenizer(base)
    total, count = 0.0, 0
    for example in reference_examples(problems):
        encoded = encode_program(tokenizer, example.problem, example.program)
        ids = torch.tensor([[*encoded.prompt_tokens, *encoded.response_tokens]])
        labels = ids.clone()
        labels[0, : len(encoded.prompt_tokens)] = -100
        with torch.no_grad():
            total += float(model(ids, labels=labels).loss) * len(encoded.response_tokens)
        count += len(encoded.response_tokens)
    assert policy.metrics[0]["loss"] == pytest.approx(total / count, rel=1e-4)


def test_labels_belong_to_the_lines_and_neutral_ones_have_none(base: Path, problems: list[Problem]) -> None:
    tokenizer = load_tokenizer(base)
    examples = labelled_examples(problems[:1])
    encoded = [encode_program(tokenizer, e.problem, e.program) for e in examples]
    batch, labels = as_batch(examples, encoded), labels_of("prm", examples, encoded)
    assert len(labels) == batch.line_offsets[-1]
    assert batch.prompt_ids.tolist() == [0, 0]
    given = len(examples[1].problem.code_prefix)
    lines = [line for line in segment(examples[1].program) if line.end > given]
    wrong = labels[batch.line_offsets[1] :]
    expected = [UNLABELLED if line.neutral else 1 for line in lines[:-1]] + [0, UNLABELLED]
    assert wrong.tolist() == expected
    assert labels_of("orm", examples, encoded).tolist() == [1.0, 0.0]


def test_the_reward_model_learns_its_lines(prm: Trained) -> None:
    losses = [m["loss"] for m in prm.metrics]
    assert losses[0] == pytest.approx(np.log(2), abs=0.1), "an untrained head says one half"
    assert losses[-1] < 0.3
    logits, labels = prm.predictions
    assert set(labels.tolist()) == {0.0, 1.0}
    assert auroc(logits, labels) > 0.95
    assert temperature(load_reward_model(prm.folder, torch.float32)) == 1.0


def test_a_likelihood_learns_where_the_policy_is_wrong(
    policy: Trained, problems: list[Problem], tmp_path: Path
) -> None:
    """Lines that the policy is sure of, and that are labelled as wrong."""
    right = labelled_examples(problems)[::2]
    examples = [replace(e, line_labels=(*e.line_labels[:-2], 0, UNLABELLED)) for e in right]
    _, metrics, (logits, labels) = trained(
        "prm", policy.folder, examples, tmp_path / "prm", epochs=12, learning_rate=1e-3, form="likelihood"
    )
    assert metrics[0]["loss"] > 0.5 and metrics[-1]["loss"] < 0.2
    assert auroc(logits, labels) > 0.95
    model, tokenizer = load_reward_model(tmp_path / "prm", torch.float32), load_tokenizer(tmp_path / "prm")
    encoded = [encode_program(tokenizer, e.problem, e.program) for e in examples]
    scores = score_lines(Forward(model, 512), as_batch(examples, encoded))
    assert scores[labels_of("prm", examples, encoded) != UNLABELLED] == pytest.approx(logits, abs=1e-4)


@pytest.mark.parametrize("form", ["head", "likelihood"])
def test_two_ranks_train_as_one(policy: Trained, problems: list[Problem], tmp_path: Path, form: Form) -> None:
    """Lines without a label and uneven lengths included: the loss is a mean over labels, not over ranks."""
    folders = {ranks: tmp_path / str(ranks) for ranks in (1, 2)}
    results = {
        ranks: trained(
            "prm",
            policy.folder,
            labelled_examples(problems)[:9],
            folder,
            epochs=1,
            learning_rate=1e-4,
            ranks=ranks,
            form=form,
        )
        for ranks, folder in folders.items()
    }
    (_, one, _), (_, two, _) = results[1], results[2]
    assert [m["loss"] for m in two] == pytest.approx([m["loss"] for m in one], rel=1e-4)
    states = [load_reward_model(folder, torch.float32).state_dict() for folder in folders.values()]
    assert max(float((states[0][n] - states[1][n]).abs().max()) for n in states[0]) < 1e-5


def test_remembered_weights_come_back_whole(policy: Trained, problems: list[Problem], tmp_path: Path) -> None:
    examples = labelled_examples(problems)
    fleet = Fleet(ClusterConfig(threads=1), SandboxConfig(), "remembering", say=lambda line: None)
    actors = fleet.start_trainer(supervised_setup("prm", policy.folder, epochs=2, learning_rate=5e-3), examples)

    def logits_after(*calls: ray.ObjectRef) -> np.ndarray:
        wait(list(calls), "the trainer", 240)
        found: np.ndarray = wait(actors[0].predict.remote(examples), "predictions", 60)[0]
        return found

    try:
        best = logits_after(actors[0].step.remote(0), actors[0].remember.remote())
        later = logits_after(actors[0].step.remote(1), actors[0].step.remote(2))
        assert np.abs(later - best).max() > 1e-3
        assert np.array_equal(logits_after(actors[0].recall.remote()), best)
        wait(actors[0].save.remote(tmp_path / "prm"), "saving", 60)
    finally:
        fleet.close()
    saved, loaded = load_reward_model(tmp_path / "prm", torch.float32), load_tokenizer(tmp_path / "prm")
    batch = as_batch(examples, [encode_program(loaded, e.problem, e.program) for e in examples])
    again = score_lines(Forward(saved, 512), batch)
    known = labels_of("prm", examples, [encode_program(loaded, e.problem, e.program) for e in examples]) != UNLABELLED
    assert again[known] == pytest.approx(best, abs=1e-5)
