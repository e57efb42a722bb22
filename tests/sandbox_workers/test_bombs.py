"""Answers that are small to send and would cost minutes or all memory to compare."""

from __future__ import annotations

import time

import pytest

from sandbox_workers import Limits, Sandbox, TestSuite

COLLIDING = "[i * ((1 << 61) - 1) for i in range(8, 30_000)]"
"""Numbers that all have one hash: each that a set is given is compared with all before it."""

SENDS_A_SET = """
from sandbox_workers import plain
encode = plain.encode
plain.encode = lambda value: {"set": encode(value)} if type(value) is list and len(value) > 6000 else encode(value)
"""
"""Without making it, which would take the program long."""
MOST_CPU_S = 10
"""Of this process, which no other work on the machine delays. What the bounds keep out takes minutes."""

BOMBS_ITS_JUDGE = """
from sandbox_workers import plain
numbers = (b'{"int":"%s"}' % hex(i * ((1 << 61) - 1)).encode() for i in range(1, 50_000))
bomb = b'["returned",{"set":[' + b",".join(numbers) + b"]},null]"
plain.dumps = lambda message: b'["loaded"]' if message == ["loaded"] else bomb
def f(n):
    return 0
"""


@pytest.mark.parametrize(
    ("result", "condition"),
    [
        ("range(10 ** 17)", "sorted(f(1)) == [1, 2]"),
        ("range(10 ** 17)", "2.5 in f(1)"),
        (COLLIDING, "set(f(1)) == {7919}"),
        (COLLIDING, "len(set(f(1))) == 4"),
        (COLLIDING, "Counter(f(1)) == 4"),
        (f"[(n, 1) for n in {COLLIDING}]", "dict(f(1)) == 4"),
        (f"[set({COLLIDING}[:4900])] * 8", "len(f(1)) == 3"),
        ("[[1]] * 40_000", "sum(f(1), []) == [1]"),
        ("[__import__('fractions').Fraction(1, 2**16000 + n) for n in range(150)]", "abs(sum(f(1)) - 1) < 1e-6"),
        ("10 ** 4000 << 4_000_000", "f(1) * 2 + 1 == 4"),
        (f"iter([(n, 1) for n in {COLLIDING}])", "dict(f(1)) == 4"),
        (f"[{COLLIDING}, {{}}.keys()][n - 1]", "abs(f(1) - f(2)) < 1"),
        (
            "[2.0 ** k for k in range(-1000, 1000) if hash(2.0 ** k) == hash(0.5) and k != -1]"
            " + [__import__('fractions').Fraction(1, 2)] * 60_000",
            "len(set(f(1))) == 4",
        ),
        ("[__import__('collections').Counter([n]) for n in range(6000)]", "sum(f(1), Counter()) == 4"),
        ("[tuple([k] * 90 + [n * ((1 << 61) - 1)]) for k in range(9) for n in range(64)]", "len(set(f(1))) == 4"),
        ("1 << 40", "[0] * f(1) == [0]"),
        ("__import__('decimal').Decimal('1e999999999')", "int(f(1)) == 4"),
        ("__import__('decimal').Decimal('1e999999999')", "round(f(1)) == 4"),
        ("10 ** 17", "round(5, -f(1)) == 0"),
    ],
)
def test_a_condition_outside_is_over_at_once(sandbox: Sandbox, result: str, condition: str) -> None:
    started = time.process_time()
    verdict = sandbox.run(f"def f(n):\n    return {result}\n", TestSuite("assert", tests=(f"assert {condition}",)))
    assert verdict.status == "wrong_answer", verdict
    assert not verdict.shared
    assert time.process_time() - started < MOST_CPU_S


def test_values_of_calls_are_bounded_too(sandbox: Sandbox) -> None:
    program = f"{SENDS_A_SET}def f(n):\n    return {COLLIDING} if n else list(range(6000))\n"
    started = time.process_time()
    honest, hostile = sandbox.call(program, "f", [(0,), (1,)], limits=Limits(wall_s=30, cpu_s=30))
    assert honest.value == list(range(6000))
    assert (hostile.ok, hostile.error) == (False, "ForgedMessage")
    assert time.process_time() - started < MOST_CPU_S


def test_a_program_that_brings_its_judge_down_has_failed(sandbox: Sandbox) -> None:
    check = "def check(candidate):\n    for n in (1, 2):\n        assert candidate(n) == n\n"
    suite = TestSuite("check", tests=(check,), entry_point="f")
    assert sandbox.run("def f(n):\n    return n\n", suite).ok
    restarts = sandbox.restarts
    verdict = sandbox.run(BOMBS_ITS_JUDGE, suite, limits=Limits(wall_s=30, cpu_s=1))
    assert not verdict.ok and verdict.status != "sandbox_error", verdict
    assert sandbox.restarts == restarts


def test_a_program_that_takes_its_tests_and_does_not_read_them_is_over_in_time(sandbox: Sandbox) -> None:
    tests = (f"assert f(1).value == {'x' * 400_000!r}",)
    program = "from sandbox_workers import wire\nwire.send_frame(3, b'[\"loaded\"]')\nwhile True: pass\n"
    started = time.monotonic()
    verdict = sandbox.run(program, TestSuite("assert", tests=tests), limits=Limits(wall_s=1, cpu_s=5))
    assert (verdict.status, verdict.shared) == ("timeout", True), verdict
    assert time.monotonic() - started < 10
