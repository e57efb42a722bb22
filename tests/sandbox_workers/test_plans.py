"""How suites are split between the program's process and the outside."""

from __future__ import annotations

import ast
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from sandbox_workers import Case, Sandbox, SuiteError, TestSuite, outside, plain, syntax
from sandbox_workers.plan import plan


def holds(test: str, *values: Any) -> bool:
    (statement,) = ast.parse(test).body
    split = outside.split(statement, frozenset({"f", "g"}))
    assert len(split.calls) == len(values)
    return split.holds([plain.encode(value) for value in values])


@pytest.mark.parametrize(
    ("test", "values", "expected"),
    [
        ("assert f(1) == 2", (2,), True),
        ("assert f(1) == 2", (2.0,), True),
        ("assert f(1) == 2", ("2",), False),
        ("assert 2 == f(1)", (2,), True),
        ("assert f(1) == [1, (2, 3), {4}]", ([1, (2, 3), {4}],), True),
        ("assert f(1) == [1, (2, 3), {4}]", ([1, [2, 3], {4}],), False),
        ("assert f(1)", ([0],), True),
        ("assert not f(1)", ([],), True),
        ("assert f(1) is None", (None,), True),
        ("assert f(1) is True", (1,), False),
        ("assert f(1) != 3", (3,), False),
        ("assert set(f(1)) == {1, 2}", ([2, 1, 1],), True),
        ("assert sorted(f(1)) == [1, 2]", ({2, 1},), True),
        ("assert len(f(1)) == 2 and f(2) == 1", ("ab", 1), True),
        ("assert abs(f(1) - 0.3) < 1e-6", (0.1 + 0.2,), True),
        ("assert abs(f(1) - 0.3) < 1e-6", (0.31,), False),
        ("assert math.isclose(f(1), 0.3, rel_tol=1e-3)", (0.3001,), True),
        ("assert f(g(1)) == 3", (3,), True),
        ("assert f(1) in (1, 2)", (2,), True),
        ("assert 1 < f(1) <= 3", (3,), True),
        ("assert (f(1) or 5) == 5", (0,), True),
        ("assert (f(1) or 1) == 1", (7,), False),
        ("assert f(1) == [0] * 3 + [1]", ([0, 0, 0, 1],), True),
        ("assert f(1) + g(2) == [1, 2]", ([1], [2]), True),
        ("assert f(1) - {1} == {2}", ({1, 2},), True),
        ("assert f(1) == 265252859812191058636308480000000 + 1", (265252859812191058636308480000001,), True),
        ("assert sum(f(1), []) == [1, 2]", ([[1], [2]],), True),
        ("assert sum(f(1)) == 1", ([Fraction(1, 3)] * 3,), True),
        ("assert len(f(1)) == 20000", (set(range(20000)),), True),
        ("assert Counter(f(1)) == Counter('ab')", ({"a": 1, "b": 1},), True),
        ("assert dict(f(1)) == {1: 2}", ([(1, 2)],), True),
        ("assert list(f(1)) == [0, 1]", (iter([0, 1]),), True),
        ("assert f(1) == [0, 1]", (iter([0, 1]),), False),
        ("assert f(1) == {1}", ({1: 2}.keys(),), True),
        ("assert f(1) * 3 == 1", (Fraction(1, 3),), True),
        ("assert f(1) == g(1)", (2, 2), True),
    ],
)
def test_conditions_are_decided_outside(test: str, values: tuple[Any, ...], expected: bool) -> None:
    assert holds(test, *values) is expected


@pytest.mark.parametrize(
    "test",
    [
        "x = f(1)",
        "assert all(f(i) == i for i in range(3))",
        "assert f(1).x == 2",
        "assert 1 == 1",
        "assert h(f(1)) == 1",
        "assert f(1) == Point(1)",
        "assert f(1) == -1 or f(2) == 2",
        "assert (f(1) and f(2)) == 3",
    ],
)
def test_other_tests_need_another_way(test: str) -> None:
    (statement,) = ast.parse(test).body
    with pytest.raises(outside.Unsplittable):
        outside.split(statement, frozenset({"f", "Point"}))


def test_the_expected_value_is_not_among_what_goes_in() -> None:
    prepared = plan(TestSuite(tests=("assert f('in') == 'secret'", "assert sorted(f(2)) == ['secret']")))
    assert prepared.mode == "values"
    assert b"in" in prepared.tests
    assert b"secret" not in prepared.tests


def test_large_results_are_not_built() -> None:
    (statement,) = ast.parse("assert f(1) == {1, 2}").body
    check = outside.split(statement, frozenset({"f"})).holds
    assert not check([{"set": [{"int": hex(i * (2**61 - 1))} for i in range(100_000)]}])


@pytest.mark.parametrize(
    ("suite", "mode"),
    [
        (TestSuite(tests=("assert f(1) == 2",)), "values"),
        (TestSuite(tests=("assert f(1) == 2", "for i in range(3): assert f(i) == i")), "judge"),
        (TestSuite(setup="x = Node(1)", tests=("assert f(x) == 2",)), "values"),
        (TestSuite(setup="x = Node(1)", tests=("for i in range(3): assert f(x) == 2",)), "shared"),
        (TestSuite(tests=("assert f(1).value == 2",)), "shared"),
        (TestSuite(tests=("s = Stack()\ns.append(1)\nassert s.pop() == 1",)), "shared"),
        (TestSuite(tests=("s = stack()\ns.push(1)\nassert s.size() == 1",)), "shared"),
        (TestSuite(tests=("a = f(1)\na.append(2)\nassert a == [1, 2]",)), "judge"),
        (TestSuite(tests=("assert f(1) == Point(1)",)), "shared"),
        (TestSuite(tests=("p = Point(1)\nassert f(p) == 2",)), "shared"),
        (TestSuite(tests=("assert Extract([[1]]) == [1] and Extract([]) == []",)), "values"),
        (TestSuite(tests=("for i in range(3): assert Extract([[i]]) == [i]",)), "judge"),
        (TestSuite(tests=("a = Extract([[1]])\nassert a == [1]",)), "judge"),
        (TestSuite("check", tests=("def check(c):\n    assert c(1) == 2, 'm'\n",), entry_point="f"), "values"),
        (TestSuite("check", tests=("def check(c):\n    x = 1\n    assert c(x) == 2\n",), entry_point="f"), "judge"),
        (TestSuite(tests=("assert all(map(f, [1, 2]))",)), "judge"),
        (TestSuite(tests=("assert sum(10, 15) == 25",)), "values"),
        (TestSuite(tests=("d = DSU(3)\nd.union(1, 2)\nassert d.find(1) == d.find(2)",)), "shared"),
        (TestSuite(tests=("try:\n    f(1)\nexcept Refused:\n    pass",)), "shared"),
        (TestSuite(tests=("class A(Base):\n    pass\nassert A().f() == 1",)), "shared"),
        (TestSuite(tests=("assert isinstance(f(1), Shape)",)), "shared"),
        (TestSuite(tests=("assert f(1) == 2",), objects=True), "shared"),
        (TestSuite("stdio", cases=(Case("", ""),)), "script"),
        (TestSuite("call", entry_point="f", cases=(Case((1,), 2),)), "values"),
    ],
)
def test_modes(suite: TestSuite, mode: str) -> None:
    assert plan(suite).mode == mode


def test_suites_survive_json() -> None:
    suites = [
        TestSuite(setup="import math", tests=("assert f(1) == 2",)),
        TestSuite("check", tests=("def check(c): pass",), entry_point="f"),
        TestSuite("stdio", cases=(Case("1\n", "2\n"),)),
        TestSuite("stdio", cases=(Case("1\n", "2\n"),), compare="tokens(1e-6, 1e-6) ignoring case"),
        TestSuite("call", entry_point="f", cases=(Case((1,), 2.5),), compare="floats(1e-6, 0)"),
        TestSuite("call", entry_point="f", cases=(Case(((1,), {2}), {3: (4,)}),)),
    ]
    for suite in suites:
        assert TestSuite.from_json(suite.to_json()) == suite
        assert hash(TestSuite.from_json(suite.to_json())) == hash(suite)


@pytest.mark.parametrize(
    "record", [{"kind": "guess"}, {"tests": 3}, {"kind": "check", "tests": []}, {"test": ["x"]}, {"kind": "call"}]
)
def test_bad_records_are_refused(record: dict[str, Any]) -> None:
    with pytest.raises(SuiteError):
        TestSuite.from_json(record)


@pytest.mark.parametrize("entry_point", ["Solution().total", "Solution.total"])
def test_a_method_is_an_entry_point_of_check(sandbox: Sandbox, entry_point: str) -> None:
    check = (
        "def check(candidate):\n    assert candidate(nums=[1, 2]) == 3\n    assert candidate([candidate([1])]) == 1\n"
    )
    suite = TestSuite("check", tests=(check,), entry_point=entry_point)
    program = "class Solution:\n    def total(self, nums: List[int]) -> int:\n        return sum(nums)\n"
    assert sandbox.run(program, suite).ok
    wrong = sandbox.run(program.replace("sum(nums)", "len(nums)"), suite)
    assert (wrong.status, wrong.shared) == ("wrong_answer", False)


def test_nodes_are_those_of_the_syntax_tree_in_its_order() -> None:
    left_out = ast.expr_context, ast.operator, ast.unaryop, ast.boolop, ast.cmpop
    for path in Path(plain.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        assert syntax.walk(tree) == [node for node in ast.walk(tree) if not isinstance(node, left_out)]


def test_splitting_leaves_the_statement_as_it_is() -> None:
    (statement,) = ast.parse("assert sorted(f([1], key=g(2))) == [g(3), {1: [f(4)]}]").body
    before = ast.dump(statement, include_attributes=True)
    assert len(outside.split(statement, frozenset({"f", "g"})).calls) == 3
    assert ast.dump(statement, include_attributes=True) == before
