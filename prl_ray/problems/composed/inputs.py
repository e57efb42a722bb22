"""Candidate inputs for each type, edge cases first; the generator picks inputs on which mistakes change the result."""

from __future__ import annotations

from random import Random

from prl_ray.problems.composed.steps import Variable

Value = int | str | list[int] | list[str] | dict[str, int]

_EDGES: dict[Variable, tuple[Value, ...]] = {
    "xs": ([], [7]),
    "n": (0, -12),
    "s": ("", "a"),
    "ws": ([], ["tree"]),
    "d": ({}, {"is": 1}),
}
_WORDS = (
    *(
        "is",
        "an",
        "it",
        "tea",
        "ant",
        "sun",
        "oak",
        "rose",
        "tree",
        "iron",
        "nine",
        "stone",
        "river",
        "onion",
        "sister",
    ),
    *("planet", "lantern", "orchard", "notation", "interest"),
)


def candidates(variable: Variable, count: int, rng: Random) -> tuple[list[Value], list[Value]]:
    """(edge inputs, ``count`` random inputs) for a parameter of the given type."""
    return list(_EDGES[variable]), [_random_value(variable, rng) for _ in range(count)]


def _random_value(variable: Variable, rng: Random) -> Value:
    if variable == "n":
        return rng.choice((rng.randint(1, 30), rng.randint(10, 400), -rng.randint(1, 60)))
    if variable == "xs":
        # Repeats some values, so that counting, removing and deduplicating have an effect.
        few = [rng.randint(-6, 12) for _ in range(4)]
        return [rng.choice(few) if rng.random() < 0.5 else rng.randint(-3, 10) for _ in range(rng.randint(4, 7))]
    words = [rng.choice(_WORDS) for _ in range(rng.randint(2, 5))]
    if variable == "ws":
        return [*words, rng.choice(words)]
    if variable == "s":
        return " ".join(words[:3])
    return {word: rng.randint(-2, 9) for word in words}
