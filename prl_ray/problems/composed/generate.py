"""One composed problem: a type-safe chain of steps, and tests that fail if a step is missing or wrong.

Only code generated here is executed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from random import Random

from prl_ray.problems.composed.inputs import Value, candidates
from prl_ray.problems.composed.steps import VOCABULARY, Kind, Step, Variable, choose_step
from prl_ray.problems.problem import Problem, Split
from sandbox_workers import TestSuite

ENTRY_POINT = "f"
Apply = Callable[[Value], Value]
"""The effect of one step on a value."""

_FIRST: tuple[Variable, ...] = ("xs", "xs", "xs", "n", "s", "s", "ws", "ws", "d")
"""The parameter's type, drawn in proportion to the number of chains that start with it."""
_KINDS: dict[Variable, tuple[Kind, ...]] = {v: tuple(k for k in VOCABULARY if k.source == v) for v in set(_FIRST)}

_RANDOM_INPUTS = 12
_MIN_TESTS, _MAX_TESTS = 5, 6
_MIN_DIFFERENT_RESULTS = 3
_MAX_NUMBER, _MAX_LENGTH = 1_000_000, 40


def structure_of(kinds: Sequence[Kind]) -> str:
    """The sequence of step kinds. Problems of one structure differ only in constants and phrasing."""
    return ">".join(kind.name for kind in kinds)


def split_of(structure: str) -> Split:
    """The split of a structure: 70% train, 15% validation, 15% test, the same for every seed."""
    bucket = int.from_bytes(hashlib.blake2s(structure.encode(), digest_size=4).digest()) % 100
    return "train" if bucket < 70 else "validation" if bucket < 85 else "test"


def draw_kinds(length: int, rng: Random) -> list[Kind]:
    """A random type-safe chain without the same kind twice in a row."""
    variable = rng.choice(_FIRST)
    kinds: list[Kind] = []
    while len(kinds) < length:
        kind = rng.choice(_KINDS[variable])
        if kinds and kind is kinds[-1]:
            continue
        kinds.append(kind)
        variable = kind.target
    return kinds


def draw_steps(kinds: Sequence[Kind], rng: Random) -> list[Step]:
    """Random constants and phrasing for a chain."""
    return [choose_step(kind, rng) for kind in kinds]


def code_prefix_of(steps: Sequence[Step]) -> str:
    """The signature; the parameter's name encodes its type."""
    return f"def {ENTRY_POINT}({steps[0].kind.source}):\n"


def reference_of(steps: Sequence[Step]) -> str:
    """The program with one line per step. No newline at its end."""
    body = [*(step.line for step in steps), f"return {steps[-1].kind.target}"]
    return code_prefix_of(steps) + "\n".join(f"    {line}" for line in body)


def make_problem(steps: Sequence[Step], split: Split, rng: Random) -> Problem | None:
    """The problem of these steps with random inputs; None if the tests would not catch a missing step."""
    inputs = _choose_inputs(steps, rng)
    if inputs is None:
        return None
    reference = reference_of(steps)
    prompt = "# " + " ".join(f"{step.phrase}." for step in steps)
    tests = _assertions(reference, inputs)
    digest = hashlib.blake2s("\n".join([prompt, reference, *tests]).encode(), digest_size=6).hexdigest()
    return Problem(
        task_id=f"composed/{split}/{digest}",
        prompt=prompt,
        entry_point=ENTRY_POINT,
        tests=TestSuite(kind="assert", tests=tests, entry_point=ENTRY_POINT),
        references=(reference,),
        split=split,
        difficulty=len(steps),
        code_prefix=code_prefix_of(steps),
    )


def _assertions(reference: str, inputs: Sequence[Value]) -> tuple[str, ...]:
    namespace: dict[str, Apply] = {}
    exec(compile(reference, "<composed>", "exec"), namespace)
    return tuple(f"assert {ENTRY_POINT}({value!r}) == {namespace[ENTRY_POINT](value)!r}" for value in inputs)


def _choose_inputs(steps: Sequence[Step], rng: Random) -> list[Value] | None:
    """Inputs for the tests: an edge case, then repeatedly the input that catches most of the remaining mistakes."""
    edges, others = candidates(steps[0].kind.source, _RANDOM_INPUTS, rng)
    traces = [(value, trace) for value in edges + others if (trace := _trace(steps, value)) is not None]
    if len(traces) < _MAX_TESTS:
        return None
    unnoticed: list[set[int]] = []
    for required, at, wrong in _mistakes(steps):
        noticed_by = {i for i, (_, trace) in enumerate(traces) if _run(wrong, trace[at]) != trace[-1]}
        if noticed_by:
            unnoticed.append(noticed_by)
        elif required:
            return None
    chosen: list[int] = []
    while len(chosen) < _MIN_TESTS or (unnoticed and len(chosen) < _MAX_TESTS):
        results = [traces[i][1][-1] for i in chosen]
        best = max(
            (i for i in range(len(traces)) if i not in chosen),
            # The first is an edge case; among equals prefer a new result, then the earlier candidate.
            key=lambda i: (
                not chosen and i == 0,
                sum(i in by for by in unnoticed),
                traces[i][1][-1] not in results,
                -i,
            ),
        )
        chosen.append(best)
        unnoticed = [by for by in unnoticed if best not in by]
    if unnoticed or len({repr(traces[i][1][-1]) for i in chosen}) < _MIN_DIFFERENT_RESULTS:
        return None
    return [traces[i][0] for i in chosen]


def _mistakes(steps: Sequence[Step]) -> Iterator[tuple[bool, int, list[Apply]]]:
    """(whether a test must catch it, index into the trace, effect on that value) for each mistake.

    Missing lines must be caught. Swapped lines and likely wrong expressions may be equivalent here.
    """
    right = [_function(step.kind.source, step.code) for step in steps]
    types = [steps[0].kind.source, *(step.kind.target for step in steps)]
    for i, step in enumerate(steps):
        # Without line i the next line reads the previous value of its variable, if there is one.
        stale = next((j for j in range(i, -1, -1) if types[j] == types[i + 1]), None)
        if stale is not None:
            yield True, stale, right[i + 1 :]
        if i + 1 < len(steps) and types[i] == types[i + 1] == types[i + 2]:
            yield False, i, [right[i + 1], right[i], *right[i + 2 :]]
        for wrong in step.wrong:
            yield False, i, [_function(step.kind.source, wrong), *right[i + 1 :]]


@lru_cache(maxsize=4096)
def _function(parameter: str, code: str) -> Apply:
    function: Apply = eval(f"lambda {parameter}: {code}")
    return function


def _trace(steps: Sequence[Step], value: Value) -> list[Value] | None:
    """``value`` and the result after each step; None if a result exceeds the bounds."""
    trace: list[Value] = [value]
    for step in steps:
        trace.append(_function(step.kind.source, step.code)(trace[-1]))
        if not _in_bounds(trace[-1]):
            return None
    return trace


def _run(functions: Sequence[Apply], value: Value) -> Value:
    for function in functions:
        value = function(value)
    return value


def _in_bounds(value: Value) -> bool:
    if isinstance(value, int):
        return abs(value) <= _MAX_NUMBER
    members = value.values() if isinstance(value, dict) else value
    return len(value) <= _MAX_LENGTH and all(_in_bounds(member) for member in members if isinstance(member, int))
