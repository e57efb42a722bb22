"""``problems.jsonl`` of a run folder: the problems of the PPO stage, for readers of the stored samples."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem
from prl_ray.tracking.metrics_file import replace_text
from sandbox_workers import TestSuite

NAME = "problems.jsonl"


@dataclass(frozen=True, slots=True)
class TestText:
    """One test as text."""

    __test__ = False  # pytest collects classes by this name

    given: str
    """The call, the standard input, or the whole test if it has no such parts."""
    expected: str
    """The expected value or output; empty if the test is not a simple comparison."""


@dataclass(frozen=True, slots=True)
class ProblemText:
    """One problem. The tests are in the suite's order, as ``Verdict.tests`` counts them."""

    task_id: str
    prompt: str
    code_prefix: str
    entry_point: str
    setup: str
    references: tuple[str, ...]
    difficulty: int
    tests: tuple[TestText, ...]


def write_problems(folder: Path, problems: Sequence[Problem]) -> Path:
    """Writes ``folder/problems.jsonl``."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    replace_text(path, "".join(json.dumps(asdict(_text(problem))) + "\n" for problem in problems))
    return path


def read_problems(folder: Path) -> dict[str, ProblemText]:
    """The problems by task id; none if the file is missing. Raises ``DataError`` if it cannot be read."""
    path = folder / NAME
    if not path.is_file():
        return {}
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        return {row["task_id"]: _from_json(row) for row in rows}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not a file of problems ({error})") from error


def _from_json(row: dict[str, object]) -> ProblemText:
    tests = tuple(TestText(**test) for test in row["tests"])  # type: ignore[attr-defined]
    return ProblemText(**{**row, "tests": tests, "references": tuple(row["references"])})  # type: ignore[arg-type]


def _text(problem: Problem) -> ProblemText:
    return ProblemText(
        problem.task_id,
        problem.prompt,
        problem.code_prefix,
        problem.entry_point,
        problem.tests.setup,
        problem.references,
        problem.difficulty,
        tuple(_tests(problem.tests)),
    )


def _tests(suite: TestSuite) -> Iterator[TestText]:
    for case in suite.cases:
        if suite.kind == "call":
            arguments = ", ".join(map(repr, case.given))
            yield TestText(f"{suite.entry_point}({arguments})", repr(case.expected))
        else:
            yield TestText(str(case.given), str(case.expected))
    for test in suite.tests:
        yield _split(test.strip())


def _split(test: str) -> TestText:
    """Splits ``assert f(1) == 2`` into ``f(1)`` and ``2``; any other test stays whole."""
    try:
        body = ast.parse(test).body
    except SyntaxError:
        return TestText(test, "")
    match body:
        case [ast.Assert(test=ast.Compare(left=left, ops=[ast.Eq()], comparators=[right]))]:
            return TestText(ast.unparse(left), ast.unparse(right))
    return TestText(test, "")
