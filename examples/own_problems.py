"""Your own problem set: functions that multiply by a number.

A run selects it by its import path, with the options of its loader::

    cd examples
    python -m prl_ray.train experiment=smoke problems.name=own_problems:load problems.params.largest=50

Run as a program, this file prints a problem, and the sandbox's verdicts on its reference and on a wrong answer.
"""

from __future__ import annotations

from typing import Annotated

from prl_ray.plugins import Bounds
from prl_ray.problems import Problem, Split, load_problems
from sandbox_workers import Sandbox, TestSuite

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def load(
    path: str = "",
    split: Split = "train",
    limit: int | None = None,
    seed: int = 0,
    *,
    largest: Annotated[int, Bounds(low=3)] = 300,
) -> list[Problem]:
    """One problem for each factor up to ``largest``; each split has its own factors."""
    factors = range(1 + SPLITS.index(split), largest + 1, len(SPLITS))
    return [multiply(factor, split) for factor in list(factors)[:limit]]


def multiply(factor: int, split: Split) -> Problem:
    """The problem of multiplying by ``factor``."""
    asserts = tuple(f"assert f({n}) == {n * factor}" for n in (0, 1, 7))
    return Problem(
        task_id=f"multiply/{factor}",
        prompt=f"Write a function f(n) that returns n times {factor}.\n",
        entry_point="f",
        tests=TestSuite(tests=asserts),
        references=(f"def f(n):\n    result = n * {factor}\n    return result",),
        split=split,
    )


def main() -> None:
    """Prints the first test problem, and the sandbox's verdicts on two programs for it."""
    problem = load_problems("own_problems:load", split="test", limit=1, largest=9)[0]
    print(problem.prompt)
    with Sandbox() as sandbox:
        for program in (problem.references[0], "def f(n):\n    return n"):
            print(sandbox.run(program, problem.tests).status)


if __name__ == "__main__":
    main()
