"""``apps`` and ``taco``: APPS (Hendrycks et al. 2021, arXiv 2105.09938) and TACO (Li et al. 2023, arXiv 2312.14852).

They share one format: ``input_output`` is JSON with ``inputs``, ``outputs`` and, for problems that ask for a function,
``fn_name``. Numbers are compared as by the data sets' graders (``numpy.allclose``); lines that are joined, split or
reordered are wrong, although those graders accept them. Problems without tests are left out.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.published import (
    STDIO_INSTRUCTION,
    joined,
    parsed,
    python_references,
    records,
    seconds,
    with_number_keys,
)
from sandbox_workers import Case, TestSuite


class AppsRecord(TypedDict):
    """One record of either data set; JSON as text, or decoded."""

    question: str
    solutions: str | list[str] | None
    starter_code: str | None
    input_output: str | dict[str, object] | None
    difficulty: str | int | None
    problem_id: NotRequired[object]
    time_limit: NotRequired[str | None]


_DIFFICULTIES = {
    **{"introductory": 1, "interview": 2, "competition": 3},
    **{"EASY": 1, "MEDIUM": 2, "MEDIUM_HARD": 3, "HARD": 4, "VERY_HARD": 5},
}
COMPARE = "floats(1e-8, 1e-5)"
"""The tolerance of ``numpy.allclose``, which both graders use."""


def _load(
    name: str,
    hub: str,
    files: str,
    builder: str,
    path: str = "",
    split: Split = "train",
    limit: int | None = None,
    seed: int = 0,
) -> list[Problem]:
    if split == "validation":
        raise DataError(f"{name} has no split 'validation', only train and test")
    problems: list[Problem] = []
    found = records(path, hub, AppsRecord, files=files.format(split=split), builder=builder, split=split)
    for number, (where, record) in enumerate(found):
        if limit is not None and len(problems) >= limit:
            break
        task_id = f"{name}/{record.get('problem_id', number)}"
        if (problem := _problem(where, record, task_id, split)) is not None:
            problems.append(problem)
    return problems


def load_apps(path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """APPS in the data set's order, from a JSON lines or Parquet file at ``path`` or the hub.

    Raises:
        DataError: no such file or split, no network, or a record without the data set's fields.
    """
    return _load("apps", "codeparrot/apps", "{split}.jsonl", "json", path, split, limit, seed)


def load_taco(path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """TACO in the data set's order, from a JSON lines or Parquet file at ``path`` or the hub.

    Raises:
        DataError: no such file or split, no network, or a record without the data set's fields.
    """
    return _load("taco", "BAAI/TACO", "{split}/*.arrow", "arrow", path, split, limit, seed)


def _problem(where: str, record: AppsRecord, task_id: str, split: Split) -> Problem | None:
    """One problem; None if it has no tests."""
    tests = parsed(record["input_output"] or "{}", where, "input_output")
    solutions = parsed(record["solutions"] or "[]", where, "solutions")
    if not isinstance(tests, dict) or not isinstance(solutions, list):
        raise DataError(f"{where}: 'input_output' must be an object and 'solutions' a list")
    inputs, outputs = tests.get("inputs") or [], tests.get("outputs") or []
    if len(inputs) != len(outputs):
        raise DataError(f"{where}: {len(inputs)} inputs and {len(outputs)} outputs")
    if not inputs:
        return None
    starter = record["starter_code"] or ""
    function = tests.get("fn_name")
    time_limit = seconds(record.get("time_limit"))
    if function:
        in_class = "class Solution" in (starter or next(iter(solutions), ""))
        suite = _calls(inputs, outputs, f"Solution.{function}" if in_class else function, time_limit)
        task = f"Complete this code:\n{starter.strip()}" if starter.strip() else f"Write a function {function}."
    else:
        pairs = tuple(Case(joined(given), joined(output)) for given, output in zip(inputs, outputs, strict=True))
        suite = TestSuite(kind="stdio", cases=pairs, compare=COMPARE, prelude="leetcode", time_limit_s=time_limit)
        task = STDIO_INSTRUCTION
    return Problem(
        task_id=task_id,
        prompt=f"{record['question'].strip()}\n\n{task}",
        entry_point=suite.entry_point,
        tests=suite,
        references=python_references(solutions),
        split=split,
        difficulty=_DIFFICULTIES.get(str(record["difficulty"]), 0),
    )


def _calls(inputs: list[object], outputs: list[object], entry_point: str, time_limit_s: float) -> TestSuite:
    """Calls with lists of arguments, an only one without a list; the expected value is usually wrapped in a list."""
    pairs = []
    for arguments, output in zip(inputs, outputs, strict=True):
        given = arguments if isinstance(arguments, list) else [arguments]
        expected = output[0] if isinstance(output, list) and len(output) == 1 else output
        pairs.append(Case(tuple(map(with_number_keys, given)), with_number_keys(expected)))
    return TestSuite(
        kind="call",
        entry_point=entry_point,
        cases=tuple(pairs),
        compare=COMPARE,
        prelude="leetcode",
        time_limit_s=time_limit_s,
    )
