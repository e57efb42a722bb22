"""Best of n: who is chosen, and what the choice is worth, by hand."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from trajectories import Sample, batch_of, verdicts_of

from prl_ray import compose
from prl_ray.actors.rollout import Experience
from prl_ray.actors.scoring import Scores
from prl_ray.errors import ConfigError, ModelError
from prl_ray.evaluate import _with_judges
from prl_ray.evaluation import Sampled, read_samples, write_samples
from prl_ray.evaluation_samples import by_problem
from prl_ray.models.reward_model import check_reward_folder
from prl_ray.problems.problem import Problem
from prl_ray.rerank import best_of_n, chosen, program_scores
from prl_ray.rewards.program_scores import AGGREGATES, DEFAULT_AGGREGATE
from prl_ray.tracking.evaluation_tables import rerank_table, rerank_title
from sandbox_workers import TestSuite

P, W, S = "passed", "wrong_answer", "sandbox_error"
# min, product, mean and last each like another one best
LINES = {
    "min": [0.5, 0.5, 0.5],
    "product": [0.4],
    "mean": [1.0, 1.0, 0.1, 0.3],
    "last": [0.1, 0.1, 0.9],
}


@pytest.mark.parametrize(
    ("aggregate", "scores"),
    [
        ("min", [0.5, 0.4, 0.1, 0.1]),
        ("product", [0.125, 0.4, 0.03, 0.009]),
        ("mean", [0.5, 0.4, 0.6, 1.1 / 3]),
        ("last", [0.5, 0.4, 0.3, 0.9]),
    ],
)
def test_each_aggregate_by_hand_and_the_one_it_chooses(aggregate: str, scores: list[float]) -> None:
    statuses = [P if name == aggregate else W for name in LINES]
    rows = Sampled(["t/0"], [["x"] * 4], [statuses], [list(LINES.values())])
    assert program_scores(rows, aggregate)[0] == pytest.approx(scores)
    assert chosen(rows, program_scores(rows, aggregate)).tolist() == [1.0]
    assert set(LINES) == set(AGGREGATES) and DEFAULT_AGGREGATE in AGGREGATES


def sampled() -> Sampled:
    """The PRM chooses right, has a tie, has no right program, is right for want of another, has no verdict at all."""
    statuses = [[P, W], [W, P], [W, W], [S, P], [S, S]]
    lines = [[[0.9], [0.2]], [[0.5], [0.5]], [[0.1], [0.2]], [[0.9], [0.1]], [[0.9], [0.1]]]
    orm = [[0.1, 0.2], [0.1, 0.2], [0.5, 0.5], [0.5, 0.5], [0.5, 0.5]]
    programs = [["x = 1", "x = 2"] for _ in statuses]
    return Sampled([f"t/{i}" for i in range(5)], programs, statuses, lines, orm)


def test_what_the_choice_is_worth() -> None:
    found = best_of_n(sampled(), "min")
    assert (found["n"], found["n_problems"]) == (2, 4)
    # random 0.5 0.5 0 1, orm 0 1 0 1, prm 1 0.5 0 1, oracle 1 1 0 1
    assert [found[way]["pass@1"] for way in ("random", "orm", "prm", "oracle")] == [0.5, 0.5, 0.625, 0.75]
    assert found["random"]["gain"] == found["random"]["gain_se"] == 0
    assert found["prm"]["se"] == pytest.approx(np.std([1, 0.5, 0, 1], ddof=1) / 2)
    assert (found["prm"]["gain"], found["prm"]["gain_se"]) == (0.125, pytest.approx(0.125))
    assert (found["orm"]["gain"], found["orm"]["gain_se"]) == (0.0, pytest.approx(math.sqrt(0.5 / 3) / 2))
    assert found["prm"]["aggregate"] == "min"


def test_only_what_was_scored_is_reported() -> None:
    found = best_of_n(replace(sampled(), orm_scores=[]), "min")
    assert "orm" not in found and "prm" in found
    assert "prm" not in best_of_n(replace(sampled(), line_scores=[]), "min")


def test_a_cut_off_program_scores_0_and_neutral_lines_do_not_count() -> None:
    batch = batch_of(
        [
            Sample(tokens=[5, 6, 7], line_ends=[0, 1, 2], neutral=[False, True, False], program="a"),
            Sample(tokens=[5, 6], line_ends=[1], finished=False, program="b"),
            Sample(tokens=[5], line_ends=[0], group=1, program="c"),
        ]
    )
    scores = Scores(np.array([0.5, 0.9, 0.25, 0.75, 1.0], dtype=np.float32), np.array([0.5, 0.5, 0.25]))
    rows = by_problem(Experience(batch, verdicts_of([P, W, S]), scores))
    assert rows == Sampled(
        ["task/0", "task/1"],
        [["a", "b"], ["c"]],
        [[P, W], [S]],
        line_scores=[[[0.5, 0.25], [0.75, 0.0]], [[1.0]]],
        orm_scores=[[0.5, 0.0], [0.25]],
        finished=[[True, False], [True]],
    )
    nothing = Scores()
    unscored = by_problem(Experience(batch, verdicts_of([P, W, S]), nothing))
    assert unscored.line_scores == unscored.orm_scores == []


def test_scores_lie_in_the_sample_file_and_come_back(tmp_path: Path) -> None:
    problems = [Problem(f"t/{i}", "Do it.", "f", TestSuite(), (), "test") for i in range(5)]
    write_samples(tmp_path / "scored.jsonl", problems, sampled())
    assert read_samples(tmp_path / "scored.jsonl") == sampled()
    first = json.loads((tmp_path / "scored.jsonl").read_text().splitlines()[0])
    assert first == {"task_id": "t/0", "completion": "x = 1", "status": P, "line_scores": [0.9], "orm_score": 0.1}


def test_the_table_shows_error_and_difference() -> None:
    evaluation = {"policies": {"sft": {"rerank": best_of_n(sampled(), "min")}, "ppo": {}}}
    columns, rows = rerank_table(evaluation)
    assert columns == ["policy", "random", "orm", "prm", "oracle"]
    assert rows == [
        ["after SFT", "50.0 ± 20.4", "50.0 ± 28.9 (+0.0 ± 20.4)", "62.5 ± 23.9 (+12.5 ± 12.5)", "75.0 ± 25.0"]
    ]
    assert rerank_title(evaluation).startswith("best of 2:") and "min" in rerank_title(evaluation)
    assert rerank_table({"policies": {"base": {}}}) == (["policy"], [])


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["evaluate.rerank=[pmr]"], "did you mean 'prm'"),
        (["evaluate.rerank=[prm]", "evaluate.samples=1"], "at least 2"),
        (["evaluate.prm=x"], "add prm to evaluate.rerank"),
        (["evaluate.aggregate=mins"], "did you mean 'min'"),
    ],
)
def test_wrong_settings_are_named(overrides: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        compose(overrides)


def test_the_reward_model_next_to_the_policy_is_taken(tmp_path: Path) -> None:
    (tmp_path / "prm").mkdir()
    words = ["evaluate.rerank=[prm]", f"model.path={tmp_path / 'ppo'}"]
    assert _with_judges(compose(words)).prm == str(tmp_path / "prm")
    assert _with_judges(compose([*words, "evaluate.prm=elsewhere"])).prm == "elsewhere"
    assert _with_judges(compose([])).prm == ""
    with pytest.raises(ConfigError, match=r"evaluate\.orm=runs/NAME/orm"):
        _with_judges(compose(["evaluate.rerank=[orm]", words[1]]))
    with pytest.raises(ConfigError, match=r"no prm next to model\.path"):
        _with_judges(compose(words[:1]))


def test_a_folder_of_another_kind_is_refused_by_its_config(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no readable config\.json"):
        check_reward_folder(tmp_path, "prm")
    for written, said in (({"prl_kind": "orm"}, "kind orm; a prm is needed"), ({}, "no reward model")):
        (tmp_path / "config.json").write_text(json.dumps(written))
        with pytest.raises(ModelError, match=said):
            check_reward_folder(tmp_path, "prm")
    (tmp_path / "config.json").write_text(json.dumps({"prl_kind": "prm"}))
    check_reward_folder(tmp_path, "prm")
    check_reward_folder(tmp_path, "prm", "line")
    with pytest.raises(ModelError, match="scores every line and was given programs cut by the block"):
        check_reward_folder(tmp_path, "prm", "block")
