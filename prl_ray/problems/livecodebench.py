"""``livecodebench``: LiveCodeBench's code generation (Jain et al. 2024, arXiv 2403.07974). For evaluation only.

Problems of AtCoder and Codeforces are programs with input and output, compared line by line as decimal numbers; those
of LeetCode are methods of a class ``Solution``, called with JSON values. Public and private tests together decide.
"""

from __future__ import annotations

import base64
import binascii
import io
import json
import pickle
import zlib
from typing import NoReturn, NotRequired, TypedDict

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.published import STDIO_INSTRUCTION, parsed, records
from prl_ray.problems.records import typed_record
from sandbox_workers import Case, TestSuite

HUB_NAME, HUB_FILES = "livecodebench/code_generation_lite", "test*.jsonl"
TIME_LIMIT_S = 6.0
"""The limit of the benchmark's own runner for a test."""
_DIFFICULTIES = {"easy": 1, "medium": 2, "hard": 3}
STDIO_COMPARE = "floats(0, 0)"
"""The benchmark's own rule: stripped lines, words equal or equal as decimal numbers."""


class LiveCodeBenchRecord(TypedDict):
    """One record of the data set; JSON as text, or decoded."""

    question_id: str | int
    question_content: str
    starter_code: str | None
    public_test_cases: str | list[object]
    private_test_cases: str | None
    metadata: str | dict[str, object] | None
    difficulty: NotRequired[str | None]
    contest_date: NotRequired[object]


class TestCase(TypedDict):
    """One test: texts of a program's input and output, or of a method's JSON arguments, one per line, and result."""

    input: str
    output: str


def load(
    path: str = "",
    split: Split = "test",
    limit: int | None = None,
    seed: int = 0,
    *,
    after: str = "",
    before: str = "",
) -> list[Problem]:
    """Problems of contests from the day ``after`` to the day ``before``, in the data set's order.

    Args:
        path: a file of the data set (``test6.jsonl``); empty for the hub.
        split: only ``test``.
        limit: maximum number of problems, from the first.
        seed: not used; the order is the data set's.
        after: the first day, such as ``2024-08-01``; a model may know problems that were published before its training.
        before: the last day, in the same format.

    Raises:
        DataError: another split, no such file, no network, or a record that is not of this data set.
    """
    if split != "test":
        raise DataError(f"livecodebench is for evaluation only and has no split {split!r}; ask for split 'test'")
    problems: list[Problem] = []
    for where, record in records(path, HUB_NAME, LiveCodeBenchRecord, files=HUB_FILES, builder="json"):
        day = str(record.get("contest_date", ""))[:10]
        if limit is not None and len(problems) >= limit:
            break
        if (not after or day >= after) and (not before or day <= before):
            problems.append(_problem(where, record))
    return problems


def _problem(where: str, record: LiveCodeBenchRecord) -> Problem:
    public = parsed(record["public_test_cases"], where, "public_test_cases")
    cases = [*_cases(where, "public_test_cases", public), *_cases(where, "private_test_cases", _private(where, record))]
    metadata = parsed(record["metadata"] or "{}", where, "metadata")
    function = metadata.get("func_name") if isinstance(metadata, dict) else None
    starter = record["starter_code"] or ""
    suite = _calls(where, cases, f"Solution.{function}") if function else _stdio(cases)
    task = f"Complete this class:\n{starter.strip()}" if function else STDIO_INSTRUCTION
    return Problem(
        task_id=f"livecodebench/{record['question_id']}",
        prompt=f"{record['question_content'].strip()}\n\n{task}",
        entry_point=suite.entry_point,
        tests=suite,
        references=(),
        split="test",
        difficulty=_DIFFICULTIES.get(str(record.get("difficulty", "")), 0),
    )


def _stdio(cases: list[TestCase]) -> TestSuite:
    pairs = tuple(Case(case["input"], case["output"]) for case in cases)
    return TestSuite(kind="stdio", cases=pairs, compare=STDIO_COMPARE, prelude="leetcode", time_limit_s=TIME_LIMIT_S)


def _calls(where: str, cases: list[TestCase], entry_point: str) -> TestSuite:
    pairs = []
    for case in cases:
        given = tuple(parsed(line, where, "input") for line in case["input"].split("\n"))
        pairs.append(Case(given, parsed(case["output"], where, "output")))
    return TestSuite(
        kind="call", entry_point=entry_point, cases=tuple(pairs), prelude="leetcode", time_limit_s=TIME_LIMIT_S
    )


def _cases(where: str, field: str, found: object) -> list[TestCase]:
    if not isinstance(found, list) or not all(isinstance(case, dict) for case in found):
        raise DataError(f"{where}: {field!r} is not a list of tests")
    return [typed_record(case, TestCase, f"{where}, {field}", "a test") for case in found]


def _private(where: str, record: LiveCodeBenchRecord) -> object:
    """The private tests: JSON, or JSON text that was pickled, compressed and encoded in base64."""
    text = record["private_test_cases"] or "[]"
    try:
        return json.loads(text)
    except ValueError:
        try:
            return json.loads(_TextUnpickler(io.BytesIO(zlib.decompress(base64.b64decode(text)))).load())
        except (binascii.Error, zlib.error, pickle.UnpicklingError, ValueError, TypeError, EOFError) as error:
            raise DataError(f"{where}: cannot read 'private_test_cases': {error}") from error


class _TextUnpickler(pickle.Unpickler):
    """Unpickles text only: other pickles can call arbitrary functions."""

    def find_class(self, module: str, name: str) -> NoReturn:
        """Refuse every class and function."""
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, where only text is allowed")
