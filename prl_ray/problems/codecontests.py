"""``codecontests``: CodeContests (Li et al. 2022, arXiv 2203.07814), programs with input and output in three languages.

Public, private and generated tests together decide, compared by the data set's own rule: words without regard to case,
numbers within 0.00001. Problems that read or write named files, and problems without tests, are left out.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.published import MAX_REFERENCES, STDIO_INSTRUCTION, python_references, records, seconds
from prl_ray.problems.records import clean_source
from sandbox_workers import Case, TestSuite

HUB_NAME = "deepmind/code_contests"
_HUB_SPLITS: dict[Split, str] = {"train": "train", "validation": "valid", "test": "test"}
LANGUAGE_NUMBERS = {"python": 3, "cpp": 2, "java": 4}
"""Numbers of the data set's enumeration; 1 is Python 2."""
COMPARE = "tokens(1e-5, 0) ignoring case"


class Tests(TypedDict, total=False):
    """Inputs and outputs, of equal number."""

    input: list[str] | None
    output: list[str] | None


class Solutions(TypedDict, total=False):
    """Programs and the numbers of their languages."""

    language: list[int] | None
    solution: list[str] | None


class CodeContestsRecord(TypedDict):
    """One row of the data set."""

    name: str
    description: str
    public_tests: Tests | None
    private_tests: Tests | None
    generated_tests: Tests | None
    solutions: Solutions | None
    difficulty: NotRequired[int | None]
    time_limit: NotRequired[dict[str, int] | None]
    input_file: NotRequired[str | None]
    output_file: NotRequired[str | None]


def load(
    path: str = "",
    split: Split = "train",
    limit: int | None = None,
    seed: int = 0,
    *,
    language: str = "python",
    most_tests: int = 0,
) -> list[Problem]:
    """The split's problems in the data set's order.

    Args:
        path: a Parquet or JSON lines file of the split; empty for the hub.
        split: ``validation`` is the data set's ``valid``.
        limit: maximum number of problems, from the first.
        seed: not used; the order is the data set's.
        language: of the references and of the tested programs: ``python``, ``cpp`` or ``java``.
        most_tests: maximum number of tests per problem, public ones first; 0 for all, often two hundred.

    Raises:
        DataError: no such file, no network, a language that the data set lacks, or a record without its fields.
    """
    if language not in LANGUAGE_NUMBERS:
        raise DataError(f"codecontests has references in {', '.join(LANGUAGE_NUMBERS)}, not in {language!r}")
    problems: list[Problem] = []
    for where, record in records(path, HUB_NAME, CodeContestsRecord, split=_HUB_SPLITS[split]):
        if limit is not None and len(problems) >= limit:
            break
        if (problem := _problem(where, record, split, language, most_tests)) is not None:
            problems.append(problem)
    return problems


def _problem(where: str, record: CodeContestsRecord, split: Split, language: str, most_tests: int) -> Problem | None:
    suites = (record["public_tests"], record["private_tests"], record["generated_tests"])
    cases = [case for tests in suites if tests for case in _cases(where, tests)]
    if not cases or record.get("input_file") or record.get("output_file"):
        return None
    kept = cases[:most_tests] if most_tests else cases
    return Problem(
        task_id=f"codecontests/{record['name']}",
        prompt=f"{record['description'].strip()}\n\n{STDIO_INSTRUCTION}",
        entry_point="",
        tests=TestSuite(
            kind="stdio", cases=tuple(kept), compare=COMPARE, time_limit_s=seconds(record.get("time_limit"))
        ),
        references=_references(record["solutions"] or {}, language),
        split=split,
        difficulty=int(record.get("difficulty") or 0),
        language=language,
    )


def _cases(where: str, tests: Tests) -> list[Case]:
    inputs, outputs = tests.get("input") or [], tests.get("output") or []
    if len(inputs) != len(outputs):
        raise DataError(f"{where}: {len(inputs)} inputs and {len(outputs)} outputs")
    return [Case(given, output) for given, output in zip(inputs, outputs, strict=True)]


def _references(solutions: Solutions, language: str) -> tuple[str, ...]:
    number = LANGUAGE_NUMBERS[language]
    pairs = zip(solutions.get("language") or [], solutions.get("solution") or [], strict=True)
    sources = [source for found, source in pairs if found == number]
    if language == "python":
        return python_references(sources)
    return tuple(sorted(map(clean_source, sources), key=lambda text: (len(text), text))[:MAX_REFERENCES])
