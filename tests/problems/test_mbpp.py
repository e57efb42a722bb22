"""MBPP from its file: splits, prompts, names. The full file is not part of the project."""

import json
import os
from pathlib import Path

import pytest

from prl_ray.errors import DataError
from prl_ray.problems import load_problems

FILE = Path(os.environ.get("PRL_RAY_MBPP", Path(__file__).parents[3] / "shared" / "data" / "mbpp.jsonl"))
needs_file = pytest.mark.skipif(not FILE.exists(), reason=f"no MBPP file: set PRL_RAY_MBPP (looked at {FILE})")

RECORD = {
    "task_id": 700,
    "text": "Write a function to double a number. ",
    "code": "def helper(x):\r\n\treturn x\r\ndef twice(x):\r\n\treturn helper(x) * 2\r\n",
    "test_list": ["assert set([twice(1)]) == set([2])", "assert twice(2) == 4", "assert twice(3) == 6"],
    "test_setup_code": "import math\r\n",
    "challenge_test_list": [],
}


def write(path: Path, *records: object) -> str:
    path.write_text("\n".join(json.dumps(r) for r in records))
    return str(path)


def test_one_record(tmp_path: Path) -> None:
    (problem,) = load_problems("mbpp", path=write(tmp_path / "m.jsonl", RECORD), shown_tests=2)
    assert problem.task_id == "mbpp/700"
    assert problem.prompt == (
        "Write a function to double a number.\nYour code has to satisfy:\n"
        "assert set([twice(1)]) == set([2])\nassert twice(2) == 4"
    )
    assert problem.entry_point == problem.tests.entry_point == "twice"
    assert problem.references == ("def helper(x):\n\treturn x\ndef twice(x):\n\treturn helper(x) * 2",)
    assert (problem.tests.kind, problem.tests.setup, problem.tests.total) == ("assert", "import math", 3)
    assert (problem.split, problem.difficulty, problem.code_prefix) == ("train", 0, "")


def test_splits_go_by_task_number(tmp_path: Path) -> None:
    numbers = [974, 601, 600, 511, 510, 11, 10, 1]
    path = write(tmp_path / "m.jsonl", *({**RECORD, "task_id": n} for n in numbers))
    found = {s: [p.task_id for p in load_problems("mbpp", path=path, split=s)] for s in ("train", "validation", "test")}
    assert found == {
        "train": ["mbpp/601", "mbpp/974"],
        "validation": ["mbpp/511", "mbpp/600"],
        "test": ["mbpp/11", "mbpp/510"],
    }
    assert len(load_problems("mbpp", path=path, limit=1)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"code": "def other(x): pass"}, "m.jsonl:1: no test calls"),
        ({"code": "def twice(x)"}, "m.jsonl:1: .*not Python"),
        ({"text": None, "Text": "x"}, "m.jsonl:1: .*lacks 'text'; did you mean 'Text'"),
    ],
)
def test_bad_records(tmp_path: Path, change: dict[str, str | None], message: str) -> None:
    record = {key: value for key, value in {**RECORD, **change}.items() if value is not None}
    with pytest.raises(DataError, match=message):
        load_problems("mbpp", path=write(tmp_path / "m.jsonl", record))


def test_missing_file_and_useless_prompt() -> None:
    with pytest.raises(DataError, match="cannot read /no/such"):
        load_problems("mbpp", path="/no/such.jsonl")
    with pytest.raises(DataError, match="shown_tests=0"):
        load_problems("mbpp", path="/no/such.jsonl", shown_tests=0)


def test_without_path_and_network_the_error_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def unreachable(*args: object) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(datasets, "load_dataset", unreachable)
    with pytest.raises(DataError, match=r"no route.*path of a local mbpp\.jsonl"):
        load_problems("mbpp")


def test_from_the_hub_all_parts_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    parts = {"train": [RECORD], "prompt": [{**RECORD, "task_id": 602}], "test": [{**RECORD, "task_id": 12}]}
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config: parts)
    assert [p.task_id for p in load_problems("mbpp")] == ["mbpp/602", "mbpp/700"]


@needs_file
def test_the_real_file() -> None:
    counts = {"train": 374, "validation": 90, "test": 500}
    for split, count in counts.items():
        problems = load_problems("mbpp", path=str(FILE), split=split)  # type: ignore[arg-type]
        assert len(problems) == len({p.task_id for p in problems}) == count
        for problem in problems:
            (reference,) = problem.references
            assert "\r" not in reference + problem.prompt + "".join(problem.tests.tests)
            assert f"{problem.entry_point}(" in problem.prompt
            assert f"{problem.entry_point}" in reference
            assert problem.tests.total >= 3
            compile(reference, problem.task_id, "exec")
