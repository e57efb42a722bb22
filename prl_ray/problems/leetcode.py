"""``leetcode``: LeetCodeDataset (Xia et al. 2025, arXiv 2504.14655), methods of a class ``Solution`` with asserts.

The data set's ``prompt`` (imports, ``ListNode``, ``TreeNode`` and their comparisons) runs before every program, as the
prelude of its suite; a program is only the class.
"""

from __future__ import annotations

from typing import NotRequired, TypedDict

from prl_ray.errors import DataError
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.published import records
from prl_ray.problems.records import clean_source
from sandbox_workers import TestSuite

HUB_NAME = "newfacade/LeetCodeDataset"
_DIFFICULTIES = {"easy": 1, "medium": 2, "hard": 3}


class LeetCodeRecord(TypedDict):
    """One row of the data set; the place of the difficulty differs between its versions."""

    task_id: str | int
    prompt: str
    entry_point: str
    test: str
    completion: str
    query: str
    difficulty: NotRequired[str | None]
    meta: NotRequired[dict[str, object] | None]


def load(path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0) -> list[Problem]:
    """The split's problems in the data set's order, from a JSON lines or Parquet file at ``path`` or the hub.

    Raises:
        DataError: no such file or split, no network, or a record without the data set's fields.
    """
    if split == "validation":
        raise DataError("leetcode has no split 'validation', only train and test")
    found = records(path, HUB_NAME, LeetCodeRecord, split=split)
    return [_problem(record, split) for _, (_, record) in zip(range(limit or 1 << 30), found, strict=False)]


def _problem(record: LeetCodeRecord, split: Split) -> Problem:
    entry_point = record["entry_point"]
    difficulty = record.get("difficulty") or (record.get("meta") or {}).get("difficulty") or ""
    return Problem(
        task_id=f"leetcode/{record['task_id']}",
        prompt=record["query"].strip(),
        entry_point=entry_point,
        tests=TestSuite(
            kind="check",
            prelude=clean_source(record["prompt"]),
            tests=(clean_source(record["test"]),),
            entry_point=entry_point,
        ),
        references=(clean_source(record["completion"]),),
        split=split,
        difficulty=_DIFFICULTIES.get(str(difficulty).lower(), 0),
    )
