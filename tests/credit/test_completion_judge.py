"""Completions are judged once for all samples of a problem, and only those that screening leaves."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from prl_ray.credit.verdicts import LineJudge
from prl_ray.problems import Problem
from sandbox_workers import Limits, Sandbox, Status, TestSuite, Verdict

PREFIX = "def f(xs):\n"
REFERENCE = PREFIX + "    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return n"
TESTS = ("assert f([5, 1, 2]) == 9", "assert f([]) == 0", "assert f([1, 1]) == 8", "assert f([9, 0, 9, 1]) == 7")
PROBLEM = Problem("t", "p", "f", TestSuite("assert", tests=TESTS), (REFERENCE,), "train", code_prefix=PREFIX)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(limits=Limits(wall_s=1.5, cpu_s=1.0)) as sandbox:
        yield sandbox


def test_samples_of_a_problem_share_their_completions(sandbox: Sandbox) -> None:
    lines = ["    xs = [x + 4 for x in xs]", "    xs = sorted(xs)", "    n = sum(xs[:2])", "    return n"]
    first, second = ("\n".join([PREFIX[:-1], *lines[:3], end]) for end in (lines[3], "    return n + 1"))
    asked: list[str] = []

    def judged(program: str, suite: TestSuite) -> Verdict:
        asked.append(program)
        status = Status.SANDBOX_ERROR if len(asked) == 1 else sandbox.run(program, suite).status
        return Verdict(status)

    problem = replace(PROBLEM, tests=TestSuite("assert", tests=TESTS, setup="import math"))  # one that is not screened
    judge = LineJudge(judged, sandbox.call)
    alone = LineJudge(sandbox.run, sandbox.call).verdict(problem, second, False)
    judge.verdict(problem, first, False)
    shared = judge.verdict(problem, second, False)
    assert replace(shared, runs=0) == replace(alone, runs=0) and shared.runs < alone.runs
    again = [program for program in set(asked) if asked.count(program) > 1]
    assert again == asked[:1], "only the one that had no verdict"
    before = set(asked)
    asked.clear()
    judge.verdict(replace(problem, tests=replace(problem.tests, tests=TESTS[:2])), second, False)
    assert before & set(asked), "the same texts, other tests"


def test_completions_that_fail_are_not_judged(sandbox: Sandbox) -> None:
    asked: list[str] = []

    def judged(program: str, suite: TestSuite) -> Verdict:
        asked.append(program)
        return sandbox.run(program, suite)

    program = PREFIX + "    xs = [x + 3 for x in xs]\n    xs = sorted(xs)[:2]\n    n = max(xs)\n    return n"
    found = LineJudge(judged, sandbox.call).verdict(PROBLEM, program, False)
    assert (found.wrong, found.found_by, len(asked)) == (3, "prefix", 1)
