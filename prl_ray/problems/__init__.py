"""Problems: ``Problem`` and one loader per data set.

A new data set is one module with a function ``load`` and one line in ``LOADERS``, or the import path of such a
function in ``problems.name``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

from prl_ray.errors import DataError
from prl_ray.plugins import Registry, checked_params
from prl_ray.problems import apps, codecontests, composed, evalplus, humaneval, jsonl, leetcode, livecodebench, mbpp
from prl_ray.problems.problem import Problem, Split
from prl_ray.suggestions import did_you_mean

__all__ = ["EVALUATION_ONLY", "LOADERS", "Loader", "Problem", "Split", "load_problems"]


Loader = Callable[..., list[Problem]]
"""``load(path, split, limit, seed)``: reads or generates the problems of one split, at most ``limit``. Keyword-only
arguments are its own options (``problems.params``)."""

LOADERS: Registry[Loader] = Registry(
    "problem set",
    "prl_ray.problem_sets",
    {
        "composed": composed.load,
        "mbpp": mbpp.load,
        "humaneval": humaneval.load,
        "jsonl": jsonl.load,
        "humaneval_plus": evalplus.load_humaneval_plus,
        "mbpp_plus": evalplus.load_mbpp_plus,
        "livecodebench": livecodebench.load,
        "apps": apps.load_apps,
        "taco": apps.load_taco,
        "codecontests": codecontests.load,
        "leetcode": leetcode.load,
    },
    how="it must be a function load(path, split, limit, seed) -> list of problems",
)
"""Name -> loader."""
EVALUATION_ONLY = frozenset({"humaneval", "humaneval_plus", "mbpp_plus", "livecodebench"})
"""Problem sets with a test split only."""


def load_problems(
    name: str, *, path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0, **options: object
) -> list[Problem]:
    """The problems of one split of a data set.

    Args:
        name: one of ``LOADERS``, or an import path.
        path: file to read, for the data sets that are files.
        split: ``train``, ``validation`` or ``test``.
        limit: number of problems, from the first; None for all (``composed``: for its default number).
        seed: seed of generated problems; files keep their order.
        options: the loader's own options, such as ``min_difficulty`` and ``max_difficulty`` of ``composed``.

    Raises:
        ConfigError: unknown name or option, or an option of the wrong type.
        DataError: unknown split, missing or broken file, no network; the message says what to do.
    """
    load = LOADERS.find(name)
    if split not in get_args(Split):
        known = list(get_args(Split))
        raise DataError(f"unknown split {split!r}; known: {', '.join(known)}{did_you_mean(split, known)}")
    if limit is not None and limit < 1:
        raise DataError(f"limit={limit}: give a positive number, or None for all problems")
    found = load(path=path, split=split, limit=limit, seed=seed, **checked_params(load, options, "problems.params"))
    _check_ids(name, found)
    return found


def _check_ids(name: str, problems: list[Problem]) -> None:
    """Verdicts, labels and samples are stored by id: two problems with one id would be judged by each other's tests."""
    seen: set[str] = set()
    for problem in problems:
        if problem.task_id in seen:
            raise DataError(f"problems={name}: task_id {problem.task_id!r} is used by two problems; ids must differ")
        seen.add(problem.task_id)
