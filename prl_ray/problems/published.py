"""Common functions of the loaders of published data sets: reading files or the hub, and parsing their tests."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from prl_ray.errors import DataError
from prl_ray.problems.records import clean_source, read_jsonl, typed_record
from sandbox_workers.suite import MOST_SECONDS

R = TypeVar("R")
"""The ``TypedDict`` of a data set's records."""
Record = dict[str, object]
_NUMBER = re.compile(r"\d+(\.\d+)?(?=\s*s)", re.A)
STDIO_INSTRUCTION = "Write a program that reads standard input and writes the answer to standard output."
MAX_REFERENCES = 4
"""Maximum number of references per problem: the shortest ones, which are the easiest to learn from."""


def records(
    path: str, hub: str, kind: type[R], *, files: str = "", builder: str = "", split: str = "test"
) -> Iterator[tuple[str, R]]:
    """(where, record) for each problem of the file at ``path``, or of the hub's data set ``hub`` if ``path`` is empty.
    ``kind`` declares the used fields and their types.

    A path ends in ``.jsonl``, ``.jsonl.gz``, ``.json`` (a list) or ``.parquet``. ``files`` and ``builder`` are for hub
    data sets with a loading script instead of a plain table.

    Raises:
        DataError: no such file, no network, or a record whose fields are missing or have other types.
    """
    found = _file_records(Path(path)) if path else _hub_records(hub, files, builder, split)
    for where, record in found:
        yield where, typed_record(record, kind, where, hub)


def _file_records(path: Path) -> Iterator[tuple[str, Record]]:
    if path.suffix == ".parquet":
        yield from _table(f"{path}", "parquet", str(path), "train")
    elif path.suffix == ".json":
        yield from ((f"{path}[{number}]", record) for number, record in enumerate(_list(path)))
    else:
        yield from ((f"{path}:{number}", record) for number, record in read_jsonl(path))


def _list(path: Path) -> list[Record]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path} ({error}); give the path of a JSON lines or Parquet file") from error
    if not isinstance(found, list) or not all(isinstance(record, dict) for record in found):
        raise DataError(f"{path}: a JSON file of problems is a list of objects")
    return found


def _hub_records(hub: str, files: str, builder: str, split: str) -> Iterator[tuple[str, Record]]:
    return _table(hub, builder or hub, f"hf://datasets/{hub}/{files}" if files else "", split)


def _table(where: str, name: str, files: str, split: str) -> Iterator[tuple[str, Record]]:
    try:
        from datasets import load_dataset

        where_from = {"data_files": {split: files}} if files else {}
        rows = load_dataset(name, split=split, **where_from)
    except Exception as error:  # any error of the layers below `datasets` has the same remedy
        raise DataError(
            f"cannot get {where} ({type(error).__name__}: {error}); "
            "connect, fill the cache of `datasets` beforehand, or give the path of a local file"
        ) from error
    for number, row in enumerate(rows):
        yield f"{where} row {number}", dict(row)


def parsed(text: object, where: str, name: str) -> object:
    """The value of a field that is JSON text or already decoded.

    Raises:
        DataError: it is text but not JSON.
    """
    if not isinstance(text, str):
        return text
    try:
        found: object = json.loads(text)
    except ValueError as error:
        raise DataError(f"{where}: {name!r} is not JSON: {error}") from error
    return found


def seconds(limit: object) -> float:
    """A data set's time limit in seconds: text (``2.5 seconds``), or seconds and nanoseconds; 0 if it names none."""
    if isinstance(limit, Mapping):
        return _bounded(float(limit.get("seconds") or 0) + float(limit.get("nanos") or 0) * 1e-9)
    number = _NUMBER.match(limit) if isinstance(limit, str) else None
    return _bounded(float(number[0])) if number else 0.0


def _bounded(limit: float) -> float:
    return limit if 0 < limit <= MOST_SECONDS else 0.0


def joined(text: object) -> str:
    """Input or output of a program: text, or a list of its lines."""
    return "\n".join(map(str, text)) if isinstance(text, list) else str(text)


def with_number_keys(value: object) -> object:
    """The value with integer keys restored in its dicts: JSON turns them into text."""
    if isinstance(value, Mapping):
        keys = list(value)
        numbers = bool(keys) and all(isinstance(key, str) and key.lstrip("-").isdecimal() for key in keys)
        return {int(key) if numbers else key: with_number_keys(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_number_keys(item) for item in value]
    return value


def python_references(sources: Iterable[str], most: int = MAX_REFERENCES) -> tuple[str, ...]:
    """The shortest programs that are Python 3; the data sets contain Python 2 too."""
    kept = sorted(
        {clean_source(source) for source in sources if _is_python(source)}, key=lambda text: (len(text), text)
    )
    return tuple(kept[:most])


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return bool(source.strip())
