"""Published data sets, each on small records of our own in its format: what is read, and how programs are judged."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prl_ray.errors import DataError
from prl_ray.problems import Problem, load_problems
from sandbox_workers import Sandbox, TestSuite


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as sandbox:
        yield sandbox


def load(name: str, folder: Path, *rows: dict[str, Any], split: str = "test", **options: Any) -> list[Problem]:
    """The problems of a file with these rows."""
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_problems(name, path=str(path), split=split, **options)  # type: ignore[arg-type]


def judged(sandbox: Sandbox, problem: Problem, response: str) -> str:
    return sandbox.run(problem.code_prefix + response, problem.tests, language=problem.language).status.value


HUMANEVAL_PLUS_TEST = """import math

def assertion(out, exp, atol):
    if atol == 0 and isinstance(exp, float):
        atol = 1e-6
    if out != exp and atol != 0:
        assert math.isclose(out, exp, rel_tol=0, abs_tol=atol)
    else:
        assert out == exp

def check(candidate):
    inputs = INPUTS
    results = RESULTS
    for i, (inp, exp) in enumerate(zip(inputs, results)):
        assertion(candidate(*inp), exp, 0)
"""


def humaneval_plus(inputs: str, results: str) -> dict[str, Any]:
    return {
        "task_id": "HumanEval/900",
        "prompt": 'def third(x: float):\n    """A third of x."""\n',
        "canonical_solution": "    return x / 3\n",
        "entry_point": "third",
        "test": HUMANEVAL_PLUS_TEST.replace("INPUTS", inputs).replace("RESULTS", results),
    }


def test_humaneval_plus_with_floats(tmp_path: Path, sandbox: Sandbox) -> None:
    (problem,) = load("humaneval_plus", tmp_path, humaneval_plus("[[1.0], [2.5]]", "[0.3333333, 0.8333333]"))
    assert (problem.task_id, problem.entry_point, problem.tests.kind, problem.tests.total) == (
        *("HumanEval/900+", "third", "call", 2),
    )
    assert sandbox.run(problem.references[0], problem.tests).ok
    assert judged(sandbox, problem, "    return x * 0.33333\n") == "wrong_answer"
    assert sandbox.run(problem.references[0], problem.tests).shared is False


def test_humaneval_plus_with_exact_values_keeps_tuples_apart_from_lists(tmp_path: Path, sandbox: Sandbox) -> None:
    row = humaneval_plus("[[[1, 2]], [[]]]", "[(1, 2), ()]")
    (problem,) = load("humaneval_plus", tmp_path, row)
    assert (problem.tests.kind, problem.tests.total) == ("assert", 2)
    assert judged(sandbox, problem, "    return tuple(x)\n") == "passed"
    assert judged(sandbox, problem, "    return list(x)\n") == "wrong_answer"


def test_humaneval_plus_whose_values_are_no_literals_runs_its_own_test(tmp_path: Path, sandbox: Sandbox) -> None:
    (problem,) = load("humaneval_plus", tmp_path, humaneval_plus("[[3.0 * n] for n in range(9)]", "list(range(9))"))
    assert (problem.tests.kind, problem.tests.total) == ("check", 1)
    assert judged(sandbox, problem, "    return x / 3\n") == "passed"
    assert judged(sandbox, problem, "    return x / 4\n") != "passed"


NUMPY_TEST = """import numpy as np

def is_floats(x) -> bool:
    return isinstance(x, float)

def assertion(out, exp, atol):
    exact_match = out == exp
    if atol == 0 and is_floats(exp):
        atol = 1e-6
    if not exact_match and atol != 0:
        np.testing.assert_allclose(out, exp, atol=atol)
    else:
        assert exact_match

def ref_func(x):
    return [x / 3, x]

def check(candidate):
    inputs = [[1.0], [2.5], [9.0]]
    for i, inp in enumerate(inputs):
        assertion(candidate(*inp), ref_func(*inp), ATOL)
"""


@pytest.mark.parametrize("atol", ["1e-3", "1e-06"])
def test_humaneval_plus_that_computes_its_answers_needs_no_numpy(tmp_path: Path, sandbox: Sandbox, atol: str) -> None:
    row = humaneval_plus("", "") | {"test": NUMPY_TEST.replace("ATOL", atol)}
    (problem,) = load("humaneval_plus", tmp_path, row)
    assert problem.tests.kind == "check"
    assert judged(sandbox, problem, "    return [x / 3, x]\n") == "passed"
    assert judged(sandbox, problem, "    return [x / 3 + 1e-4, x]\n") == (
        "passed" if atol == "1e-3" else "wrong_answer"
    )
    assert judged(sandbox, problem, "    return [x / 3 + 0.1, x]\n") == "wrong_answer"


def test_humaneval_plus_with_a_tolerance_of_its_own_and_infinity(tmp_path: Path, sandbox: Sandbox) -> None:
    row = humaneval_plus("[[3.0], [inf]]", "[1.0, inf]")
    row["test"] = row["test"].replace("exp, 0)", "exp, 0.01)")
    (problem,) = load("humaneval_plus", tmp_path, row)
    assert (problem.tests.kind, problem.tests.compare) == ("call", "floats(0.01, 1e-07)")
    assert TestSuite.from_json(problem.tests.to_json()) == problem.tests
    assert judged(sandbox, problem, "    return x / 3.001\n") == "passed"
    assert judged(sandbox, problem, "    return min(x, 1e9) / 3\n") == "wrong_answer"


def test_mbpp_plus_by_the_name_that_its_first_version_gave(tmp_path: Path, sandbox: Sandbox) -> None:
    row = {
        "task_id": 901,
        "code": "def least(a):\n    return min(a)\n",
        "prompt": "Write a function.",
        "test_list": ["assert least([1, 2]) == 1"],
        "test": "from math import inf\n\n" + NUMPY_TEST.split("def ref_func")[0]
        + "inputs = [[[1, 2]], [[inf, 3]], [[inf]]]\nresults = [1, 3, inf]\n"
        + "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(candidate(*inp), exp, 0)\n",
    }  # fmt: skip
    (problem,) = load("mbpp_plus", tmp_path, row)
    assert (problem.tests.kind, problem.tests.total) == ("call", 3)
    assert judged(sandbox, problem, problem.references[0]) == "passed"
    assert judged(sandbox, problem, "def least(a):\n    return a[0]\n") == "wrong_answer"


def test_mbpp_plus(tmp_path: Path, sandbox: Sandbox) -> None:
    row = {
        "task_id": 900,
        "code": "def add(a, b):\r\n    return a + b\r\n",
        "prompt": "Write a function to add two numbers.",
        "test_list": ["assert add(1, 2) == 3"],
        "test_imports": [],
        "test": HUMANEVAL_PLUS_TEST.split("def check")[0]
        + "inputs = [[1, 2], [-1, 1], ['a', 'b']]\nresults = [3, 0, 'ab']\n"
        + "for i, (inp, exp) in enumerate(zip(inputs, results)):\n    assertion(add(*inp), exp, 0)\n",
    }
    (problem,) = load("mbpp_plus", tmp_path, row)
    assert "assert add(1, 2) == 3" in problem.prompt and "'ab'" not in problem.prompt
    assert (problem.entry_point, problem.tests.kind, problem.tests.total) == ("add", "assert", 3)
    assert judged(sandbox, problem, problem.references[0]) == "passed"
    assert judged(sandbox, problem, "def add(a, b):\n    return abs(a + b) if a != 'a' else 'ba'\n") == "wrong_answer"


def livecodebench(**more: Any) -> dict[str, Any]:
    private = json.dumps([{"input": "4 5\n", "output": "1.25\n9\n", "testtype": "stdin"}])
    return {
        "question_title": "Mean",
        "question_content": "Print b / a and a + b.",
        "platform": "atcoder",
        "question_id": "abc900_a",
        "contest_date": "2024-09-01T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps([{"input": "2 3\n", "output": "1.50\n5\n", "testtype": "stdin"}]),
        "private_test_cases": base64.b64encode(zlib.compress(pickle.dumps(private))).decode(),
        "metadata": "{}",
        **more,
    }


def test_livecodebench_programs(tmp_path: Path, sandbox: Sandbox) -> None:
    (problem,) = load("livecodebench", tmp_path, livecodebench())
    assert (problem.tests.kind, problem.tests.total, problem.difficulty) == ("stdio", 2, 1)
    program = "a, b = map(int, input().split())\nprint(b / a)\nprint(a + b)\n"
    assert judged(sandbox, problem, program) == "passed"  # 1.5 is 1.50
    assert judged(sandbox, problem, program.replace("print(b / a)\n", "print(b / a, end=' ')\n")) == "wrong_answer"
    assert judged(sandbox, problem, program.replace("b / a", "b / a + 1e-9")) == "wrong_answer"


def test_livecodebench_methods_with_its_usual_imports(tmp_path: Path, sandbox: Sandbox) -> None:
    cases = [{"input": "[1, 2]\n3", "output": "[4, 5]", "testtype": "functional"}]
    row = livecodebench(
        starter_code="class Solution:\n    def add(self, xs: List[int], n: int) -> List[int]:\n        ",
        public_test_cases=json.dumps(cases),
        private_test_cases="[]",
        metadata=json.dumps({"func_name": "add"}),
    )
    (problem,) = load("livecodebench", tmp_path, row)
    assert (problem.tests.kind, problem.entry_point) == ("call", "Solution.add")
    assert "class Solution" in problem.prompt
    program = "class Solution:\n    def add(self, xs: List[int], n: int) -> List[int]:\n        return BODY\n"
    assert judged(sandbox, problem, program.replace("BODY", "tuple(x + n for x in xs)")) == "passed"
    assert judged(sandbox, problem, program.replace("BODY", "xs")) == "wrong_answer"


def test_livecodebench_by_date(tmp_path: Path) -> None:
    rows = [livecodebench(question_id=str(month), contest_date=f"2024-0{month}-15") for month in range(1, 10)]
    kept = load("livecodebench", tmp_path, *rows, after="2024-03-15", before="2024-05-14", limit=5)
    assert [problem.task_id for problem in kept] == ["livecodebench/3", "livecodebench/4"]


class _Planted:
    def __reduce__(self) -> tuple[Any, ...]:
        return print, ("owned",)


@pytest.mark.parametrize("payload", [pickle.dumps(_Planted()), b"not a pickle", pickle.dumps(3)])
def test_livecodebench_reads_no_pickle_but_text(
    tmp_path: Path, payload: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    row = livecodebench(private_test_cases=base64.b64encode(zlib.compress(payload)).decode())
    with pytest.raises(DataError, match="private_test_cases"):
        load("livecodebench", tmp_path, row)
    assert "owned" not in capsys.readouterr().out


def apps(inputs: list[Any], outputs: list[Any], **more: Any) -> dict[str, Any]:
    function = {"fn_name": more.pop("fn_name")} if "fn_name" in more else {}
    return {
        "problem_id": 900,
        "question": "Halve a number.",
        "solutions": json.dumps(
            ["print(float(input()) / 2)", "print float(input()) / 2", "x = input()\nprint(float(x) / 2)"]
        ),
        "input_output": json.dumps({"inputs": inputs, "outputs": outputs, **function}),
        "difficulty": "interview",
        "url": "",
        "starter_code": "",
        **more,
    }


@pytest.mark.parametrize("name", ["apps", "taco"])
def test_apps_and_taco_programs(tmp_path: Path, sandbox: Sandbox, name: str) -> None:
    rows = [apps(["3\n", ["4", ""]], ["1.5\n", ["2.0"]]), apps([], []), apps([], [], input_output="")]
    (problem,) = load(name, tmp_path, *rows)
    assert problem.references == ("print(float(input()) / 2)", "x = input()\nprint(float(x) / 2)")
    assert (problem.tests.total, problem.difficulty) == (2, 2)
    assert judged(sandbox, problem, problem.references[0]) == "passed"
    assert judged(sandbox, problem, "print(float(input()) / 2 + 1e-6)") == "passed"  # numpy.allclose
    assert judged(sandbox, problem, "print(float(input()) / 2 + 1e-3)") == "wrong_answer"
    assert judged(sandbox, problem, "print(float(input()) / 2, float(0))") == "wrong_answer"


def test_apps_functions(tmp_path: Path, sandbox: Sandbox) -> None:
    plain = apps([[1, [2]], [3, []]], [[[1, 2]], [[3]]], fn_name="join", problem_id=1)
    method = apps([[{"1": 2}]], [[{"2": 1}]], fn_name="turn", starter_code="class Solution:\n    def turn(self, d):\n")
    problems = load("apps", tmp_path, plain, method)
    assert [problem.entry_point for problem in problems] == ["join", "Solution.turn"]
    assert judged(sandbox, problems[0], "def join(a, b):\n    return [a, *b]\n") == "passed"
    assert judged(sandbox, problems[0], "def join(a, b):\n    return [*b, a]\n") == "wrong_answer"
    turned = "class Solution:\n    def turn(self, d: Dict[int, int]):\n        return {v: k for k, v in d.items()}\n"
    assert judged(sandbox, problems[1], turned) == "passed"


def codecontests(**more: Any) -> dict[str, Any]:
    return {
        "name": "900_A. Thirds",
        "description": "Print yes and a third.",
        "public_tests": {"input": ["1\n"], "output": ["YES 0.333333\n"]},
        "private_tests": {"input": [], "output": []},
        "generated_tests": {"input": ["2\n"], "output": ["YES\n0.666667\n"]},
        "source": 2,
        "difficulty": 7,
        "solutions": {
            "language": [1, 2, 3, 3],
            "solution": ["print 1", "int main() {}", "n = int(input())\nprint('Yes', n / 3)", "print("],
        },
        "input_file": "",
        "output_file": "",
        **more,
    }


def test_codecontests(tmp_path: Path, sandbox: Sandbox) -> None:
    rows = [codecontests(input_file="a.in"), codecontests(public_tests=None, generated_tests=None), codecontests()]
    (problem,) = load("codecontests", tmp_path, *rows, split="validation")
    assert (problem.tests.total, problem.difficulty, problem.language) == (2, 7, "python")
    assert problem.references == ("n = int(input())\nprint('Yes', n / 3)",)
    assert judged(sandbox, problem, problem.references[0]) == "passed"
    assert judged(sandbox, problem, "print('yes', int(input()) / 3 + 2e-5)") == "wrong_answer"
    assert judged(sandbox, problem, "print('no', int(input()) / 3)") == "wrong_answer"
    (cpp,) = load("codecontests", tmp_path, codecontests(), split="train", language="cpp", most_tests=1)
    assert (cpp.language, cpp.references, cpp.tests.total) == ("cpp", ("int main() {}",), 1)
    with pytest.raises(DataError, match="not in 'go'"):
        load("codecontests", tmp_path, codecontests(), split="train", language="go")


def test_leetcode(tmp_path: Path, sandbox: Sandbox) -> None:
    row = {
        "task_id": "sum-of-all",
        "prompt": "from typing import *\nfrom itertools import *\n",
        "entry_point": "Solution().total",
        "test": "def check(candidate):\n    assert candidate(nums=[1, 2]) == 3\n    assert candidate(nums=[]) == 0\n",
        "completion": "class Solution:\n    def total(self, nums: List[int]):\n        return sum(chain(nums))\n",
        "query": "Add up all numbers.",
        "difficulty": "Medium",
    }
    (problem,) = load("leetcode", tmp_path, row, split="train")
    assert (problem.task_id, problem.difficulty) == ("leetcode/sum-of-all", 2)
    assert judged(sandbox, problem, problem.references[0]) == "passed"
    assert judged(sandbox, problem, problem.references[0].replace("chain(nums)", "nums[:1]")) == "wrong_answer"


FIELDS = {
    "humaneval_plus": humaneval_plus("[[1]]", "[1]"),
    "livecodebench": livecodebench(),
    "apps": apps(["1"], ["1"]),
    "taco": apps(["1"], ["1"]),
    "codecontests": codecontests(),
}


@pytest.mark.parametrize("name", FIELDS)
def test_a_record_of_another_data_set_is_refused(name: str, tmp_path: Path) -> None:
    row = dict(FIELDS[name])
    row.pop("test", None) or row.pop("input_output", None) or row.pop("solutions", None) or row.pop("metadata")
    with pytest.raises(DataError, match="lacks"):
        load(name, tmp_path, row)


def test_lists_and_tables_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "apps.json"
    path.write_text(json.dumps([apps(["1"], ["1"])]))
    assert len(load_problems("apps", path=str(path), split="test")) == 1
    datasets = pytest.importorskip("datasets")
    table = tmp_path / "apps.parquet"
    datasets.Dataset.from_list([apps(["1"], ["1"])]).to_parquet(table)
    assert len(load_problems("apps", path=str(table), split="test")) == 1
    path.write_text("{}")
    with pytest.raises(DataError, match="list of objects"):
        load_problems("apps", path=str(path), split="test")


def test_time_limits_of_the_problems_are_those_of_their_suites(tmp_path: Path) -> None:
    row = {"question": "q", "solutions": "[]", "starter_code": "", "difficulty": "EASY"}
    tests = json.dumps({"inputs": ["1\n"], "outputs": ["1\n"]})
    limits = {"2.5 seconds": 2.5, "8 seconds": 8.0, "1 second": 1.0, "": 0.0, "500 ms": 0.0}
    rows = [row | {"input_output": tests, "time_limit": text} for text in limits]
    assert [problem.tests.time_limit_s for problem in load("taco", tmp_path, *rows)] == [*limits.values()]
    assert [problem.tests.time_limit_s for problem in load("livecodebench", tmp_path, livecodebench())] == [6.0]
    contest = {
        "name": "a",
        "description": "d",
        "public_tests": {"input": ["1"], "output": ["1"]},
        "private_tests": None,
        "generated_tests": None,
        "solutions": None,
        "time_limit": {"seconds": 4, "nanos": 500_000_000},
    }
    (problem,) = load("codecontests", tmp_path, contest)
    assert problem.tests.time_limit_s == 4.5


def test_taco_calls_with_an_only_argument_that_is_no_list(tmp_path: Path, sandbox: Sandbox) -> None:
    tests = json.dumps({"fn_name": "count", "inputs": ["aab", ["aab"]], "outputs": [3, [3]]})
    row = {"question": "q", "solutions": "[]", "starter_code": "", "difficulty": "EASY", "input_output": tests}
    (problem,) = load("taco", tmp_path, row)
    assert judged(sandbox, problem, "def count(text):\n    return len(text)\n") == "passed"
