"""The schema of ``evaluation.json``."""

from __future__ import annotations

from typing import Literal, NotRequired, Required, TypedDict, get_args

Figures = dict[str, float]
"""``pass@k`` and ``se@k`` for each k, ``se`` of ``pass@1``; ``n`` if they cover only some of the problems."""
Choice = Literal["random", "orm", "prm", "oracle"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
"""How one program of n is chosen: at random, by a reward model, or by the tests themselves."""

ChoiceFigures = TypedDict(
    "ChoiceFigures",
    {"pass@1": float, "se": float, "gain": float, "gain_se": float, "aggregate": NotRequired[str]},
)
"""``gain`` is the difference from ``random``, paired over problems; ``aggregate`` is how ``prm`` combines line
scores."""


class BestOfN(TypedDict, total=False):
    """pass@1 of the program chosen from n samples, for each way of choosing."""

    n: Required[int]
    n_problems: int
    random: ChoiceFigures
    orm: ChoiceFigures
    prm: ChoiceFigures
    oracle: ChoiceFigures


class PolicyFigures(TypedDict, total=False):
    """The figures of one policy."""

    greedy: Figures
    sampled: Figures
    by_difficulty: dict[str, Figures]
    verdicts: dict[str, int]
    extracted: int
    """Number of programs that were taken from a code fence."""
    rerank: BestOfN


class Evaluation(TypedDict, total=False):
    """The whole file."""

    problems: Required[str]
    """Name of the problem set."""
    split: Required[str]
    n_problems: int
    policies: Required[dict[str, PolicyFigures]]
    gain: dict[str, dict[str, Figures]]
    """``AFTER-BEFORE`` -> mode -> ``gain`` and ``se`` of pass@1, paired over problems."""
