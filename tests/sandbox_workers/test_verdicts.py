"""Each status, each kind of test, and the other fields of a verdict."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sandbox_workers import CallResult, Case, Limits, Sandbox, Status, SuiteError, TestSuite

ADD = TestSuite("assert", tests=("assert add(1, 2) == 3", "assert add(2, 2) == 4", "assert add(0, 0) == 0"))
GOOD = "def add(a, b):\n    return a + b\n"


def test_passed(sandbox: Sandbox) -> None:
    verdict = sandbox.run(GOOD, ADD)
    assert (verdict.status, verdict.passed, verdict.total, verdict.line) == (Status.PASSED, 3, 3, None)
    assert verdict.ok
    assert 0 < verdict.cpu_s < 1
    assert 0 < verdict.wall_s < 1
    assert verdict.peak_bytes > 1 << 20


def test_wrong_answer_stops_at_first_failure(sandbox: Sandbox) -> None:
    verdict = sandbox.run("def add(a, b):\n    return a * b\n", ADD)
    assert (verdict.status, verdict.passed, verdict.failed_test) == ("wrong_answer", 0, 0)
    assert "got 2" in verdict.message


def test_all_tests_run_when_asked(sandbox: Sandbox) -> None:
    verdict = sandbox.run("def add(a, b):\n    return a * b\n", ADD, stop_at_first_failure=False)
    assert (verdict.status, verdict.passed, verdict.total, verdict.failed_test) == ("wrong_answer", 2, 3, 0)


@pytest.mark.parametrize(
    ("program", "suite", "letters", "answers"),
    [
        ("def add(a, b):\n    return a * b\n", ADD, "fpp", ((0, "2"),)),
        ("def add(a, b):\n    return '<b>'[a]\n", ADD, "fff", ((0, "'b'"), (1, "'>'"), (2, "'<'"))),
        ("def add(a, b):\n    return [][a - 2]\n", ADD, "fff", ((0, "IndexError: list index out of range"),) * 1),
        ("def add(a, b)\n", ADD, "", ()),
        (
            "def add(a, b):\n    return a * b\n",
            TestSuite(tests=("assert add(1, 2) == 3", "for i in range(3): assert add(i, i) == i * i")),
            "fp",
            ((0, "the test does not hold"),),
        ),
        ("print(int(input()) + 1)", TestSuite("stdio", cases=(("1", "2"), ("2", "4"))), "pf", ((1, "'3\\n'"),)),
    ],
)
def test_each_test_has_its_letter_and_failed_ones_what_they_got(
    sandbox: Sandbox, program: str, suite: TestSuite, letters: str, answers: tuple[tuple[int, str], ...]
) -> None:
    verdict = sandbox.run(program, suite, stop_at_first_failure=False)
    assert verdict.tests == letters and verdict.tests.count("p") == verdict.passed
    assert verdict.answers[: len(answers)] == answers


def test_with_a_stop_the_rest_has_not_reported(sandbox: Sandbox) -> None:
    verdict = sandbox.run("def add(a, b):\n    return a * b\n", ADD, stop_at_first_failure=True)
    assert verdict.tests == "f--" and verdict.answers == ((0, "2"),)


def test_runtime_error_names_the_innermost_line_of_the_program(sandbox: Sandbox) -> None:
    program = (
        "import json\n\ndef helper(text):\n    return json.loads(text)\n\ndef add(a, b):\n    return helper('{')\n"
    )
    verdict = sandbox.run(program, ADD)
    assert (verdict.status, verdict.line, verdict.error) == ("runtime_error", 4, "JSONDecodeError")


def test_error_while_the_program_loads(sandbox: Sandbox) -> None:
    verdict = sandbox.run("x = 1\ny = [][x]\n", ADD)
    assert (verdict.status, verdict.line, verdict.error, verdict.passed) == ("runtime_error", 2, "IndexError", 0)


@pytest.mark.parametrize(
    ("program", "line"),
    [("def add(a, b)\n    return a", 1), ("x = 1\nx = = 2\n", 2), ("\tx = 1\n  y = 2", 1), ("x = '\0'", None)],
)
def test_compile_error_has_a_line(sandbox: Sandbox, program: str, line: int | None) -> None:
    verdict = sandbox.run(program, ADD)
    assert verdict.status == "compile_error"
    assert line is None or verdict.line == line


def test_missing_function(sandbox: Sandbox) -> None:
    verdict = sandbox.run("def sub(a, b):\n    return a - b\n", ADD)
    assert (verdict.status, verdict.error) == ("runtime_error", "NameError")


def test_timeouts(sandbox: Sandbox) -> None:
    wall = sandbox.run("import time\ntime.sleep(60)\n", ADD, limits=Limits(wall_s=0.3))
    assert (wall.status, wall.wall_s < 10) == ("timeout", True)
    cpu = sandbox.run("while True:\n    pass\n", ADD, limits=Limits(wall_s=200, cpu_s=1))
    assert (cpu.status, cpu.wall_s < 190) == ("timeout", True)


def test_a_timeout_keeps_what_passed_before(sandbox: Sandbox) -> None:
    program = "import time\ndef add(a, b):\n    time.sleep(60 if a == 0 else 0)\n    return a + b\n"
    verdict = sandbox.run(program, ADD, limits=Limits(wall_s=0.5))
    assert (verdict.status, verdict.passed, verdict.failed_test) == ("timeout", 2, 2)


def test_check_function(sandbox: Sandbox) -> None:
    source = "METADATA = {}\n\ndef check(candidate):\n    assert candidate(1, 2) == 3, 'first'\n    assert True\n"
    suite = TestSuite("check", tests=(source,), entry_point="add")
    assert sandbox.run(GOOD, suite).ok
    assert sandbox.run("def add(a, b):\n    return 4\n", suite).status == "wrong_answer"


LOOP = """
import math
def near(a, b):
    return math.fabs(a - b) < 1e-9
def check(candidate):
    for i in range(20):
        assert near(candidate(i, 0.5), i + 0.5), i
    try:
        candidate("a", None)
    except TypeError:
        return
    assert False
"""


def test_check_function_with_code_of_its_own_runs_in_a_judge(sandbox: Sandbox) -> None:
    suite = TestSuite("check", tests=(LOOP,), entry_point="add")
    good = sandbox.run(GOOD, suite)
    assert (good.status, good.shared) == ("passed", False)
    wrong = sandbox.run("def add(a, b):\n    return 0.5 if a < 7 else a\n", suite)
    assert wrong.status == "wrong_answer"
    raising = sandbox.run("def add(a, b):\n    return [a][1]\n", suite)
    assert (raising.status, raising.line, raising.error) == ("runtime_error", 2, "IndexError")


def test_a_judged_program_may_change_its_arguments(sandbox: Sandbox) -> None:
    test = "values = [3, 1, 2]\nsort_it(values)\nassert values == [1, 2, 3]"
    suite = TestSuite("assert", tests=(test,))
    assert sandbox.run("def sort_it(v):\n    v.sort()\n", suite).ok
    assert sandbox.run("def sort_it(v):\n    return sorted(v)\n", suite).status == "wrong_answer"


def test_tests_that_hand_over_functions_share_the_programs_process(sandbox: Sandbox) -> None:
    suite = TestSuite(
        "check", tests=("def check(f):\n    assert f(lambda: 3) == 3\n    [1].sort()\n",), entry_point="run"
    )
    verdict = sandbox.run("def run(f):\n    return f()\n", suite)
    assert (verdict.status, verdict.shared) == ("passed", True)
    assert sandbox.run("def run(f):\n    return 4\n", suite).status == "wrong_answer"


def test_setup_may_use_the_program(sandbox: Sandbox) -> None:
    suite = TestSuite("assert", setup="tree = Node(1, Node(2))", tests=("assert depth(tree) == 2",))
    program = (
        "class Node:\n    def __init__(self, v, left=None):\n        self.left = left\n"
        "def depth(n):\n    return 1 + depth(n.left) if n else 0\n"
    )
    verdict = sandbox.run(program, suite)
    assert (verdict.status, verdict.shared) == ("passed", False)


def test_a_function_named_like_a_builtin_is_the_programs(sandbox: Sandbox) -> None:
    suite = TestSuite("assert", tests=("assert sum(10, 15) == 6",))
    assert sandbox.run("def sum(a, b):\n    return 6\n", suite).ok
    assert not sandbox.run("def other(a, b):\n    return 6\n", suite).ok


def test_stdin_and_stdout(sandbox: Sandbox) -> None:
    suite = TestSuite("stdio", cases=(("1 2\n", "3\n"), ("5 6\n", "11"), ("1 1", " 2 ")))  # type: ignore[arg-type]
    assert sandbox.run("a, b = map(int, input().split())\nprint(a + b)\n", suite).passed == 3
    wrong = sandbox.run("print(3)\n", suite)
    assert (wrong.status, wrong.passed, wrong.failed_test) == ("wrong_answer", 1, 1)
    assert sandbox.run("print(3)\n", suite, stop_at_first_failure=False).passed == 1
    raising = sandbox.run("print(3)\ninput()\ninput()\n", suite)
    assert (raising.status, raising.line, raising.error) == ("runtime_error", 3, "EOFError")


@pytest.mark.parametrize(
    "ending", ["", "import sys; sys.exit()", "exit(0)", "import os, sys; sys.stdout.flush(); os._exit(0)"]
)
def test_a_script_may_end_as_it_likes(sandbox: Sandbox, ending: str) -> None:
    suite = TestSuite("stdio", cases=(("", "done"),))  # type: ignore[arg-type]
    assert sandbox.run(f"print('done')\n{ending}\n", suite).ok
    assert sandbox.run("print('done')\nraise SystemExit(3)\n", suite).status == "runtime_error"


def test_call_cases(sandbox: Sandbox) -> None:
    suite = TestSuite.from_json(
        {"kind": "call", "entry_point": "two", "cases": [{"input": [1, [2]], "output": [[2], 1]}]}
    )
    assert sandbox.run("def two(a, b):\n    return (b, a)\n", suite).ok
    assert sandbox.run("class Solution:\n    def two(self, a, b):\n        return [b, a]\n", suite).ok
    assert not sandbox.run("def two(a, b):\n    return [a, b]\n", suite).ok


@pytest.mark.parametrize(
    "suite",
    [TestSuite("assert"), TestSuite("stdio"), TestSuite("call", entry_point="f"), TestSuite(tests=("assert f( == 1",))],
)
def test_a_suite_that_decides_nothing_is_an_error(sandbox: Sandbox, suite: TestSuite) -> None:
    with pytest.raises(SuiteError):
        sandbox.run(GOOD, suite)


def test_call_and_evaluate(sandbox: Sandbox) -> None:
    results = sandbox.call(GOOD, "add", [(1, 2), ("a", 1), ((1,), (2,))])
    assert results == [CallResult(True, 3), CallResult(False, error="TypeError"), CallResult(True, (1, 2))]
    results = sandbox.evaluate(GOOD, ["add(one, {1: 2}[1])", "add"], setup="one = 1")
    assert results == [CallResult(True, 3), CallResult(False, error="NotPlain")]
    assert sandbox.call("x = 1 / 0", "add", [(1, 2)] * 2) == [CallResult(False, error="ZeroDivisionError")] * 2
    assert sandbox.call("def add(a):", "add", [(1,)])[0].error == "IndentationError"
    assert sandbox.call("while True: pass", "add", [(1,)], limits=Limits(wall_s=0.2))[0].error == "timeout"


def test_calls_share_no_arguments(sandbox: Sandbox) -> None:
    program, values = "def f(xs, ys):\n    xs.append(1)\n    return len(ys)\n", [1, 2]
    assert [r.value for r in sandbox.call(program, "f", [(values, [0]), ([], values), (values, values)])] == [1, 2, 3]
    cases = (Case((values, [0]), 1), Case(([], values), 2))
    assert sandbox.run(program, TestSuite("call", cases=cases, entry_point="f")).ok


def test_cpu_seconds_follow_wall_seconds_unless_given() -> None:
    assert [limits.cpu_s for limits in (Limits(), Limits(wall_s=9), Limits(wall_s=9, cpu_s=2))] == [3.0, 9, 2]
    assert Limits.from_json({"wall_s": 7}).cpu_s == 7


def test_a_problem_may_give_its_runs_more_time_than_the_sandbox(sandbox: Sandbox) -> None:
    suite = TestSuite("stdio", cases=(Case("", "1\n"),), time_limit_s=4.0)
    program = "import time\ntime.sleep(0.4)\nprint(1)\n"
    short = Limits(wall_s=0.2)
    assert sandbox.run(program, suite, limits=short).ok
    assert TestSuite.from_json(suite.to_json()) == suite
    assert sandbox.run(program, replace(suite, time_limit_s=0.1), limits=short).status == "timeout"
    with pytest.raises(SuiteError, match="time limit"):
        TestSuite(tests=("assert f()",), time_limit_s=-1)
