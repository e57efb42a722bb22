"""A user's own file: every kind of test, and errors that name the place and the right key."""

import json
from pathlib import Path
from typing import Any

import pytest

from prl_ray.errors import DataError
from prl_ray.problems import load_problems
from prl_ray.problems.jsonl import parse_record

BASE = {"task_id": "a", "prompt": "Double it."}
ASSERTS = {**BASE, "tests": ["assert twice(2) == 4"]}


def test_asserts() -> None:
    problem = parse_record(
        {
            **ASSERTS,
            "setup": "import math",
            "references": ["def twice(x):\r\n    return 2 * x\r\n"],
            "code_prefix": "def twice(x):\r\n",
            "split": "validation",
            "difficulty": 3,
        }
    )
    assert problem.references == ("def twice(x):\n    return 2 * x",)
    assert problem.code_prefix == "def twice(x):\n"
    assert (problem.entry_point, problem.split, problem.difficulty) == ("twice", "validation", 3)
    assert (problem.tests.kind, problem.tests.setup, problem.tests.tests) == (
        "assert",
        "import math",
        ("assert twice(2) == 4",),
    )


def test_the_other_kinds_of_tests() -> None:
    check = parse_record({**BASE, "check": "def check(candidate): assert candidate(1) == 2", "entry_point": "twice"})
    assert (check.tests.kind, check.tests.total, check.entry_point) == ("check", 1, "twice")
    stdio = parse_record({**BASE, "stdio": [{"input": "1\n", "output": "2\n"}]})
    assert (stdio.tests.kind, stdio.tests.cases, stdio.entry_point) == ("stdio", (("1\n", "2\n"),), "")
    calls = parse_record({**BASE, "calls": [{"args": [[1, 2], 3], "expected": None}], "entry_point": "f"})
    assert (calls.tests.kind, calls.tests.cases) == ("call", ((([1, 2], 3), None),))


def test_the_function_is_found_behind_builtins() -> None:
    assert parse_record({**BASE, "tests": ["assert sorted(set(g(1))) == [1]"]}).entry_point == "g"
    assert parse_record({**BASE, "tests": ["assert h.x == 1"]}).entry_point == ""


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({**ASSERTS, "promt": "x"}, "unknown key 'promt'; did you mean 'prompt'"),
        ({**ASSERTS, "reference": ["x"]}, "unknown key 'reference'; did you mean 'references'"),
        ({"task_id": "a", "tests": ["assert f()"]}, "'prompt' is required"),
        ({**ASSERTS, "task_id": 7}, "'task_id' must be str, not int"),
        ({**ASSERTS, "difficulty": True}, "'difficulty' must be int, not bool"),
        ({**ASSERTS, "tests": "assert f()"}, "'tests' must be list, not str"),
        ({**ASSERTS, "tests": [""]}, "'tests' must be a list of non-empty texts"),
        ({**ASSERTS, "tests": ["assert f("]}, "not Python"),
        (BASE, "exactly one of tests, check, stdio, calls is required, given: none"),
        ({**ASSERTS, "tests": []}, "given: none"),
        ({**ASSERTS, "check": "def check(c): ..."}, "given: tests, check"),
        ({**BASE, "check": "def check(c): ..."}, "need 'entry_point'"),
        ({**BASE, "calls": [{"args": [1], "expected": 2}]}, "need 'entry_point'"),
        ({**BASE, "stdio": [{"input": "1", "output": "2"}, {"in": "1"}]}, r"stdio\[1\] .* input and output"),
        ({**BASE, "stdio": [{"input": "1", "output": 2}]}, r"stdio\[0\].output must be str, not int"),
        ({**BASE, "entry_point": "f", "calls": [{"args": 1, "expected": 2}]}, r"calls\[0\].args must be list"),
        ({**ASSERTS, "split": "valid"}, "'split' is 'valid'.*; did you mean 'validation'"),
        ({**ASSERTS, "language": "cobol"}, "'language' is 'cobol'; known: python"),
        ({**ASSERTS, "references": ["x = 1"], "code_prefix": "def"}, "start with 'code_prefix'"),
    ],
)
def test_bad_records(record: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_record(record)


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = [json.dumps(ASSERTS), "", json.dumps({**ASSERTS, "task_id": "b"}), json.dumps({**ASSERTS, "task_id": "c"})]
    path.write_text("\n".join(lines))
    assert [p.task_id for p in load_problems("jsonl", path=str(path))] == ["a", "b", "c"]
    assert [p.task_id for p in load_problems("jsonl", path=str(path), limit=2)] == ["a", "b"]
    with pytest.raises(DataError, match=r"no problem of split 'test' \(train found\)"):
        load_problems("jsonl", path=str(path), split="test")

    def rewrite(bad: str) -> str:
        path.write_text("\n".join([*lines, bad]))
        return str(path)

    for bad, message in (
        ("{", r"mine.jsonl:5: not JSON"),
        ("[1]", r"mine.jsonl:5: a JSON list"),
        (json.dumps({**ASSERTS, "task_id": "b"}), r"mine.jsonl:5: task_id 'b' was used before"),
        (json.dumps({"task_id": "z", "tests": ["assert f()"]}), r"mine.jsonl:5: 'prompt' is required"),
    ):
        with pytest.raises(DataError, match=message):
            load_problems("jsonl", path=rewrite(bad))
    with pytest.raises(DataError, match="give its path"):
        load_problems("jsonl")
    with pytest.raises(DataError, match="cannot read"):
        load_problems("jsonl", path=str(tmp_path / "none.jsonl"))
    with pytest.raises(DataError, match="cannot read"):
        load_problems("jsonl", path=str(tmp_path))
