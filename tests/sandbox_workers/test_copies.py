"""Tests and program have copies of each other's values: where a copy would behave in another way, none is made."""

# ruff: noqa: E501 - programs and tests, one a line
from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks._honest_more import COPIES
from benchmarks._honest_programs import Honest, plain_run_passes
from sandbox_workers import Sandbox, TestSuite, plain
from sandbox_workers.inside import carried


@pytest.mark.parametrize(("name", "program", "tests"), COPIES, ids=lambda value: value[:20])
def test_copies_behave_as_the_values_themselves(
    sandbox: Sandbox, tmp_path: Path, name: str, program: str, tests: str
) -> None:
    honest = Honest("E", name, program, TestSuite(tests=(tests,)))
    verdict = sandbox.run(program, honest.suite)
    assert verdict.ok is plain_run_passes(honest, tmp_path / "plain"), verdict


@pytest.mark.parametrize(
    ("program", "test"),
    [
        ("def f(xs):\n    xs.sort()\n    return xs\n", "xs = [2, 1]\n    ys = f(xs)\n    ys.append(3)\n    assert xs == [1, 2, 3]"),
        ("def f(g):\n    g[0][0] = 5\n", "g = [[1], [2]]\n    f(g)\n    assert g == [[5], [2]]"),
        ("def f(t):\n    t[0].append(2)\n", "t = ([1], 5)\n    f(t)\n    assert t == ([1, 2], 5)"),
        ("class I(int):\n    pass\ndef f():\n    return [I(3)]\n", "assert f() == [3] and f()[0] + 1 == 4"),
        ("def f(it):\n    return sum(it)\n", "assert f(x * x for x in range(3)) == 5"),
    ],
)  # fmt: skip
def test_what_can_be_shown_is_decided_outside(strict_sandbox: Sandbox, program: str, test: str) -> None:
    verdict = strict_sandbox.run(program, TestSuite(tests=(f"for _ in range(1):\n    {test}\n",)))
    assert (verdict.status, verdict.shared) == ("passed", False)


@pytest.mark.parametrize(
    ("program", "test"),
    [
        ("def f(n):\n    return [[0] * n] * n\n", "m = f(2)\n    m[0][0] = 1\n    assert m[1][0] == 0"),
        ("def f(g):\n    for r in g:\n        r.reverse()\n", "g = [[1, 2]]\n    r = g[0]\n    f(g)\n    assert r == [2, 1]"),
        ("def f(a, b):\n    a.append(1)\n", "x = []\n    f(x, x)\n    assert x == [1]"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_not_decided_with_copies(
    sandbox: Sandbox, strict_sandbox: Sandbox, program: str, test: str
) -> None:
    suite = TestSuite(tests=(f"for _ in range(1):\n    {test}\n",))
    assert strict_sandbox.run(program, suite).status == "unsupported"
    assert sandbox.run(program, suite).shared


def test_forged_places_and_classes_are_refused(strict_sandbox: Sandbox) -> None:
    frame = (
        "import os\ndef f(xs):\n    body = b'[\"returned\",{},null]'\n"
        "    os.write(3, len(body).to_bytes(4, 'little') + body)\n    os._exit(0)\n"
    )
    suite = TestSuite(tests=("for _ in range(1):\n    assert f([1]) == [2]\n",))
    forged = (
        '{"argument":7}', '{"argument":-1}', '{"argument":0}', '{"argument":"0"}',
        '{"sub":["x",{"type":"int"},true]}', '{"sub":["x\\\\u0000",1,true]}', '{"sub":[1,2]}', '{"sub":["list",[2.5],false]}',
    )  # fmt: skip
    for value in forged:
        assert not strict_sandbox.run(frame.replace("{}", value), suite).ok, value


def test_subclasses_that_calculate_in_another_way_are_not_copied() -> None:
    class Named(int):
        def __repr__(self) -> str:
            return "named"

    class Other(int):
        def __add__(self, other: int) -> int:
            return 0

    assert carried.name_subclass(Named, int, 3) == {"sub": ["Named", 3, True]}
    with pytest.raises(plain.NotPlainError, match="Other"):
        carried.name_subclass(Other, int, 3)


def test_the_same_list_twice_is_found() -> None:
    row = [1]
    assert carried.occurs_twice({"a": (row,), "b": [[row]]}, set())
    assert not carried.occurs_twice([[1], [1], (), (), {}, {}], set())
    assert not carried.occurs_twice([None, "a", "a", 1, 1], set())
