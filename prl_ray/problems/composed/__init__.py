"""``composed``: generated small functions, each a chain of steps. Needs no files and no network.

A problem has one sentence per step, and its reference has one assignment per step::

    # Add 3 to each number. Keep the even numbers. Take the sum.
    def f(xs):
        xs = [x + 3 for x in xs]
        xs = [x for x in xs if x % 2 == 0]
        n = sum(xs)
        return n

Difficulty is the number of steps. The splits share no structure (sequence of step kinds), whatever the seeds. Omitting
any step fails a test.
"""

from __future__ import annotations

from random import Random

from prl_ray.errors import DataError
from prl_ray.problems.composed.generate import (
    draw_kinds,
    draw_steps,
    make_problem,
    reference_of,
    split_of,
    structure_of,
)
from prl_ray.problems.problem import Problem, Split

MAX_DIFFICULTY = 8
DEFAULT_COUNT: dict[Split, int] = {"train": 3000, "validation": 300, "test": 300}
_MAX_FRUITLESS = 400
"""Number of draws without a new problem after which a difficulty is exhausted (only short programs run out)."""


def load(
    path: str = "",
    split: Split = "train",
    limit: int | None = None,
    seed: int = 0,
    *,
    min_difficulty: int = 1,
    max_difficulty: int = 5,
) -> list[Problem]:
    """``limit`` different problems (default 3,000 train, 300 others), difficulties in turn.

    The same arguments give the same problems, and a smaller ``limit`` gives the first of them. Fewer are returned if
    only short difficulties are allowed and they are exhausted.

    Raises:
        DataError: difficulties outside 1..8 or in the wrong order, or a path was given.
    """
    if path:
        raise DataError(f"composed is generated and reads no file, got path={path!r}; leave it empty")
    if not 1 <= min_difficulty <= max_difficulty <= MAX_DIFFICULTY:
        raise DataError(
            f"min_difficulty={min_difficulty}, max_difficulty={max_difficulty}: "
            f"composed has 1 <= min_difficulty <= max_difficulty <= {MAX_DIFFICULTY}"
        )
    count = DEFAULT_COUNT[split] if limit is None else limit
    sources = {
        difficulty: Random(f"composed/{seed}/{split}/{difficulty}")
        for difficulty in range(min_difficulty, max_difficulty + 1)
    }
    problems: list[Problem] = []
    seen: set[str] = set()
    while sources and len(problems) < count:
        for difficulty, rng in list(sources.items()):
            problem = _next_problem(difficulty, split, rng, seen)
            if problem is None:
                del sources[difficulty]
            elif len(problems) < count:
                problems.append(problem)
    return problems


def _next_problem(difficulty: int, split: Split, rng: Random, seen: set[str]) -> Problem | None:
    """A problem whose reference is not in ``seen``, to which it is added; None if none is left."""
    fruitless = 0
    while fruitless < _MAX_FRUITLESS:
        kinds = draw_kinds(difficulty, rng)
        if split_of(structure_of(kinds)) != split:
            continue
        fruitless += 1
        steps = draw_steps(kinds, rng)
        reference = reference_of(steps)
        if reference not in seen and (problem := make_problem(steps, split, rng)):
            seen.add(reference)
            return problem
    return None
