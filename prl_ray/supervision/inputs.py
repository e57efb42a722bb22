"""Differential inputs: arguments like those in the tests, on which a refactoring must agree with the reference."""

from __future__ import annotations

import ast
import contextlib
import math
import random
from collections.abc import Iterator, Sequence

from sandbox_workers import CallResult, TestSuite

Arguments = tuple[object, ...]


def seen_arguments(suite: TestSuite, entry_point: str) -> list[Arguments]:
    """Literal arguments that the tests pass to ``entry_point``; in order, without repeats."""
    if suite.kind == "call":
        found = [tuple(case.given) for case in suite.cases]
    elif suite.kind in ("assert", "check"):
        names = {entry_point, "candidate"} if suite.kind == "check" else {entry_point}
        found = [args for text in suite.tests for args in _literal_calls(text, names)]
    else:
        return []
    unique = {repr(args): args for args in found}
    return list(unique.values())


def _literal_calls(text: str, names: set[str]) -> Iterator[Arguments]:
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.keywords:
            continue
        if node.func.id in names:
            with contextlib.suppress(ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
                yield tuple(ast.literal_eval(arg) for arg in node.args)


def differential_inputs(seen: Sequence[Arguments], count: int, rng: random.Random) -> list[Arguments]:
    """At most ``count`` new argument tuples similar to those seen.

    Each is a seen tuple with one argument changed: to another argument seen at the same position, or by a small edit (a
    neighbouring number, a list with an element dropped, doubled or moved, a text in another case, …).
    """
    found: dict[str, Arguments] = {}
    known = {repr(args) for args in seen}
    for _ in range(count * 8 if seen else 0):
        args = list(rng.choice(seen))
        if not args:
            break
        place = rng.randrange(len(args))
        others = [other[place] for other in seen if len(other) > place]
        args[place] = rng.choice(others) if rng.random() < 0.25 else varied(args[place], rng)
        key = repr(tuple(args))
        if key not in known and key not in found:
            found[key] = tuple(args)
        if len(found) == count:
            break
    return list(found.values())


def varied(value: object, rng: random.Random) -> object:
    """A value of the same type, near the given one and not much larger."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        near = [value + 1, value - 1, value + 2, rng.randint(0, max(1, abs(value))), 0, 1]
        return rng.choice([*near, -value] if value < 0 else near)
    if isinstance(value, float):
        return rng.choice([value + 1.0, value / 2, -value, 0.0, float(round(value))])
    if isinstance(value, str):
        return _varied_text(value, rng)
    if isinstance(value, list | tuple):
        return type(value)(_varied_items(list(value), rng))
    if isinstance(value, set | frozenset):
        return type(value)(_varied_items(sorted(value, key=repr), rng))
    if isinstance(value, dict):
        items = list(value.items())
        if items and rng.random() < 0.5:
            items.pop(rng.randrange(len(items)))
        return {key: varied(item, rng) if rng.random() < 0.5 else item for key, item in items}
    return value


def _varied_text(text: str, rng: random.Random) -> str:
    if not text:
        return rng.choice(["a", " ", "Ab"])
    place = rng.randrange(len(text))
    return rng.choice(
        [
            text[:place] + text[place + 1 :],
            text[:place] + text[place] + text[place:],
            text[::-1],
            text.swapcase(),
            text[place:] + text[:place],
            text[: place + 1],
        ]
    )


def _varied_items(items: list[object], rng: random.Random) -> list[object]:
    if not items:
        return items
    place = rng.randrange(len(items))
    edit = rng.randrange(6)
    if edit == 0:
        return items[:place] + items[place + 1 :]
    if edit == 1:
        return [*items[:place], items[place], *items[place:]]
    if edit == 2:
        return items[::-1]
    if edit == 3:
        return rng.sample(items, len(items))
    if edit == 4 and len(items) > 1:
        return items[: place + 1]
    return [*items[:place], varied(items[place], rng), *items[place + 1 :]]


def agree(reference: Sequence[CallResult], variant: Sequence[CallResult]) -> bool | None:
    """Whether a variant returns the reference's value wherever the reference returns one.

    Returns:
        None if the reference never returns a value, so that nothing was compared.
    """
    pairs = [(a, b) for a, b in zip(reference, variant, strict=True) if a.ok]
    if not pairs:
        return None
    return all(b.ok and same(a.value, b.value) for a, b in pairs)


def same(left: object, right: object) -> bool:
    """Equality of plain data of the same types; floats may differ by rounding."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(left) and math.isnan(right))
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return bool(left == right)
