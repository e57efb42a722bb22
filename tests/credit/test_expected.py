"""Tests whose expected result is known, and how results compare with it."""

from dataclasses import replace

import pytest

from prl_ray.credit.expected import equal, expected_results
from sandbox_workers import Case, TestSuite

TESTS = ("assert f([1, 2]) == 3", "assert f([]) == 0", "assert f([4, 5, 6]) == 15")
SUITE = TestSuite("assert", tests=TESTS, entry_point="f")


@pytest.mark.parametrize(
    ("suite", "expected"),
    [
        (SUITE, [(([1, 2],), 3), (([],), 0), (([4, 5, 6],), 15)]),
        (replace(SUITE, tests=("assert f(1, 'a') == (-2, None)", "assert f(1) == g(1)")), [((1, "a"), (-2, None))]),
        # more than a call and its value decides
        (replace(SUITE, tests=("assert f(x=1) == 2", "assert f(1) != 2", "assert sorted(f(1)) == [2]")), []),
        (replace(SUITE, tests=("if f:\n    assert f(1) == 2", "assert 1 < f(1) == 2", "assert f(1) == 2 or f(2)")), []),
        (replace(SUITE, setup="import math"), []),
        (replace(SUITE, prelude="import math"), []),
        (replace(SUITE, objects=True), []),
        (TestSuite("check", tests=("def check(candidate):\n    assert candidate(2) == 3\n    assert f(1) == 2\n",),
                   entry_point="f"), [((2,), 3)]),
        (TestSuite("call", cases=(Case((1, [2]), (3,)),), entry_point="f"), [((1, [2]), (3,))]),
        (TestSuite("call", cases=(Case((1,), 3.0),), entry_point="f", compare="floats(0.1, 0)"), []),
        (TestSuite("call", cases=(Case((1,), 3),), entry_point="Solution().f"), []),
        (TestSuite("stdio", cases=(Case("1", "2"),)), []),
    ],
)  # fmt: skip
def test_tests_that_are_a_call_and_its_value(suite: TestSuite, expected: list[object]) -> None:
    name = suite.entry_point or "f"
    assert list(expected_results(suite, name)) == expected


@pytest.mark.parametrize(
    ("value", "expected", "tuples_are_lists", "same"),
    [
        (1, 1.0, False, True),
        (True, 1, False, True),
        ("1", 1, True, False),
        ((1, 2), [1, 2], False, False),
        ((1, 2), [1, 2], True, True),
        ({"a": [(1,)]}, {"a": ((1,),)}, True, True),
        ({1, 2}, {2, 1}, True, True),
    ],
)
def test_results_compare_as_in_the_tests(value: object, expected: object, tuples_are_lists: bool, same: bool) -> None:
    assert equal(value, expected, tuples_are_lists) is same
