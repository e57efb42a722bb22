"""Differential inputs: read from tests, varied by type, compared strictly."""

import random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prl_ray.supervision.inputs import agree, differential_inputs, same, seen_arguments, varied
from sandbox_workers import CallResult, Case, TestSuite


def test_arguments_are_read_from_every_kind_of_suite() -> None:
    asserts = TestSuite("assert", tests=("assert f([1], 'a') == 2", "assert set(f([], '')) == {1}", "assert f(X) == 1"))
    assert seen_arguments(asserts, "f") == [([1], "a"), ([], "")]
    check = TestSuite("check", tests=("def check(candidate):\n    assert candidate(1) == 2",), entry_point="f")
    assert seen_arguments(check, "f") == [(1,)]
    call = TestSuite("call", entry_point="f", cases=(Case((1, 2), 3), Case((1, 2), 3)))
    assert seen_arguments(call, "f") == [(1, 2)]
    assert seen_arguments(TestSuite("stdio", cases=(Case("1", "2"),)), "f") == []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-50, 50) | st.floats(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3) | st.tuples(inner, inner)
    ),
    max_leaves=8,
)


def _size(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(_size(v) for v in value.values())
    return 1 + sum(_size(v) for v in value) if isinstance(value, list | tuple) else 1


@given(VALUES, st.integers(0, 1000))
def test_varied_keeps_the_type_and_stays_small(value: Any, seed: int) -> None:
    other = varied(value, random.Random(seed))
    assert type(other) is type(value)
    assert _size(other) <= 2 * _size(value) + 1


@given(st.lists(st.tuples(VALUES, st.integers(0, 9)), min_size=1, max_size=4), st.integers(0, 100))
def test_inputs_are_new_and_of_the_same_arity(seen: list[tuple[Any, ...]], seed: int) -> None:
    found = differential_inputs(seen, 6, random.Random(seed))
    assert len(found) <= 6 and all(len(args) == 2 for args in found)
    texts = {repr(args) for args in found}
    assert len(texts) == len(found) and not texts & {repr(args) for args in seen}


def test_no_inputs_without_examples() -> None:
    assert differential_inputs([], 5, random.Random(0)) == []
    assert differential_inputs([()], 5, random.Random(0)) == []


def test_same_minds_types_and_forgives_rounding() -> None:
    assert same([1, (2.0, "a")], [1, (2.0 + 1e-13, "a")])
    assert same(float("nan"), float("nan"))
    assert same({"a": 1}, {"a": 1}) and not same({"a": 1, "b": 2}, {"b": 2, "a": 1})
    for left, right in [(1, True), (1, 1.0), ([1], (1,)), ("1", 1), ([1], [1, 2]), (1.0, 1.1)]:
        assert not same(left, right)


def test_agreement_counts_only_what_the_reference_answers() -> None:
    one, two, error = CallResult(True, 1), CallResult(True, 2), CallResult(False, None, "IndexError")
    assert agree([one, error], [one, two]) is True
    assert agree([one, error], [two, error]) is False
    assert agree([one], [error]) is False
    assert agree([error], [error]) is None
    assert agree([], []) is None
