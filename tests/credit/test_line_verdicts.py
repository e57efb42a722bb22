"""Line verdicts in the real sandbox, on programs whose first wrong line is known by hand."""

from dataclasses import replace

import pytest

from prl_ray.credit.columns import FOUND_BY, as_columns
from prl_ray.credit.verdicts import LineJudge, telling_input
from prl_ray.lines import segment, units
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.problems import Problem, load_problems
from sandbox_workers import Case, TestSuite
from tests.credit.reference import OPEN, PREFIX, PROBLEM, REFERENCE
from tests.trajectories import Sample, batch_of


@pytest.mark.parametrize(
    ("body", "wrong", "found_by"),
    [
        ("    xs = [x + 4 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return n", 1, "prefix"),
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:3])\n    return n", 3, "state"),
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return xs", 4, "state"),
        # two wrong lines: the first one counts
        ("    xs = [x + 3 for x in xs]\n    xs = xs[::-1]\n    n = max(xs)\n    return n", 2, "state"),
        # two steps that may change places: the state is back to a reference's behind the second
        ("    xs = sorted(xs)\n    xs = [x + 3 for x in xs]\n    n = sum(xs)\n    return n", 3, "state"),
        # other values than the reference's, from which the reference leads back
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)[:2]\n    n = max(xs)\n    return n", 3, "prefix"),
        # a line without effect is right
        ("    xs = xs\n    xs = [x + 4 for x in xs]\n    return xs", 2, "state"),
        # other names, same values
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    m = sum(xs[:2])\n    return m + 1", 4, "state"),
        # stops too early
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs)", 3, "state"),
        # does not parse: the prefix does
        ("    xs = [x + 3 for x in xs]\n    xs = sorted(xs\n    n = sum(xs[:2])\n    return n", 2, "prefix"),
        # raises
        ("    xs = [x + 3 for x in xs]\n    xs = xs[9]\n    return xs", 2, "state"),
        # a way of its own, with one wrong constant
        ("    ys = sorted(xs)\n    return sum(x + 2 for x in ys[:2])", 2, "repair"),
    ],
)
def test_first_wrong_line(judge: LineJudge, body: str, wrong: int, found_by: str) -> None:
    found = judge.verdict(PROBLEM, PREFIX + body, False)
    assert (found.wrong, found.found_by) == (wrong, found_by)
    assert len(found.states) == len(segment(PREFIX + body))


OWN_WAY = "def f(a):\n    a = [x + 3 for x in a]\n    a = sorted(a)\n"
"""Begins as the reference, with another name."""
GUARD = "def f(a):\n    if a is None:\n        return 0\n"


@pytest.mark.parametrize(
    ("program", "wrong", "found_by"),
    [
        # a guard that keeps the values is right, and no evidence that the line in it is wrong
        (f"{GUARD}    return 77", 3, "error"),
        (f"{GUARD}    a = 77\n    return a", UNKNOWN, ""),
        ("def f(a):\n    a = list(a)\n    return max(a) if a else 77", UNKNOWN, ""),
        # behind it, an error and a repair locate as they do without it
        (f"{GUARD}    return len(a) > a", 3, "error"),
        (f"{GUARD}    a = [x + 2 for x in a]\n    return sum(sorted(a)[:2])", 3, "repair"),
        # the reference's values, then a way of its own, which a repair completes
        (f"{OWN_WAY}    t = 0\n    for x in a[:2]:\n        t += x + 1\n    return t", 5, "repair"),
        # no repair: the line behind the reference's values, unless a block follows that the reference has not
        (f"{OWN_WAY}    t = len(a)\n    return t", 3, "state"),
        (f"{OWN_WAY}    t = 1\n    for x in a:\n        t *= x + 1\n    return t", UNKNOWN, ""),
    ],
)
def test_a_way_of_its_own(judge: LineJudge, program: str, wrong: int, found_by: str) -> None:
    found = judge.verdict(OPEN, program, False)
    assert (found.wrong, found.found_by) == (wrong, found_by)


SUM = "def f(xs):\n    total = 0\n    for x in xs:\n        if x > 2:\n            total += x\n    return total"
OTHER_NAMES = "def f(a):\n    s = 0\n    for v in a:\n        if v > {}:\n            s += v\n    return s"


@pytest.mark.parametrize(
    ("program", "wrong"),
    [
        # inside a loop, with other names: the lines before the error are right, although their last values differ
        (OTHER_NAMES.format(3), 3),
        (OTHER_NAMES.format(2).replace("s += v", "s += 1"), 4),
        (OTHER_NAMES.format(2).replace("return s", "return v"), 5),
        # a value of its own: used before the error, and used by the wrong line only, so that the error may be in it
        (OTHER_NAMES.format(2).replace("    s = 0", "    n = len(a)\n    s = 0 * n").replace("s += v", "s += 1"), 5),
        (
            OTHER_NAMES.format(2).replace("    s = 0", "    n = len(a)\n    s = 0").replace("return s", "return s + n"),
            UNKNOWN,
        ),
        # another kind of loop, of which the first lines have no witness: the error may be anywhere in it
        (
            "def f(a):\n    s = 0\n    i = 0\n    while i < len(a):\n        if a[i] > 2:\n"
            "            s += i * a[i] + i\n        i += 1\n    return s",
            UNKNOWN,
        ),
        # nothing but the end is missing
        (OTHER_NAMES.format(2).replace("    return s", ""), 5),
        ("def f(a):\n    pass", 2),
        # what follows must use the values: it must not compute the result anew
        ("def f(a):\n    s = 1\n    for v in a:\n        if v > 2:\n            s += v\n    return s", 1),
    ],
)
def test_programs_with_other_names_and_other_ways(judge: LineJudge, program: str, wrong: int) -> None:
    tests = tuple(f"assert f({xs}) == {sum(x for x in xs if x > 2)}" for xs in ([1, 3, 5], [], [2, 2], [7, 3, 1, 9]))
    problem = Problem("sum", "p", "f", TestSuite("assert", tests=tests), (SUM,), "train")
    assert judge.verdict(problem, program, False).wrong == wrong


def test_the_programs_helpers_are_judged_with_it(judge: LineJudge) -> None:
    """The lines behind a wrong function of its own have the reference's values as long as they do not call it."""
    reference = "def half(n):\n    return n // 2\ndef f(n):\n    m = n + 1\n    k = half(m)\n    return k * 3"
    tests = TestSuite("assert", tests=("assert f(5) == 9", "assert f(8) == 12", "assert f(0) == 0"))
    problem = Problem("helper", "p", "f", tests, (reference,), "train")
    assert judge.verdict(problem, reference.replace("n // 2", "n // 3"), False).wrong == 1
    assert judge.verdict(problem, reference.replace("k * 3", "k * 4"), False).wrong == 5


def test_an_unlocated_failure_stays_unknown(judge: LineJudge) -> None:
    found = judge.verdict(
        PROBLEM, PREFIX + "    total = 0\n    for y in xs:\n        total = y\n    return total", False
    )
    assert (found.wrong, found.found_by) == (UNKNOWN, "")


def test_a_passing_program_is_right_throughout(judge: LineJudge) -> None:
    found = judge.verdict(PROBLEM, REFERENCE, True)
    assert (found.wrong, found.found_by) == (5, "passed")
    assert len(set(found.states)) == 5 and UNKNOWN not in found.states


def test_behind_the_def_are_the_arguments(judge: LineJudge) -> None:
    """So first lines can be compared at equal states, also those of programs that do not run."""
    right = judge.verdict(OPEN, REFERENCE, True)
    for program, entry in (("import math\n" + REFERENCE, 1), ("def f(a):\n    return a +* 2", 0)):
        found = judge.verdict(OPEN, program, False)
        assert found.states[entry] == right.states[0] != UNKNOWN
        assert found.states[:entry] == (UNKNOWN,) * entry


def test_the_first_function_of_a_script_is_not_given(judge: LineJudge) -> None:
    script = "n = int(input())\ndef half(k):\n    return k // 2\nprint(half(n) + 1)"
    tests = TestSuite("stdio", cases=(Case("8", "5"), Case("3", "2")))
    problem = Problem("s", "p", "", tests, (script,), "train")
    assert judge.verdict(problem, script.replace("input())", "input()) - 1"), False).wrong == 0
    assert judge.verdict(problem, script.replace("k // 2", "k // 3"), False).wrong == 2


@pytest.mark.parametrize(
    "program",
    [
        "import sys\nsys.settrace(None)\ndef f(xs):\n    sys.settrace(None)\n    return 1\n",
        "def f(xs):\n    import sys\n    sys._getframe(1).f_locals['notes'] = 5\n    return 1\n",
        "def f(xs):\n    import os\n    os._exit(0)\n",
        "def f(xs):\n    raise SystemExit\n",
        "def f(xs):\n    while True: pass\n",
        "class L(list):\n    def __iter__(self): raise ValueError\ndef f(xs):\n    xs = L(xs)\n    return 1\n",
        "def f(",
    ],
)
def test_programs_that_disturb_their_trace_gain_nothing(judge: LineJudge, program: str) -> None:
    """Their states are unknown or other ones, never a reference's behind a wrong line."""
    found = judge.verdict(PROBLEM, program, False)
    assert found.wrong <= len(segment(program)) and found.found_by in ("", "prefix", "state", "error", "repair")
    assert judge.verdict(PROBLEM, REFERENCE, True).found_by == "passed"  # the sandbox is as it was


def test_a_branch_counts_as_not_taken_only_where_the_trace_is_whole(judge: LineJudge) -> None:
    """The reference returns 0 on the second input only, as the program would if it ended on the first one."""
    reference = "def f(a):\n    if a < 0:\n        return 0\n    return a + 1"
    tests = TestSuite("assert", tests=("assert f(3) == 4", "assert f(-1) == 0"))
    problem = Problem("branch", "p", "f", tests, (reference,), "train")
    program = "def f(a):\n    while a > 0:\n        b = a\n    return 0"
    found = judge.verdict(problem, program, False)
    assert (found.wrong, found.found_by) != (4, "state")


def test_a_changed_line_of_composed_is_found(judge: LineJudge) -> None:
    """Each line of a reference in turn is replaced by one that does nothing."""
    checked = 0
    for problem in load_problems("composed", split="test", limit=12, seed=5, min_difficulty=3, max_difficulty=5):
        lines = problem.references[0].split("\n")
        for at in range(1, len(lines) - 1):
            name = lines[at].split("=")[0].strip()
            if not lines[at - 1].strip().startswith((f"{name} =", "def f(" + name)):
                continue
            program = "\n".join([*lines[:at], f"    {name} = {name}", *lines[at + 1 :]])
            if judge.judge(program, problem.tests).ok:
                continue
            found = judge.verdict(problem, program, False)
            # the line does nothing, so what is wrong is the next one, which comes too early, or one behind it
            assert found.wrong > at and found.found_by in ("state", "prefix")
            checked += 1
    assert checked >= 10


def test_verdicts_as_columns_of_a_batch(judge: LineJudge) -> None:
    right = REFERENCE.removeprefix(PREFIX)
    wrong = right.replace("[:2]", "[:3]")
    short = "    xs = [x + 3 for x in xs]\n    # sorted\n    xs = sorted(xs)"
    programs = [PREFIX + body for body in (right, wrong, short, short)]
    counts = [5, 5, 4, 3]  # the lines behind the prefix, and the end where there is one
    batch = batch_of(
        [
            Sample(
                tokens=range(9),
                line_ends=range(count),
                program=program,
                finished=i < 3,
                neutral=[k == 1 and i >= 2 for k in range(count)],
            )
            for i, (count, program) in enumerate(zip(counts, programs, strict=True))
        ]
    )
    found = as_columns(batch, [judge.verdict(PROBLEM, p, i == 0) for i, p in enumerate(programs)])
    # right throughout; the third line; the end, which comes too early; no line of a program that was cut off
    assert found.wrong.tolist() == [5, 2, 3, UNKNOWN]
    assert [FOUND_BY[code] for code in found.found_by] == ["passed", "state", "state", "state"]
    assert found.runs[0] == 1 and (found.runs[1:] >= 1).all()
    assert found.states[0:2].tolist() == found.states[5:7].tolist() and found.states[2] != found.states[7]
    assert found.states[4] == UNKNOWN  # the end


def test_a_line_that_the_length_limit_cut_is_not_wrong(judge: LineJudge) -> None:
    cut = PREFIX + "    xs = [x + 3 for x in xs]\n    xs = sort)"
    verdict = judge.verdict(PROBLEM, cut, False)
    assert verdict.wrong == len(segment(cut)) - 1
    wrong_before = PREFIX + "    xs = [x + 4 for x in xs]\n    xs = sorted(xs)\n    n = sum("
    samples = [
        Sample(tokens=range(9), line_ends=range(2), program=cut, finished=False),
        Sample(tokens=range(9), line_ends=range(3), program=cut, finished=True),
        Sample(tokens=range(9), line_ends=range(3), program=wrong_before, finished=False),
    ]
    verdicts = [verdict, verdict, judge.verdict(PROBLEM, wrong_before, False)]
    assert as_columns(batch_of(samples), verdicts).wrong.tolist() == [UNKNOWN, 1, 0]


def test_a_wrong_line_is_named_by_its_block(judge: LineJudge) -> None:
    begin = "    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = 0\n"
    program = PREFIX + begin + "    if xs:\n        n = sum(xs[:3])\n    return n"
    batch = replace(batch_of([Sample(tokens=range(9), line_ends=range(4), program=program)]), unit="block")
    assert len(units(program, "block")) == 3
    verdict = judge.verdict(PROBLEM, program, False)
    assert verdict.wrong == 5
    assert as_columns(batch, [verdict]).wrong.tolist() == [1]


def test_the_trace_is_of_an_input_on_which_the_wrong_line_shows(judge: LineJudge) -> None:
    """``f([1, 1])`` does not tell the first two of three values from all of them, ``f([5, 1, 2])`` does."""
    tests = ("assert f([1, 1]) == 8", "assert f([]) == 0", "assert f([5, 1, 2]) == 9")
    problem = replace(PROBLEM, task_id="telling", tests=TestSuite("assert", tests=tests))
    program = REFERENCE.replace("sum(xs[:2])", "sum(xs)")
    verdict = judge.verdict(problem, program, False)
    assert verdict.wrong == 3
    assert [own == there for own, there in zip(verdict.trace, verdict.reference, strict=True)][1:] == [
        True,
        True,
        False,
        False,
    ]


def test_the_first_input_is_traced_where_none_tells() -> None:
    reference = [("[]", "[1]"), ("0", "1")]
    assert telling_input(reference, reference) == 0
    assert telling_input([("[]", "[1]"), ("0", "2")], reference) == 1
    assert telling_input([("[]", "[1]"), ("0", "")], reference) == 0, (
        "an input that does not come by a line says nothing"
    )
    assert telling_input([("9",)], []) == 0 and telling_input([None], reference) == 0
