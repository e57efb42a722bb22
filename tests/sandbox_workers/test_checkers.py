"""Checkers of a problem's own: what they are given, what their ends mean, and that the sandbox holds them back too."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox_workers import Case, Checker, Limits, Sandbox, SandboxUnavailable, SuiteError, TestSuite
from sandbox_workers.checker import can_be_forged

ROOT = Path(__file__).parents[2]
SUM_OF_TWO = """
import sys
given, output, answer = (open(name).read() for name in sys.argv[1:])
try:
    a, b = map(int, output.split())
except ValueError:
    sys.exit("two numbers are wanted")
print("their sum is", a + b, file=sys.stderr)
sys.exit(0 if a + b == int(given) and answer == "any" else 1)
"""
"""Accepts any two numbers whose sum is the input."""
SUM_OF_TWO_CPP = """
#include "helper.h"
int main(int count, char **words) {
    std::ifstream given(words[1]), output(words[2]), answer(words[3]);
    int sum, a, b;
    given >> sum;
    if (!(output >> a >> b)) return quit(2, "two numbers are wanted");
    return a + b == sum ? quit(0, "fine") : quit(1, "another sum");
}
"""
HELPER = """
#include <fstream>
#include <cstdio>
static int quit(int code, const char *text) { fputs(text, stderr); return code; }
"""
CASES = (Case("5", "any"), Case("7", "any"))
PROGRAM = "n = int(input())\nprint(n - 2)\nprint(2)\n"


def suite(source: str, language: str = "python", files: tuple[tuple[str, str], ...] = ()) -> TestSuite:
    return TestSuite("stdio", cases=CASES, compare="checker", checker=Checker(source, language, files))


@pytest.fixture(scope="module")
def cpp() -> Iterator[Sandbox]:
    if shutil.which("g++") is None:
        pytest.skip("no g++ here")
    with Sandbox(languages=["python", "cpp"]) as sandbox:
        yield sandbox


def test_a_checker_accepts_what_no_comparison_could(sandbox: Sandbox) -> None:
    assert sandbox.run(PROGRAM, suite(SUM_OF_TWO)).ok
    wrong = sandbox.run(PROGRAM.replace("n - 2", "n - 3"), suite(SUM_OF_TWO))
    assert (wrong.status, wrong.failed_test, "their sum is 4" in wrong.message) == ("wrong_answer", 0, True)
    garbage = sandbox.run("print('x')", suite(SUM_OF_TWO))
    assert (garbage.status, "two numbers" in garbage.message) == ("wrong_answer", True)


@pytest.mark.parametrize(
    ("source", "forgeable"),
    [
        (SUM_OF_TWO, False),
        ("import sys\nsys.exit(eval(open(sys.argv[2]).read()) != 4)", True),
        ("import pickle", True),
        ("import ast, sys\nsys.exit(ast.literal_eval(open(sys.argv[2]).read()) != 4)", False),
        ("import sys\nprint('{} of {}'.format(1, 2))", False),
        ("this is no Python", True),
    ],
)
def test_a_checker_that_evaluates_what_it_reads_says_that_it_can_be_forged(source: str, forgeable: bool) -> None:
    assert can_be_forged(Checker(source, "python")) is forgeable


@pytest.mark.parametrize(
    ("source", "forgeable"),
    [
        ("const fs = require('fs');\nprocess.exit(fs.readFileSync(process.argv[3], 'utf8') == 4 ? 0 : 1)", False),
        ('const fs = require("node:fs/promises"), p = require("path")', False),
        ("process.exit(eval(require('fs').readFileSync('output.txt', 'utf8')) == 4 ? 0 : 1)", True),
        ("const answer = require('./output.txt')", True),
        ("const answer = require(process.argv[3])", True),
        ("const f = new Function(text)", True),
        ("import('./output.txt')", True),
        ("import answer from './output.txt'", True),
        ("const evaluation = 1, functional = 2", False),
    ],
)
def test_checkers_in_javascript_that_evaluate_do_too(source: str, forgeable: bool) -> None:
    assert can_be_forged(Checker(source, "js")) is forgeable


def test_a_compiled_checker_with_a_header_is_built_once(cpp: Sandbox) -> None:
    problem = suite(SUM_OF_TWO_CPP, "cpp", (("helper.h", HELPER),))
    assert cpp.run(PROGRAM, problem).ok
    assert cpp.run("print(1, 1)", problem).message.endswith("another sum")
    assert cpp.run("print('x')", problem).message.endswith("two numbers are wanted")
    compiled = cpp.run(
        '#include <cstdio>\nint main() { int n; scanf("%d", &n); printf("%d 1", n - 1); }', problem, language="cpp"
    )
    assert compiled.ok
    assert len(cpp._checkers._builds) == 1


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((0, "passed"), (1, "wrong_answer"), (2, "wrong_answer"), (4, "wrong_answer"), (8, "wrong_answer")),
        *((5, "wrong_answer"), (7, "wrong_answer"), (16, "wrong_answer"), (116, "wrong_answer")),
        *((3, "sandbox_error"), (6, "sandbox_error"), (127, "sandbox_error")),
    ],
)
def test_exit_codes_mean_what_they_mean_to_testlib(sandbox: Sandbox, code: int, status: str) -> None:
    assert sandbox.run(PROGRAM, suite(f"import os; os._exit({code})")).status == status


@pytest.mark.parametrize(
    "source",
    [
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "while True: print('x' * 10**6)",
        "x = []\nwhile True: x.append('x' * 10**6)",
        "import os; os.abort()",
    ],
)
def test_a_checker_that_fails_is_not_the_programs_fault(sandbox: Sandbox, source: str) -> None:
    verdict = sandbox.run(PROGRAM, suite(source))
    assert verdict.status in ("sandbox_error", "wrong_answer")
    assert verdict.status == "sandbox_error" or "MemoryError" in verdict.message
    assert sandbox.run(PROGRAM, suite(SUM_OF_TWO)).ok


def test_a_checker_is_held_back_as_a_program_is(sandbox: Sandbox) -> None:
    spy = "import os, socket\ntry:\n    open('/etc/passwd')\nexcept OSError:\n    os._exit(1)\n"
    assert sandbox.run(PROGRAM, suite(spy)).status == "wrong_answer"


def test_what_a_program_leaves_does_not_meet_the_checker(sandbox: Sandbox) -> None:
    forging = (
        "import os\nfor name in ('answer.txt', 'output.txt', 'input.txt', 'sys.py'):\n"
        "    open(name, 'w').write('import os; os._exit(0)')\n    os.chmod(name, 0)\nprint('x')\n"
    )
    assert sandbox.run(forging, suite(SUM_OF_TWO)).status == "wrong_answer"


def test_a_program_that_fails_never_meets_the_checker(sandbox: Sandbox) -> None:
    assert sandbox.run("1 / 0", suite("")).status == "runtime_error"
    assert sandbox.run("while True: pass", suite(""), limits=Limits(wall_s=0.3)).status == "timeout"


def test_a_checker_that_does_not_compile_is_the_suites_fault(sandbox: Sandbox) -> None:
    with pytest.raises(SuiteError, match="checker does not compile"):
        sandbox.run(PROGRAM, suite("x = ("))


def test_a_checker_needs_its_language(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxUnavailable, match="started without 'cpp'"):
        sandbox.run(PROGRAM, suite("", "cpp"))


@pytest.mark.parametrize(
    "record",
    [
        {"compare": "checker"},
        {"compare": "tokens", "checker": "x"},
        {"checker": {"language": "python"}},
        {"checker": {"source": "x", "speed": 1}},
        {"checker": {"source": 3}},
        {"checker": {"source": "x", "files": {"../up": "x"}}},
        {"checker": {"source": "x", "files": {"a.h": 3}}},
        {"checker": {"source": "x", "files": ["a.h"]}},
    ],
)
def test_checkers_that_cannot_be_are_refused(record: dict[str, Any]) -> None:
    with pytest.raises(SuiteError):
        TestSuite.from_json({"kind": "stdio", "cases": [["1", "1"]], **record})


def test_suites_with_checkers_survive_json() -> None:
    problem = suite(SUM_OF_TWO_CPP, "cpp", (("helper.h", HELPER),))
    again = TestSuite.from_json(json.loads(json.dumps(problem.to_json())))
    assert (again, hash(again)) == (problem, hash(problem))
    assert TestSuite.from_json({"kind": "stdio", "cases": [["", ""]], "checker": "int main() {}"}).checker == Checker(
        "int main() {}"
    )


def test_the_command_starts_the_checkers_language(tmp_path: Path) -> None:
    if shutil.which("g++") is None:
        pytest.skip("no g++ here")
    (tmp_path / "program.py").write_text(PROGRAM)
    problem = suite(SUM_OF_TWO_CPP, "cpp", (("helper.h", HELPER),))
    (tmp_path / "tests.json").write_text(json.dumps(problem.to_json()))
    command = ["run", tmp_path / "program.py", "--tests", tmp_path / "tests.json"]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox_workers", *command], cwd=ROOT, capture_output=True, check=False
    )
    assert (done.returncode, b"passed 2/2" in done.stdout) == (0, True), done
