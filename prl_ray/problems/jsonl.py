"""``jsonl``: a user's own problems, one JSON object per line.

===============  ====================================================================================================
key              value
===============  ====================================================================================================
``task_id``      text, different in every record (required)
``prompt``       text that the model reads (required)
``tests``        list of assert statements
``check``        source that defines ``check(candidate)``; needs ``entry_point``
``stdio``        list of ``{"input": text, "output": text}`` for programs that read stdin and write stdout
``calls``        list of ``{"args": [...], "expected": value}``; needs ``entry_point``
``entry_point``  name of the function; detected automatically for ``tests``
``setup``        source run before ``tests``
``references``   list of programs that pass, whole (``code_prefix`` included); needed for labelling and sft
``code_prefix``  source that every program starts with
``split``        ``train`` (default), ``validation`` or ``test``
``difficulty``   whole number, 0 (default) if unknown
``language``     ``python`` (default), or one that ``stdio`` judges: ``cpp``, ``javascript``, … (lines.unit=physical)
===============  ====================================================================================================

Exactly one of ``tests``, ``check``, ``stdio`` and ``calls`` is required.
"""

from __future__ import annotations

from pathlib import Path
from typing import Required, TypedDict, TypeVar, cast, get_args

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.records import clean_source, newlines, read_jsonl, tested_function
from prl_ray.suggestions import did_you_mean
from sandbox_workers import Case, TestSuite
from sandbox_workers.languages import ALIASES, LANGUAGES, PYTHON


class JsonlRecord(TypedDict, total=False):
    """One record with checked keys and types; members of its lists are not checked."""

    task_id: Required[str]
    prompt: Required[str]
    tests: list[object]
    check: str
    stdio: list[object]
    calls: list[object]
    entry_point: str
    setup: str
    references: list[object]
    code_prefix: str
    split: Split
    difficulty: int
    language: str


_TYPES: dict[str, type] = {
    **dict.fromkeys(("tests", "stdio", "calls", "references"), list),
    **dict.fromkeys(("task_id", "prompt", "check", "entry_point", "setup", "code_prefix", "split", "language"), str),
    "difficulty": int,
}
_REQUIRED = ("task_id", "prompt")
_SUITES = ("tests", "check", "stdio", "calls")
_MEMBERS: dict[str, tuple[str, ...]] = {"stdio": ("input", "output"), "calls": ("args", "expected")}
_LANGUAGES = (PYTHON, *LANGUAGES)


A = TypeVar("A")
B = TypeVar("B")


def load(path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """The split's problems in the order of the file at ``path`` (required; ``.gz`` too), at most ``limit``.

    The whole file is checked, whatever the split. ``seed`` is not used.

    Raises:
        DataError: no such file, a bad record (with file, line number and what is wrong), or no problem of this split.
    """
    if not path:
        raise DataError(
            "jsonl reads a file of your own: give its path (the format is described in prl_ray.problems.jsonl)"
        )
    problems: dict[str, Problem] = {}
    for number, record in read_jsonl(Path(path)):
        try:
            problem = parse_record(record)
        except DataError as error:
            raise DataError(f"{path}:{number}: {error}") from error
        if problem.task_id in problems:
            raise DataError(f"{path}:{number}: task_id {problem.task_id!r} was used before; ids must differ")
        problems[problem.task_id] = problem
    mine = [problem for problem in problems.values() if problem.split == split]
    if not mine:
        found = sorted({problem.split for problem in problems.values()})
        raise DataError(
            f"{path} has no problem of split {split!r} ({', '.join(found) or 'no records at all'} found); "
            f'mark records with "split": "{split}"'
        )
    return mine[:limit]


def parse_record(given: dict[str, object]) -> Problem:
    """One record as a problem.

    Raises:
        DataError: the error in the record, without its file and line.
    """
    record = _checked(given)
    references = tuple(clean_source(source) for source in _texts(record.get("references", []), "references"))
    code_prefix = newlines(record.get("code_prefix", ""))
    if any(not reference.startswith(code_prefix) for reference in references):
        raise DataError("'references' are whole programs: each must start with 'code_prefix'")
    language = ALIASES.get(record.get("language", PYTHON), record.get("language", PYTHON))
    for key, value, known in (
        ("split", record.get("split", "train"), get_args(Split)),
        ("language", language, _LANGUAGES),
    ):
        if value not in known:
            raise DataError(f"{key!r} is {value!r}; known: {', '.join(known)}{did_you_mean(value, known)}")
    if language != PYTHON and not record.get("stdio"):
        raise DataError(f"programs in {language} are judged by standard input and output: give 'stdio'")
    suite = _suite(record, references)
    return Problem(
        task_id=record["task_id"],
        prompt=newlines(record["prompt"]),
        entry_point=suite.entry_point,
        tests=suite,
        references=references,
        split=record.get("split", "train"),
        difficulty=record.get("difficulty", 0),
        code_prefix=code_prefix,
        language=language,
    )


def _checked(record: dict[str, object]) -> JsonlRecord:
    for key, value in record.items():
        if key not in _TYPES:
            raise DataError(f"unknown key {key!r}{did_you_mean(key, _TYPES)}; known: {', '.join(_TYPES)}")
        if not isinstance(value, _TYPES[key]) or isinstance(value, bool):
            raise DataError(f"{key!r} must be {_TYPES[key].__name__}, not {type(value).__name__}")
    for key in _REQUIRED:
        if not record.get(key):
            raise DataError(f"{key!r} is required and must not be empty")
    given = [key for key in _SUITES if record.get(key)]
    if len(given) != 1:
        raise DataError(f"exactly one of {', '.join(_SUITES)} is required, given: {', '.join(given) or 'none'}")
    return cast("JsonlRecord", record)


def _suite(record: JsonlRecord, references: tuple[str, ...]) -> TestSuite:
    setup, entry_point = newlines(record.get("setup", "")), record.get("entry_point", "")
    if (record.get("check") or record.get("calls")) and not entry_point.isidentifier():
        raise DataError("'check' and 'calls' need 'entry_point', the name of the function")
    if check := record.get("check"):
        return TestSuite(kind="check", setup=setup, tests=(clean_source(check),), entry_point=entry_point)
    if calls := _members(record.get("calls", []), "calls", (list, object)):
        cases = tuple(Case(tuple(args), expected) for args, expected in calls)
        return TestSuite(kind="call", setup=setup, entry_point=entry_point, cases=cases)
    if stdio := _members(record.get("stdio", []), "stdio", (str, str)):
        return TestSuite(kind="stdio", setup=setup, cases=tuple(Case(*map(newlines, pair)) for pair in stdio))
    tests = tuple(clean_source(test) for test in _texts(record.get("tests", []), "tests"))
    try:
        entry_point = entry_point or tested_function(tests, references)
    except SyntaxError as error:
        raise DataError(f"a test or reference is not Python: {error}") from error
    return TestSuite(kind="assert", setup=setup, tests=tests, entry_point=entry_point)


def _texts(texts: list[object], key: str) -> list[str]:
    kept = [text for text in texts if isinstance(text, str) and text.strip()]
    if len(kept) < len(texts):
        raise DataError(f"{key!r} must be a list of non-empty texts")
    return kept


def _members(members: list[object], key: str, types: tuple[type[A], type[B]]) -> list[tuple[A, B]]:
    pairs: list[tuple[A, B]] = []
    for n, member in enumerate(members):
        if not isinstance(member, dict) or set(member) != set(_MEMBERS[key]):
            raise DataError(f"{key}[{n}] must be an object with the keys {' and '.join(_MEMBERS[key])}")
        pair = tuple(member[name] for name in _MEMBERS[key])
        for name, value, kind in zip(_MEMBERS[key], pair, types, strict=True):
            if not isinstance(value, kind):
                raise DataError(f"{key}[{n}].{name} must be {kind.__name__}, not {type(value).__name__}")
        pairs.append((pair[0], pair[1]))
    return pairs
