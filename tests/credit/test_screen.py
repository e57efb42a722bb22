"""Screening of completions: what counts as a failure, and that it never contradicts the sandbox's verdict."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from prl_ray.credit.screen import screened
from prl_ray.problems import Problem, load_problems
from prl_ray.supervision.completions import completions, repaired, spliced
from sandbox_workers import Case, Limits, Sandbox, Status, TestSuite

TESTS = ("assert f([1, 2]) == 3", "assert f([]) == 0", "assert f([4, 5, 6]) == 15")
SUITE = TestSuite("assert", tests=TESTS, entry_point="f")
PROBLEM = Problem("t", "p", "f", SUITE, ("def f(xs):\n    return sum(xs)",), "train")
RIGHT = "def f(xs):\n    return sum(xs)"
WRONG, FAILS = Status.WRONG_ANSWER, "def f(xs):\n    return len(xs)"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=Limits(wall_s=3.0)) as sandbox:
        yield sandbox


def test_each_kind_of_end(sandbox: Sandbox) -> None:
    programs = {
        RIGHT: None,
        FAILS: WRONG,
        "def f(xs):\n    return y": WRONG,
        "def f(xs:": WRONG,
        "y = 1": WRONG,
        # empties its arguments, which are not those of the next
        "def f(xs):\n    n = sum(xs)\n    xs.clear()\n    return n": None,
        "def f(xs):\n    return float(sum(xs))": None,
        "def f(xs):\n    raise SystemExit": None,
        "def f(xs):\n    return object() if xs else 0": None,
        "def f(xs):\n    return f(xs)": None,
        "def f(xs):\n    return sum(iter(xs))": None,
    }
    assert dict(zip(programs, screened(PROBLEM, list(programs), sandbox.call), strict=True)) == programs


def test_endless_loops_end_early(sandbox: Sandbox) -> None:
    endless = "def f(xs):\n    while True:\n        pass"
    stubborn = "def f(xs):\n while True:\n  try:\n   xs = sorted(xs)\n  except Exception:\n   pass"
    at_once = [FAILS, endless, "while True:\n    xs = 1", stubborn, FAILS, RIGHT]
    ended = Status.TIMEOUT
    assert screened(PROBLEM, at_once, sandbox.call) == [WRONG, ended, ended, ended, WRONG, None]
    blocked = "import time\ndef f(xs):\n    time.sleep(9)"  # no loop: those behind it are judged alone
    assert screened(PROBLEM, [FAILS, blocked, FAILS], sandbox.call) == [WRONG, None, None]


def test_tuples_are_lists_where_tests_are_pairs(sandbox: Sandbox) -> None:
    suite = TestSuite("call", cases=(Case(([1, 2],), {"a": [3]}),), entry_point="f")
    problem = replace(PROBLEM, tests=suite)
    programs = ["def f(xs):\n    return {'a': (3,)}", "def f(xs):\n    return {'a': (4,)}"]
    assert screened(problem, programs, sandbox.call) == [None, WRONG]
    assert (
        screened(replace(problem, tests=replace(suite, compare="floats(0.1, 0)")), programs, sandbox.call) == [None] * 2
    )


def test_nothing_that_passes_is_screened_out(sandbox: Sandbox) -> None:
    rng, passing = random.Random(5), 0
    for problem in load_problems("composed", limit=6, seed=3, min_difficulty=3, max_difficulty=5):
        found = [*spliced(problem, problem.references[0]), *repaired(problem, problem.references[0])]
        texts = [t for options in completions(problem, "", found, 8, rng).values() for t in options]
        answers = screened(problem, texts, sandbox.call)
        assert len(answers) == len(texts) and WRONG in answers
        verdicts = [sandbox.run(text, problem.tests).ok for text in texts]
        assert not any(ok and answer is not None for ok, answer in zip(verdicts, answers, strict=True))
        passing += sum(verdicts)
    assert passing
