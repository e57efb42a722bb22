"""``mbpp``: Mostly Basic Python Problems (Austin et al. 2021, arXiv 2108.07732), 974 tasks with three asserts each.

Splits are the paper's, by task number: test 11 to 510, validation 511 to 600, train 601 to 974; 1 to 10 are its
few-shot examples and belong to none.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypedDict

from prl_ray import hub
from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.records import clean_source, newlines, read_jsonl, required_function, typed_record
from sandbox_workers import TestSuite

HUB_NAME = "google-research-datasets/mbpp"
TASKS: dict[Split, range] = {"test": range(11, 511), "validation": range(511, 601), "train": range(601, 975)}


class MbppRecord(TypedDict):
    """One line of ``mbpp.jsonl``."""

    task_id: int
    text: str
    code: str
    test_list: list[str]
    test_setup_code: str


def load(
    path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0, *, shown_tests: int = 3
) -> list[Problem]:
    """The split's problems by task number, from the original file at ``path`` or the Hugging Face hub.

    Args:
        path: ``mbpp.jsonl``; empty for the hub (``datasets``, which keeps a copy in its cache).
        split: the paper's split.
        limit: number of problems, from the lowest task number.
        seed: not used; the order is the data set's.
        shown_tests: number of asserts in the prompt; at least one, to show the name. The paper shows all three.

    Raises:
        DataError: no such file, no network, or a record without the original fields.
    """
    if shown_tests < 1:
        raise DataError(f"shown_tests={shown_tests}: at least one test must show the function's name")
    records = _file_records(path) if path else _hub_records()
    tasks = TASKS[split]
    mine = sorted((r for r in records if r[1]["task_id"] in tasks), key=lambda r: r[1]["task_id"])
    for (_, record), (where, following) in itertools.pairwise(mine):
        if record["task_id"] == following["task_id"]:
            raise DataError(f"{where}: task_id {record['task_id']} was used before; ids must differ")
    return [_problem(where, record, split, shown_tests) for where, record in mine[:limit]]


def _problem(where: str, record: MbppRecord, split: Split, shown_tests: int) -> Problem:
    reference = clean_source(record["code"])
    tests = tuple(clean_source(test) for test in record["test_list"])
    entry_point = required_function(tests, reference, where)
    shown = "\n".join(tests[:shown_tests])
    return Problem(
        task_id=f"mbpp/{record['task_id']}",
        prompt=f"{newlines(record['text']).strip()}\nYour code has to satisfy:\n{shown}",
        entry_point=entry_point,
        tests=TestSuite(
            kind="assert", setup=clean_source(record["test_setup_code"]), tests=tests, entry_point=entry_point
        ),
        references=(reference,),
        split=split,
    )


def _file_records(path: str) -> Iterator[tuple[str, MbppRecord]]:
    for number, record in read_jsonl(Path(path)):
        where = f"{path}:{number}"
        yield where, typed_record(record, MbppRecord, where, "MBPP")


def _hub_records() -> Iterable[tuple[str, MbppRecord]]:
    try:
        with hub.offline_if_unreachable():
            from datasets import load_dataset

            parts = load_dataset(HUB_NAME, "full")
    except Exception as error:  # any error of the HTTP layer below `datasets` has the same remedy
        raise DataError(
            f"cannot get {HUB_NAME} from the Hugging Face hub ({type(error).__name__}: {error}); "
            "connect, fill the cache of `datasets` beforehand, or give the path of a local mbpp.jsonl"
        ) from error
    return [(f"{HUB_NAME} task {record['task_id']}", record) for part in parts.values() for record in part]
