"""Completions are judged once for all samples of a problem, and only those that screening leaves."""

from dataclasses import replace

from prl_ray.credit.verdicts import LineJudge
from prl_ray.ppo.line_credit import UNKNOWN
from sandbox_workers import Sandbox, Status, TestSuite, Verdict
from tests.credit.reference import PREFIX, PROBLEM, TESTS


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


def test_completions_that_do_not_end_make_a_failure_unknown(sandbox: Sandbox) -> None:
    """The search ends after some seconds, and says nothing about the lines that it has not come to."""
    program = PREFIX + "    xs = [x + 3 for x in xs]\n    ys = 1\n    xs = sorted(xs)\n    n = sum(xs)\n    return n"
    asked: list[str] = []

    def judged(text: str, suite: TestSuite) -> Verdict:
        asked.append(text)
        return Verdict(Status.TIMEOUT, wall_s=1.5)

    problem = replace(PROBLEM, tests=TestSuite("assert", tests=TESTS, setup="import math"))  # one that is not screened
    found = LineJudge(judged, sandbox.call).verdict(problem, program, False)
    assert (found.wrong, found.found_by) == (UNKNOWN, "") and len(asked) == 3
