"""Line figures of the reward models' benchmarks, on programs labelled by hand."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import prm_rollouts
from benchmarks._line_figures import by_operator, figures, first_error_hits, refactored_pairs, wrong_places
from benchmarks._lines import BASELINES, END, Lines, Models, fitted_baselines, over_lines, read_lines
from prl_ray.models.encode import encode_program
from prl_ray.models.policy import load_tokenizer
from prl_ray.models.reward_model import init_reward_model, set_temperature
from prl_ray.models.saving import save_model
from prl_ray.models.tiny import TinyShape, train_tokenizer, write_tiny
from prl_ray.problems import Problem
from prl_ray.supervision import LabelledProgram
from sandbox_workers import TestSuite

PROBLEMS = [Problem(task, "Double x.", "f", TestSuite("assert", tests=()), (), "train") for task in ("a", "b")]
HEAD = "def f(x):\n"


def row(task: str, body: str, labels: tuple[int, ...], operator: str, changed: int) -> LabelledProgram:
    return LabelledProgram(task, "Double x.", "", HEAD + body, labels, 0 not in labels, operator, changed, -1, "")


ROWS = [
    row("a", "    # twice\n    y = x * 2\n    return y\n", (1, -1, 1, 1, 1), "reference", -1),
    row("a", "    # twice\n    y = x + x\n    return y\n", (1, -1, 1, 1, 1), "commuted", 2),
    row("a", "    # twice\n    y = x * 3\n    return y\n", (1, -1, 0, -1, -1), "off_by_one", 2),
    row("b", "    return x * 2\n", (1, 1, 1), "reference", -1),
    row("b", "    return x * 4\n", (1, 0, -1), "commuted+off_by_one", 1),
]
# in the order of the rows: header, comment, lines, end
SCORES = [0.9, 0.1, 0.8, 0.7, 0.9, 0.9, 0.1, 0.6, 0.7, 0.9, 0.9, 0.1, 0.4, 0.2, 0.9, 0.9, 0.7, 0.9, 0.9, 0.75, 0.6]


@pytest.fixture(scope="module")
def lines() -> Lines:
    return read_lines(ROWS, PROBLEMS, train_tokenizer([r.program for r in ROWS] * 3, 400))


@pytest.fixture
def scores() -> np.ndarray:
    return np.array(SCORES)


def test_lines_are_read_in_columns(lines: Lines) -> None:
    assert lines.offsets.tolist() == [0, 5, 10, 15, 18, 21]
    assert lines.labels.tolist() == [1, -1, 1, 1, 1, 1, -1, 1, 1, 1, 1, -1, 0, -1, -1, 1, 1, 1, 1, 0, -1]
    assert lines.index[:5].tolist() == [0, 1, 2, 3, 4] and lines.position[:5].tolist() == [0, 1, 2, 3, END]
    assert lines.length[15:18].tolist() == [len("def f(x):"), len("return x * 2"), END]
    assert lines.problem.tolist() == [0] * 15 + [1] * 6


def test_what_baselines_learn_is_a_share_of_right_lines(lines: Lines) -> None:
    found = fitted_baselines(lines, lines)
    share = 13 / 15
    assert found["majority"] == pytest.approx(share)
    # third lines are twice right and once wrong, all ends and headers are right
    assert found["position"][2] == pytest.approx((2 + share) / 4)
    assert found["position"][4] == pytest.approx((3 + share) / 4)
    assert found["position"][0] == pytest.approx((5 + share) / 6)


def test_token_values_become_line_values(lines: Lines) -> None:
    batch = lines.batch
    values = np.arange(len(batch.tokens), dtype=np.float64)
    ends = batch.global_line_ends
    mean, lowest = over_lines(values, batch, lowest=False), over_lines(values, batch, lowest=True)
    assert lowest[0] == 0 and mean[0] == ends[0] / 2
    assert lowest[1] == ends[0] + 1 and mean[1] == (ends[0] + 1 + ends[1]) / 2
    assert lowest[5] == batch.token_offsets[1], "a program's first line starts at its first token"
    assert mean[4] == ends[4] - 0.5, "the end: the last line break and the end-of-sequence token"


def test_first_errors(lines: Lines, scores: np.ndarray) -> None:
    assert [part.tolist() for part in wrong_places(lines)] == [[2, 4], [2, 1]]
    # the comment is no candidate; in the last program nothing is below 0.5 and the end is the lowest
    assert first_error_hits(lines, scores, 0.5).tolist() == [1.0, 0.0]
    assert first_error_hits(lines, scores, -np.inf).tolist() == [0.0, 0.0], "lines behind the error count as well"


def test_the_threshold_that_finds_most_and_is_nearest_to_a_half(lines: Lines, scores: np.ndarray) -> None:
    # 0.4 and 0.75 are wrong, the lines before them have 0.9: all from 0.8 to 0.9 find both
    assert prm_rollouts.best_threshold(lines, scores) == 0.8


def test_operators_and_their_lines(lines: Lines, scores: np.ndarray) -> None:
    found = by_operator(lines, scores)
    assert found["commuted"] == {"kind": "refactoring", "lines": 1, "below_theta": 0.0}
    assert found["off_by_one"]["lines"] == 2 and found["off_by_one"]["below_theta"] == 0.5
    # 0.4 is below all 13 right lines, 0.75 below 9 of them
    assert found["off_by_one"]["auroc"][0] == pytest.approx((13 + 9) / 26)


def test_refactored_lines_are_compared_with_the_reference(lines: Lines, scores: np.ndarray) -> None:
    assert [part.tolist() for part in refactored_pairs(lines)] == [[7], [2]]
    found = figures(lines, {"prm": scores, "majority": np.ones(len(scores))})
    assert found["formatting"]["difference"][0] == pytest.approx(0.2) and found["formatting"]["auroc"][0] == 1.0
    assert found["scores"]["majority"]["auroc"][0] == 0.5
    assert found["prm_over"]["majority"][0] == pytest.approx((13 + 9) / 26 - 0.5)
    assert found["right_programs_accepted"][0] == 1.0 and found["first_error"][0] == 0.5
    assert found["problems"] == 2 and found["labels"] == 15


def test_the_place_that_is_most_often_wrong() -> None:
    places, counts = np.array([1, 4, 6, 2]), np.array([3, 6, 8, 9])
    assert prm_rollouts.position_rule(places, counts) == -2
    assert prm_rollouts.placed(-2, counts).tolist() == [1, 4, 6, 7]
    assert prm_rollouts.placed(4, counts).tolist() == [2, 4, 4, 4], "a short program's last line"


def test_models_are_read_at_line_ends(tmp_path: Path) -> None:
    policy, reward = tmp_path / "policy", tmp_path / "reward"
    shape = TinyShape(hidden=64, layers=2, heads=2, kv_heads=1, mlp=96, vocab=400, context=256)
    policy.mkdir()
    write_tiny(policy, [r.program for r in ROWS] * 3, shape=shape)
    tokenizer = load_tokenizer(policy)
    model = init_reward_model(policy, torch.float32)
    set_temperature(model, 2.0)
    save_model(model, tokenizer, reward)
    lines = read_lines(ROWS, PROBLEMS, tokenizer)
    scores = Models(reward, reward, policy, torch.float32, 512).scores(lines, lines)
    assert set(scores) == {"prm", *BASELINES} and {len(x) for x in scores.values()} == {21}
    assert (scores["policy_lowest"] <= scores["policy_mean"]).all() and (scores["policy_mean"] < 0).all()
    encoded = encode_program(tokenizer, PROBLEMS[0], ROWS[1].program)
    tokens = torch.tensor([[*encoded.prompt_tokens, *encoded.response_tokens]])
    with torch.no_grad():
        logits = model(input_ids=tokens).logits[0, len(encoded.prompt_tokens) :, 0]
    assert scores["prm"][5:10] == pytest.approx(torch.sigmoid(logits[encoded.line_ends] / 2).numpy(), abs=1e-5)
