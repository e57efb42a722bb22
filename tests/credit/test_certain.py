"""Lines that fail whatever follows them."""

import random
from dataclasses import replace

import pytest

from prl_ray.credit.certain import cut_behind
from prl_ray.credit.verdicts import LineJudge
from prl_ray.lines import segment
from prl_ray.ppo.line_credit import UNKNOWN
from tests.credit.reference import OPEN


@pytest.mark.parametrize(
    ("program", "wrong", "found_by"),
    [
        ("import math\ndef f(a):\n    t = math.floor(a)\n    for x in t:\n        a += 1\n    return a", 2, "error"),
        ("def f(a):\n    t = len(a) > a\n    return t", 1, "error"),
        ("def f(a):\n    if len(a) > a: return 1\n    return 2", 1, "error"),
        ("def f(a):\n    for x in a:\n        if x in then:\n            return 1\n    return 0", 2, "error"),
        ("def f(a):\n    for x in a:\n        return x +* 2\n    return 0", 2, "error"),
        ("here is f\ndef f(a):\n    return 77", 0, "error"),
        ("def f(a):\n    if a: return 77\n    return 78\n    # 79\n\nf([1]) + 'x'", 4, "error"),
        ("def f(a):\n    t = {}\n    return t[len(a)", UNKNOWN, ""),  # stops before the bracket closes
        # the line raises in the third round, by what a later line did in the second
        (
            "def f(a):\n    t = 0\n    for x in a:\n        t = 6 // (2 - t)\n        t = t + 1\n    return t",
            UNKNOWN,
            "",
        ),
        # caught: the line alone ends nothing
        (
            "def f(a):\n    t = 5\n    try:\n        t = a[99]\n    except IndexError:\n        t = 77\n    return t",
            UNKNOWN,
            "",
        ),
        # a wrong result before anything has been computed: on some input, the first such line
        ("def f(xs):\n    for x in xs:\n        return 77\n    return 78", 2, "error"),
        ("def f(xs):\n    if xs: return 9\n    return 1", 1, "error"),
        ("def f(xs):\n    if not xs:\n        return 0.0\n    return sum(xs)", 3, "error"),
        ("def f(xs):\n    return 77\n    return xs[99]", 1, "error"),
        # the error may be in what has been computed
        ("def f(xs):\n    t = max(xs) if xs else 7\n    return t", UNKNOWN, ""),
        ("def f(xs):\n    if xs == [5, 1, 2]:\n        return 10\n    return f([5, 1, 2])", 2, "error"),
        ("def f(xs):\n    if xs == [7]:\n        return 1\n    return f([7])", UNKNOWN, ""),
        ("def f(xs):\n    xs.append(1)\n    return 77", UNKNOWN, ""),
        # no call has this many arguments
        ("def f(a, b):\n    return 77", 0, "error"),
        # the def line is every reference's, and no evidence that the next line is wrong
        ("def f(xs):\n    for x in xs:\n        y = 77\n    return 78", UNKNOWN, ""),
        ("def f(xs):\n    xs = [x + 4 for x in xs]\n    return sum(sorted(xs)[:2])", 1, "prefix"),
    ],
)
def test_a_line_that_fails_whatever_follows(judge: LineJudge, program: str, wrong: int, found_by: str) -> None:
    found = judge.verdict(OPEN, program, False)
    assert (found.wrong, found.found_by) == (wrong, found_by)


def test_an_exception_that_a_reference_raises_too_is_no_error(judge: LineJudge) -> None:
    reference = "def f(xs):\n    if not xs:\n        raise ValueError\n    return max(xs)"
    problem = replace(OPEN, task_id="raises", references=(reference,))
    found = judge.verdict(problem, "def f(a):\n    if not a:\n        raise ValueError\n    return 77", False)
    assert found.found_by != "error"


PARTS = (
    "    if xs:\n        return {}",
    "    if not xs:\n        return {}",
    "    if len(xs) > 2:\n        return {}\n    else:\n        return 8",
    "    for x in xs:\n        if x > 3:\n            return x",
    "    return {}",
    "    return sum(xs) + 3",
    "    return xs[2]",
    "    n = {}",
    "    xs = xs[1:]",
    "    return n",
)


def test_no_completion_repairs_such_a_line_and_one_repairs_those_before_it(judge: LineJudge) -> None:
    rng, found = random.Random(3), 0
    reference = OPEN.references[0].split("\n", 1)[1]
    for _ in range(80):
        parts = [rng.choice(PARTS).format(rng.choice([0, 7, 8, 9])) for _ in range(rng.randint(1, 4))]
        program = "\n".join(["def f(xs):", *parts])
        if judge.judge(program, OPEN.tests).ok:
            continue
        verdict = judge.verdict(OPEN, program, False)
        if verdict.found_by == "error":
            lines = segment(program)
            kept, wrong = (f"{cut_behind(program, lines[i])}\n{reference}" for i in (verdict.wrong - 1, verdict.wrong))
            assert judge.judge(kept, OPEN.tests).ok and not judge.judge(wrong, OPEN.tests).ok, program
            found += 1
    assert found > 30
