"""What people really write, by kind: honest programs, vacuous suites, preludes, the protocol."""

# ruff: noqa: E501 - programs, one a line
from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks._honest_programs import Honest, honest_programs, plain_run_passes
from benchmarks.verifier_honest import judge_cases
from sandbox_workers import Case, Limits, Sandbox, SuiteError, TestSuite, needs
from sandbox_workers.inside import protocol, reports
from sandbox_workers.plan import plan
from sandbox_workers.syntax import Source

CASES = Path(__file__).resolve().parents[3] / "shared" / "cases" / "sandbox"
PROGRAMS = [honest for honest in honest_programs() if not honest.packages]
WITH_PACKAGES = [honest for honest in honest_programs() if honest.packages]
LATER = PROGRAMS[::6]


def agrees(sandbox: Sandbox, honest: Honest, folder: Path) -> None:
    verdict = sandbox.run(honest.program, honest.suite)
    assert verdict.ok is plain_run_passes(honest, folder / "plain"), verdict


@pytest.mark.parametrize("honest", LATER, ids=lambda honest: f"{honest.kind} {honest.name}")
def test_honest_programs_are_judged_as_by_a_plain_run(sandbox: Sandbox, honest: Honest, tmp_path: Path) -> None:
    agrees(sandbox, honest, tmp_path)


@pytest.mark.slow
def test_all_honest_programs_are(sandbox: Sandbox, tmp_path: Path) -> None:
    for number, honest in enumerate(PROGRAMS):
        (tmp_path / str(number)).mkdir()
        agrees(sandbox, honest, tmp_path / str(number))


@pytest.mark.slow
def test_those_that_need_packages_are(tmp_path: Path) -> None:
    packages = sorted({name for honest in WITH_PACKAGES for name in honest.packages})
    with Sandbox(packages=packages) as sandbox:
        for number, honest in enumerate(WITH_PACKAGES):
            (tmp_path / str(number)).mkdir()
            agrees(sandbox, honest, tmp_path / str(number))


@pytest.mark.slow
@pytest.mark.skipif(not CASES.is_dir(), reason="no handed cases next to this repository")
def test_the_handed_cases_are_right() -> None:
    judged = list(judge_cases(CASES))
    assert len(judged) > 50
    assert [(case.name, case.said) for case in judged if not case.right] == []


VACUOUS = ["pass", "def g():\n    assert f(1) == 2", "class A:\n    x = f(1)", "assert True", "assert (f(1) == 2, 'x')", "x = f(1)", "import math", '"""f(1)"""', "for i in range(3):\n    pass"]  # fmt: skip


@pytest.mark.parametrize("test", VACUOUS)
def test_suites_that_check_nothing_are_refused(test: str) -> None:
    with pytest.raises(SuiteError, match="check nothing"):
        plan(TestSuite(tests=(test,)))
    body = "\n".join(f"    {line}" for line in test.splitlines())
    with pytest.raises(SuiteError, match="check nothing"):
        plan(TestSuite("check", tests=(f"def check(f):\n{body}\n",), entry_point="f"))


@pytest.mark.parametrize(
    "tests",
    [
        "def test_f():\n    assert f(2) == 4",
        "class TestF:\n    def test_f(self):\n        assert f(2) == 4",
        "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        self.assertEqual(f(2), 4)",
        "from unittest import TestCase\nclass T(TestCase):\n    def setUp(self):\n        self.a = 4\n"
        "    def test_f(self):\n        self.assertEqual(f(2), self.a)",
    ],
)
def test_tests_that_are_defined_and_not_run_are_run(sandbox: Sandbox, tests: str) -> None:
    suite = TestSuite(tests=(tests,))
    assert sandbox.run("def f(x): return x * 2", suite).ok
    assert sandbox.run("def f(x): return x * 3", suite).status == "wrong_answer"


CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_f(self):\n        self.assertEqual(f(2), 4)\n"
LOADED = "unittest.defaultTestLoader.loadTestsFromTestCase(T)"


@pytest.mark.parametrize(
    "end",
    [
        "unittest.main(argv=['x'], exit=False)",
        "if __name__ == '__main__':\n    unittest.main(argv=['x'], verbosity=2, exit=False)",
        "def main():\n    unittest.main(argv=['x'], exit=False)\nmain()",
        f"unittest.TextTestRunner().run({LOADED})",
        f"runner = unittest.TextTestRunner(verbosity=2)\nrunner.run({LOADED})",
        f"result = unittest.TextTestRunner().run({LOADED})\nassert result.wasSuccessful()",
        "unittest.main()",
        "",
    ],
)
def test_what_unittest_says_is_heeded_however_it_is_run(sandbox: Sandbox, end: str) -> None:
    suite = TestSuite(tests=(CASE + end,))
    assert sandbox.run("def f(x): return x * 2", suite).ok
    assert sandbox.run("def f(x): return x * 3", suite).status == "wrong_answer"
    skipping = "import unittest\ndef f(x): raise unittest.SkipTest('no')"
    assert sandbox.run(skipping, suite).status in ("wrong_answer", "runtime_error")


def test_a_case_of_which_every_test_is_skipped_has_checked_nothing(sandbox: Sandbox) -> None:
    skipping = CASE.replace("self.assertEqual", "self.skipTest('not today') if f(2) is None else self.assertEqual")
    assert sandbox.run("def f(x): pass", TestSuite(tests=(skipping,))).status == "wrong_answer"
    other = skipping + "    def test_g(self):\n        self.assertEqual(g(), 1)\n"
    assert sandbox.run("def f(x): pass\ndef g(): return 1", TestSuite(tests=(other,))).ok


SOLUTION = (
    "class Solution:\n    def f(self, a: List[int]) -> Optional[int]:\n        return Counter(a)[1] + int(inf > 1)\n"
)


def test_the_prelude_runs_before_the_program_in_every_kind(sandbox: Sandbox) -> None:
    prelude = "LIMIT = 5\nfrom typing import *"
    program = "def f(a: List[int] = [LIMIT]):\n    return a[0]\nprint(f())\n"
    suites = (
        TestSuite(tests=("assert f() == 5",), prelude=prelude),
        TestSuite(tests=("for i in range(2):\n    assert f([i]) == i and LIMIT == 5",), prelude=prelude),
        TestSuite("check", tests=("def check(c):\n    assert c() == 5",), entry_point="f", prelude=prelude),
        TestSuite("call", entry_point="f", cases=(Case((), 5),), prelude=prelude),
        TestSuite("stdio", cases=(Case("", "5"),), prelude=prelude),
    )
    for suite in suites:
        assert sandbox.run(program, TestSuite.from_json(suite.to_json())).ok, suite
        assert sandbox.run("x = 1\nraise KeyError", suite).line == 2


def test_a_solution_has_the_prelude_of_its_site(sandbox: Sandbox) -> None:
    suite = TestSuite("call", entry_point="Solution.f", cases=(Case(([1, 1, 2],), 3),))
    assert sandbox.run(SOLUTION, suite).ok
    assert sandbox.run(SOLUTION, TestSuite.from_json({**suite.to_json(), "prelude": ""})).error == "NameError"
    with pytest.raises(SuiteError, match="leetcode"):
        TestSuite("call", entry_point="f", prelude="leetcod")
    nodes = "def check(candidate):\n    assert candidate(ListNode(1, ListNode(2))).val == 2"
    program = "class Solution:\n    def g(self, head: Optional[ListNode]) -> ListNode:\n        return head.next\n"
    verdict = sandbox.run(program, TestSuite("check", tests=(nodes,), entry_point="Solution().g"))
    assert (verdict.ok, verdict.shared) == (True, True)


def test_the_setup_stays_with_the_tests(strict_sandbox: Sandbox) -> None:
    suite = TestSuite(setup="import math\ndef answer(n):\n    return n + 1\n", tests=("assert f(3) == 4",))
    assert strict_sandbox.run("def f(n): return math.floor(n) + 1", suite).ok
    assert strict_sandbox.run("def f(n): return answer(n)", suite).error == "NameError"


@pytest.mark.parametrize(
    ("test", "shared"),
    [
        ("import os\nassert os.path.exists(f('x'))", False),
        ("import sys\nassert f(sys.maxsize) == 1", False),
        ("assert '{}'.format(f(1)) == '1'", False),
        ("assert f(1) is None", False),
        ("a = f(1)\nassert a is a", True),
        ("assert f('{}').format(1) == '1'", True),
        ("import os\nos.environ['A'] = 'b'\nassert f(1)", False),
        ("import os\nos.environ = {}\nassert f(1)", True),
        ("import os\nassert f(1) == os.getcwd()", False),
        ("import os\nfor e in [os]:\n    assert f(e.getenv('A'))", False),
        ("from sys import stdout\nassert f(1)", True),
        ("import sys\nassert f(sys.stdout.encoding)", True),
        ("import sys\nsys.stdout.reconfigure()\nassert f(1)", True),
        ("import os, sys\nos.dup2(3, 1)\nassert f(sys.stdout)", True),
        ("import numpy as np\nnp.random.seed(1)\nassert f(1)", True),
        ("import random as r\nr.seed(1)\nassert f(r.choice([1]))", True),
        ("import time\ntime.time = lambda: 5\nassert f(1)", True),
        ("import time\nt = time.time()\nassert f(1)\nassert time.time() - t < 5", False),
        ("from unittest.mock import patch\nassert f(1)", True),
        ("assert eval(f(1)) == 1", True),
        ("import ast\nassert ast.literal_eval(f(1)) == 1", False),
        ("import json\nassert json.loads(f(1)) == 1", False),
        ("import random\nrandom.seed(1)\nassert f(1)", False),
        ("import sys as s\ns.path.append('.')\nassert f(1)", True),
        ("from sys import path\nassert f(1)", True),
        ("import urllib.parse\nfor u in 'ab':\n    assert urllib.parse.urlparse(f(u)).path == u", False),
        ("import unittest\nunittest.defaultTestLoader.discover('.')\nassert f(1)", True),
        ("import pydoc\nassert pydoc.locate(f(1))", True),
        ("import numpy as xp\nassert xp.load(f(1))", True),
        ("import json\nfor i in 'ab':\n    assert json.load(open(f(i))) == 1", False),
    ],
)
def test_tests_that_need_the_programs_process_are_told_by_their_text(test: str, shared: bool) -> None:
    assert bool(needs.of([Source.of(ast.parse(test))]).shared) is shared
    assert (plan(TestSuite(tests=(test,))).mode == "shared") is shared


def test_what_cannot_be_carried_is_no_wrong_answer(sandbox: Sandbox, strict_sandbox: Sandbox) -> None:
    program = "class Money:\n    def __init__(self, n): self.n = n\n    def __eq__(self, o): return self.n == o\ndef f(n): return Money(n)\n"
    suite = TestSuite(tests=("assert f(3) == 3",))
    assert strict_sandbox.run(program, suite).status == "unsupported"
    assert (sandbox.run(program, suite).ok, sandbox.run(program, suite).shared) == (True, True)
    plain_object = "class Other: pass\ndef f(n): return Other()\n"
    assert strict_sandbox.run(plain_object, suite).status == "wrong_answer"  # which equals no number, whoever compares


def test_memory_counts_when_it_is_used(sandbox: Sandbox) -> None:
    suite = TestSuite(tests=("assert f() == 1",))
    limits = Limits(memory_mb=100)
    reserve = "import mmap\ndef f():\n    m = mmap.mmap(-1, 400 << 20)\n    {}\n    return 1\n"
    assert sandbox.run(reserve.format("pass"), suite, limits=limits).ok
    used = sandbox.run(reserve.format("m.write(b'x' * (300 << 20))"), suite, limits=limits)
    assert used.status == "out_of_memory"


def test_latin_1(sandbox: Sandbox) -> None:
    program = b"# -*- coding: latin-1 -*-\nprint(len('\xe9'))\n".decode("utf-8", "surrogateescape")
    assert sandbox.run(program, TestSuite("stdio", cases=(Case("", "1"),))).ok
    without = program.replace("latin-1", "utf-8")
    assert sandbox.run(without, TestSuite("stdio", cases=(Case("", "1"),))).status == "compile_error"


FIELDS = st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers(), max_size=2)


@given(st.sampled_from(sorted(reports._REPORTS)), st.lists(FIELDS, max_size=7))
def test_a_report_is_read_only_as_it_is_declared(tag: str, fields: list[Any]) -> None:
    kind, types = reports._REPORTS[tag]
    try:
        report = reports.read(json.dumps([tag, *fields]).encode())
    except ValueError:
        return
    assert type(report) is kind and list(report) == fields and len(types) == len(fields)
    assert reports.read(reports.write(report)) == report


def test_jobs_come_back_as_they_were_sent() -> None:
    job = protocol.JudgeJob(((0, 1),), b"tests", True, "secret")
    assert protocol.unpack(protocol.JudgeJob, protocol.pack(job)) == job
    forks = [protocol.Fork(1, "run", 0, 1), protocol.Fork(2, "run_forking", 1, 1)]
    for request in (forks[:1], forks, protocol.Kill(3)):
        assert protocol.unpack_request(protocol.pack_request(request)) == request
    ended = protocol.Ended(1, -9, 0.5, 1 << 40)
    assert protocol.unpack_ended(protocol.pack_ended(ended)) == ended
