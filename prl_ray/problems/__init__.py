"""What is to be solved: ``Problem`` and one loader a data set.

A new data set is one module with a function ``load`` and one line in ``LOADERS``.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_args

from prl_ray.errors import DataError
from prl_ray.problems import composed, humaneval, jsonl, mbpp
from prl_ray.problems.problem import Problem, Split
from prl_ray.problems.records import did_you_mean

__all__ = ["LOADERS", "Loader", "Problem", "Split", "load_problems"]


Loader = Callable[..., list[Problem]]
"""``load(path, split, limit, seed, **options)``: reads or makes the problems of one split, at most ``limit``."""

LOADERS: dict[str, Loader] = {
    "composed": composed.load,
    "mbpp": mbpp.load,
    "humaneval": humaneval.load,
    "jsonl": jsonl.load,
}


def load_problems(
    name: str, *, path: str = "", split: Split = "train", limit: int | None = None, seed: int = 0, **options: Any
) -> list[Problem]:
    """The problems of one split of a data set.

    Args:
        name: one of ``LOADERS``.
        path: file to read, for the data sets that are files.
        split: ``train``, ``validation`` or ``test``.
        limit: at most so many, the first of them; None for all (``composed``: for its default number).
        seed: of generated problems; files keep their order.
        options: the loader's own, such as ``min_difficulty`` and ``max_difficulty`` of ``composed``.

    Raises:
        DataError: unknown name, split or option, missing or broken file, no network; the message says what to do.
    """
    load = LOADERS[_known(name, list(LOADERS), "problem set")]
    _known(split, list(get_args(Split)), "split")
    if limit is not None and limit < 1:
        raise DataError(f"limit={limit}: give a positive number, or None for all problems")
    parameters = list(inspect.signature(load).parameters)
    for option in options:
        _known(option, parameters, f"option of {name}")
    return load(path=path, split=split, limit=limit, seed=seed, **options)


def _known(value: str, known: list[str], what: str) -> str:
    if value not in known:
        raise DataError(f"unknown {what} {value!r}, known are {', '.join(known)}{did_you_mean(value, known)}")
    return value
