"""Tests that are defined and not run: by which calls they run, and what only pytest runs."""

# ruff: noqa: E501 - tests, one a line
from __future__ import annotations

from collections.abc import Iterator

import pytest

from sandbox_workers import Sandbox, SuiteError, TestSuite
from sandbox_workers.plan import plan


@pytest.fixture(scope="module")
def with_pytest() -> Iterator[Sandbox]:
    with Sandbox(packages=("pytest",)) as sandbox:
        yield sandbox


PARAMETERS = "import pytest\n@pytest.mark.parametrize('a', [1, 2])\ndef test_f(a):\n    assert f(a) == a * a\n"
FIXTURE = "import pytest\n@pytest.fixture\ndef two():\n    return 2\ndef test_f(two):\n    assert f(two) == 4\n"
METHODS = "class TestF:\n    def setup_method(self):\n        self.a = 2\n    def test(self):\n        assert f(self.a) == 4\n"
BASE = "class Base:\n    a = 0\n    def test(self):\n        assert f(self.a) == self.a ** 2\nclass TestF(Base):\n    a = 2\n"
CASE = "import unittest\nclass Base(unittest.TestCase):\n    a = 0\nclass Two(Base):\n    a = 2\n    def test(self):\n        self.assertEqual(f(self.a), self.a ** 2)\n"
CAPTURED = "def test_f(capsys):\n    print(f(2))\n    assert capsys.readouterr().out == '4\\n'\n"
MAIN = "import pytest\ndef test_f():\n    assert f(2) == 4\nif __name__ == '__main__':\n    pytest.main([__file__])\n"
COROUTINE = (
    "import asyncio\ndef test_f():\n    async def go():\n        return f(2)\n    assert asyncio.run(go()) == 4\n"
)
NESTED = "class TestF:\n    class TestG:\n        def test(self):\n            assert f(2) == 4\n    def test(self):\n        assert f(1) == 1\n"
MARKED = "import pytest\npytestmark = pytest.mark.parametrize('a', [1, 2])\ndef test_f(a):\n    assert f(a) == a * a\n"
PREPARED = "import unittest, pytest\nclass TestF(unittest.TestCase):\n    @pytest.fixture(autouse=True)\n    def prepare(self):\n        self.a = 2\n    def test(self):\n        self.assertEqual(f(self.a), 4)\n"
ENDED = "import pytest\ndef test_one():\n    pytest.skip('later')\ndef test_two():\n    assert f(2) == 4\n"
OBJECT = "class TestF(object):\n    def test(self):\n        assert f(2) == 4\n"
SQUARE, CUBE = "def f(x):\n    return x * x\n", "def f(x):\n    return x * x * x\n"


@pytest.mark.parametrize(
    "tests", [PARAMETERS, FIXTURE, METHODS, BASE, CASE, CAPTURED, MAIN, COROUTINE, NESTED, MARKED, PREPARED, ENDED]
)
def test_they_are_run_and_a_wrong_program_fails_them(with_pytest: Sandbox, tests: str) -> None:
    suite = TestSuite(tests=(f"{tests}\nassert f(1) == 1\nassert f(0) == 0\n",))
    assert with_pytest.run(SQUARE, suite).ok
    assert with_pytest.run(CUBE, suite).status == "wrong_answer"


@pytest.mark.parametrize("tests", [PARAMETERS, FIXTURE])
def test_pytest_runs_them_in_a_process_of_the_tests_where_they_need_no_other(with_pytest: Sandbox, tests: str) -> None:
    assert plan(TestSuite(tests=(PARAMETERS,))).mode == "judge"
    assert plan(TestSuite(tests=(CAPTURED,))).mode == "shared"


def test_what_the_program_raises_in_them_is_its_error(with_pytest: Sandbox) -> None:
    verdict = with_pytest.run("def f(x):\n    return x / 0\n", TestSuite(tests=(PARAMETERS,)))
    assert (verdict.status, verdict.error, verdict.line) == ("runtime_error", "ZeroDivisionError", 2)


@pytest.mark.parametrize("outcome", ["skip('x')", "exit('x', 0)", "xfail('x')"])
def test_no_program_skips_tests_or_ends_them(with_pytest: Sandbox, outcome: str) -> None:
    program = f"import pytest\ndef f(x):\n    pytest.{outcome}\n"
    verdict = with_pytest.run(program, TestSuite(tests=(PARAMETERS,)))
    assert not verdict.ok and not verdict.shared
    assert not with_pytest.run(
        program, TestSuite(tests=(FIXTURE.replace("assert f(two)", "assert f(two) and id(two)"),))
    ).ok


def test_files_of_the_program_do_not_configure_pytest(with_pytest: Sandbox) -> None:
    program = (
        "open('conftest.py', 'w').write('def pytest_collection_modifyitems(items): items.clear()')\n"
        "open('pytest.ini', 'w').write('[pytest]\\naddopts = --collect-only\\n')\n" + CUBE
    )
    assert with_pytest.run(program, TestSuite(tests=(PARAMETERS,))).status == "wrong_answer"
    assert with_pytest.run(program.replace(CUBE, SQUARE), TestSuite(tests=(PARAMETERS,))).ok


@pytest.mark.parametrize("tests", [PARAMETERS, CAPTURED, MAIN, BASE])
def test_a_sandbox_without_pytest_says_what_is_missing(sandbox: Sandbox, tests: str) -> None:
    with pytest.raises(SuiteError, match="packages="):
        sandbox.run(SQUARE, TestSuite(tests=(tests,)))


def test_so_does_one_without_another_package_that_the_tests_import(sandbox: Sandbox) -> None:
    with pytest.raises(SuiteError, match=r"packages=\['numpy'\]"):
        sandbox.run(SQUARE, TestSuite(tests=("import numpy\nassert f(2) == 4",)))
    for tests in (
        "import no_such_module\nassert f(2) == 4",
        "try:\n    import numpy\nexcept ImportError:\n    pass\nassert f(2) == 4",
    ):
        assert sandbox.run(SQUARE, TestSuite(tests=(tests,))).ok is ("try" in tests)
    with Sandbox(packages=("pandas",)) as with_pandas:
        assert with_pandas.run(SQUARE, TestSuite(tests=("import numpy\nassert f(2) == 4",))).ok


@pytest.mark.parametrize("tests", [METHODS, CASE, COROUTINE, OBJECT])
def test_and_runs_what_needs_none(sandbox: Sandbox, tests: str) -> None:
    assert sandbox.run(SQUARE, TestSuite(tests=(tests,))).ok
    assert sandbox.run(CUBE, TestSuite(tests=(tests,))).status == "wrong_answer"


def test_unittest_without_a_test_checks_nothing() -> None:
    for tests in (
        "import unittest\nunittest.main()",
        "import unittest\nclass T(unittest.TestCase): pass\nunittest.main()",
    ):
        with pytest.raises(SuiteError, match="define no test"):
            plan(TestSuite(tests=(tests,)))


@pytest.mark.parametrize("module", ["solution", "program", "main"])
def test_tests_import_the_program_by_the_name_of_its_file(sandbox: Sandbox, module: str) -> None:
    for tests, shared in (
        (f"from {module} import f\ndef test():\n    assert f(3) == 9", False),
        (f"from {module} import f as square\ndef test():\n    assert square(3) == 9", False),
        (f"from {module} import *\nfor i in range(4):\n    assert f(i) == i ** 2", False),
        (f"import {module}\nassert {module}.f(3) == 9", True),
    ):
        right, wrong = (sandbox.run(program, TestSuite(tests=(tests,))) for program in (SQUARE, CUBE))
        assert (right.status, wrong.status, right.shared) == ("passed", "wrong_answer", shared)


def test_no_program_skips_unittests_by_a_name_that_another_module_has_for_it() -> None:
    tests = "import unittest\nimport numpy.testing\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(), 2)\n    def test_one(self):\n        self.assertEqual(1, 1)"
    program = "class SkipTest(Exception):\n    pass\nSkipTest.__module__ = 'numpy.testing'\ndef f():\n    raise SkipTest('x')\n"
    with Sandbox(packages=("numpy",)) as sandbox:
        assert not sandbox.run(program, TestSuite(tests=(tests,))).ok
        assert sandbox.run("def f():\n    return 2\n", TestSuite(tests=(tests,))).ok


@pytest.mark.parametrize("mark", ["skipif(f(), reason='x')", "xfail(f())"])
def test_conditions_that_pytest_evaluates_are_marked(with_pytest: Sandbox, mark: str) -> None:
    tests = f"import pytest\ndef test_one():\n    assert g() == 0\n@pytest.mark.{mark}\ndef test_two():\n    assert g() == 42\n"
    program = "def f():\n    return 'True'\ndef g():\n    return 0\n"
    verdict = with_pytest.run(program, TestSuite(tests=(tests,)))
    assert not verdict.ok or verdict.shared
