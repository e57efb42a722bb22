"""Common functions of the file loaders: reading JSON lines, finding function names, normalising source text."""

from __future__ import annotations

import ast
import builtins
import gzip
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from types import UnionType
from typing import NamedTuple, NotRequired, TypeVar, Union, cast, get_args, get_origin, get_type_hints, is_typeddict

from prl_ray.errors import DataError
from prl_ray.suggestions import did_you_mean

_BUILTINS = frozenset(dir(builtins))
R = TypeVar("R")
"""A ``TypedDict``."""
_LONE = re.compile("[\ud800-\udfff]")


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, object]]]:
    """(1-based line number, object) for each non-blank line; ``.gz`` is decompressed.

    Raises:
        DataError: the file cannot be read, or a line is not a JSON object.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as file:  # some editors write a byte order mark
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _object(line, f"{path}:{number}")
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:  # EOFError, zlib.error: a damaged .gz
        raise DataError(f"cannot read {path} ({error}); give the path of a JSON lines file") from error


def _object(line: str, where: str) -> dict[str, object]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of thousands of digits
        raise DataError(f"{where}: not JSON ({error}); the format is one object per line") from error
    if (lone := _lone_surrogate(line, record)) is not None:
        raise DataError(
            f"{where}: {lone!r} is half of a character (a lone surrogate); no tokenizer and no program can read it"
        )
    if not isinstance(record, dict):
        raise DataError(
            f"{where}: a JSON {type(record).__name__} instead of an object; the format is one object per line"
        )
    return record


def _lone_surrogate(line: str, record: object) -> str | None:
    """The first lone surrogate in the texts of a record; only an escape (``\\ud83d``) can put one into JSON."""
    if "\\ud" not in line.lower():
        return None
    found = _LONE.search(json.dumps(record, ensure_ascii=False))
    return found.group() if found else None


def typed_record(record: dict[str, object], kind: type[R], where: str, what: str) -> R:
    """The record, checked against the ``TypedDict`` ``kind`` of its data set; other fields are kept.

    Raises:
        DataError: a required field is missing, or a value has the wrong type. Members of lists are not checked.
    """
    schema: type = kind
    fields = _fields(schema)
    for name, field in fields.items():
        if name not in record and field.required:
            raise DataError(
                f"{where}: not a record of {what}, it lacks {name!r}{did_you_mean(name, record)}; "
                f"the original file has {', '.join(name for name, field in fields.items() if field.required)}"
            )
        if name in record and not isinstance(record[name], field.classes):
            raise DataError(
                f"{where}: not a record of {what}, {name!r} is {type(record[name]).__name__} instead of "
                f"{' or '.join(allowed.__name__ for allowed in field.classes)}"
            )
    return cast("R", record)


class _Field(NamedTuple):
    required: bool
    classes: tuple[type, ...]


@lru_cache(maxsize=64)
def _fields(kind: type) -> dict[str, _Field]:
    """The fields of a ``TypedDict``; ``__required_keys__`` does not know ``NotRequired`` in postponed annotations."""
    found = {}
    for name, hint in get_type_hints(kind, include_extras=True).items():
        required = get_origin(hint) is not NotRequired
        value = hint if required else get_args(hint)[0]
        parts = get_args(value) if get_origin(value) in (Union, UnionType) else (value,)
        classes = tuple(dict if is_typeddict(part) else get_origin(part) or part for part in parts)
        found[name] = _Field(required, classes)
    return found


def newlines(text: str) -> str:
    """The text with universal newlines: ``\\r\\n`` and ``\\r`` become ``\\n``."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def clean_source(source: str) -> str:
    """Source text in the form of all references: ``\\n`` line ends, no trailing blanks."""
    return newlines(source).rstrip()


def tested_function(tests: Iterable[str], references: Iterable[str]) -> str:
    """Name of the function that assert statements call; empty if there is none.

    With references it is the first called name that they define at the top level, else the first called name that is
    not a builtin.

    Raises:
        SyntaxError: a test or reference is not Python, or nested too deeply for its parser.
    """
    try:
        return _tested_function(tests, references)
    except (ValueError, RecursionError, MemoryError) as error:  # NUL characters; deep nesting
        raise SyntaxError(str(error) or "nested too deeply") from error


def _tested_function(tests: Iterable[str], references: Iterable[str]) -> str:
    defined = {
        node.name
        for reference in references
        for node in ast.parse(reference).body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    called = [
        node.func.id
        for test in tests
        for node in ast.walk(ast.parse(test))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    fits = [name for name in called if (name in defined if defined else name not in _BUILTINS)]
    return fits[0] if fits else ""


def required_function(tests: Iterable[str], reference: str, where: str) -> str:
    """Name of the function that assert statements call and the reference defines.

    Raises:
        DataError: a test or the reference is not Python, or there is no such function.
    """
    try:
        name = tested_function(tests, [reference])
    except SyntaxError as error:
        raise DataError(f"{where}: code or test_list is not Python: {error}") from error
    if not name:
        raise DataError(f"{where}: no test calls a function that the code defines")
    return name
