"""Odd but honest programs pass."""

from __future__ import annotations

import pytest

from sandbox_workers import Limits, Sandbox, TestSuite

SUITE = TestSuite("assert", tests=("assert f(20) == 400",))
SQUARE = "def f(n):\n    return n * n\n"

PROGRAMS = {
    "tabs": "def f(n):\n\treturn n * n\n",
    "carriage returns": SQUARE.replace("\n", "\r\n"),
    "byte order mark": "\ufeff" + SQUARE,
    "prints 200 kB": "print('x' * 200_000)\n" + SQUARE,
    "prints to standard error": "import sys\nprint('x' * 100_000, file=sys.stderr)\n" + SQUARE,
    "threads": """
import threading
def f(n):
    found = []
    threads = [threading.Thread(target=lambda: found.append(n)) for _ in range(n)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    return sum(found)
""",
    "thread pool": """
from concurrent.futures import ThreadPoolExecutor
def f(n):
    with ThreadPoolExecutor(4) as pool:
        return sum(pool.map(lambda _: n, range(n)))
""",
    "deep recursion": """
def down(n):
    return 0 if n == 0 else 1 + down(n - 1)
def f(n):
    return n * n + down(950) - 950
""",
    "very deep recursion": """
import sys, threading
sys.setrecursionlimit(100_000)
threading.stack_size(1 << 26)
def down(n):
    return 0 if n == 0 else 1 + down(n - 1)
def f(n):
    out = []
    thread = threading.Thread(target=lambda: out.append(down(50_000)))
    thread.start()
    thread.join()
    return n * n + out[0] - 50_000
""",
    "dataclass": """
from dataclasses import dataclass, field
@dataclass(order=True)
class Box:
    side: int = 0
    rest: list = field(default_factory=list)
    def area(self):
        return self.side ** 2
def f(n):
    return Box(n).area()
""",
    "named tuple, enum, typing": """
from collections import namedtuple
from enum import Enum
from typing import NamedTuple, List, Optional
Point = namedtuple('Point', 'x y')
class Kind(Enum):
    A = 1
class P(NamedTuple):
    x: int
def f(n: Optional[int]) -> int:
    return Point(n, n).x * P(n).x * Kind.A.value
""",
    "100 MB": "block = bytearray(100 << 20)\ndef f(n):\n    return n * n if len(block) else 0\n",
    "reads an empty standard input": "import sys\nrest = sys.stdin.read()\nassert rest == ''\n" + SQUARE,
    "files in its directory": """
import os, tempfile
with open('notes.txt', 'w') as file:
    file.write('400')
with tempfile.TemporaryDirectory() as place:
    open(os.path.join(place, 'x'), 'w').close()
def f(n):
    return int(open('notes.txt').read())
""",
    "main guard": SQUARE + "if __name__ == '__main__':\n    print(f(3))\n",
    "counter for a dict": "from collections import Counter\ndef f(n):\n    return sum(Counter({1: n * n}).values())\n",
    "asyncio": """
import asyncio
async def g(n):
    await asyncio.sleep(0)
    return n * n
def f(n):
    return asyncio.run(g(n))
""",
    "regular expressions and dates": "import re, datetime\ndef f(n):\n    return int(re.sub('a', '', '4a00'))\n",
    "signals": "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\nsignal.alarm(1)\nsignal.alarm(0)\n"
    + SQUARE,
    "signals itself": """
import signal
got = []
signal.signal(signal.SIGUSR1, lambda *a: got.append(1))
signal.raise_signal(signal.SIGUSR1)
assert got
"""
    + SQUARE,
    "pickle and copy": """
import copy, pickle
class A:
    v = 20
def f(n):
    return copy.deepcopy(pickle.loads(pickle.dumps(A()))).v * n
""",
    "random": "import random\nrandom.shuffle(list(range(9)))\n" + SQUARE,
    "exit in a function that is not called": "def stop():\n    exit()\n" + SQUARE,
    "star import": "from math import *\ndef f(n):\n    return int(pow(n, 2))\n",
    "huge integer": "def f(n):\n    return (10 ** 5000) * 0 + n * n\n",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_honest_programs_pass(sandbox: Sandbox, name: str) -> None:
    verdict = sandbox.run(PROGRAMS[name], SUITE)
    assert verdict.ok, verdict


def test_results_of_every_plain_type(sandbox: Sandbox) -> None:
    values = "[None, True, -1, 10**100, 2.5, 'é\\ud800', b'x', (1,), [()], {1}, {'a': {2: (3,)}}, 1 + 2j, float('inf')]"
    suite = TestSuite("assert", tests=(f"assert g()[:-1] == {values}[:-1]", f"assert g(1) == {10**100}"))
    assert sandbox.run(f"def g(n=None):\n    return 10**100 if n else {values}\n", suite).ok


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("2.0", "2"),
        ("2", "2.0"),
        ("True", "1"),
        ("__import__('collections').OrderedDict(a=1)", "{'a': 1}"),
        ("__import__('collections').Counter('aab')", "{'a': 2, 'b': 1}"),
        ("__import__('collections').defaultdict(int, {1: 2})", "{1: 2}"),
        ("frozenset([1])", "{1}"),
        ("__import__('fractions').Fraction(1, 2)", "0.5"),
        ("10 ** 6000", "10 ** 6000"),
        ("bytearray(b'x')", "b'x'"),
        ("-0.0", "0"),
        ("{2: 'b', 1: 'a'}", "{1: 'a', 2: 'b'}"),
        ("{3, 1, 2}", "{1, 2, 3}"),
        ("__import__('decimal').Decimal('0.50')", "0.5"),
        ("'\\ud800' + 'a'", "'\\ud800a'"),
    ],
)
def test_equality_is_pythons(sandbox: Sandbox, result: str, expected: str) -> None:
    assert sandbox.run(f"def g():\n    return {result}\n", TestSuite(tests=(f"assert g() == {expected}",))).ok


@pytest.mark.parametrize(
    ("program", "test", "shared"),
    [
        ("from typing import NamedTuple\nclass P(NamedTuple):\n    x: int\nf = P", "assert f(1) == (1,)", False),
        ("import enum\nclass E(str, enum.Enum):\n    A = 'a'\ndef f(x):\n    return E.A", "assert f(1) == 'a'", False),
        ("def f(x):\n    yield from range(x)", "assert list(f(3)) == [0, 1, 2]", False),
        ("def f(x):\n    return map(str, range(x))", "for _ in range(2):\n    assert list(f(2)) == ['0', '1']", False),
        ("def f(x):\n    return {x: 1}.keys()", "assert sorted(f(3)) == [3]", False),
        ("from fractions import Fraction\ndef f(x):\n    return Fraction(x, 3)", "assert f(1) * 3 == 1", False),
        ("class Stack(list):\n    push = list.append", "s = Stack()\ns.push(1)\nassert s.pop() == 1", True),
        ("import dataclasses\n@dataclasses.dataclass\nclass P:\n    x: int\nf = P", "assert f(1) == P(1)", True),
    ],
)
def test_what_is_more_than_plain_data_is_judged_as_python_does(
    sandbox: Sandbox, program: str, test: str, shared: bool
) -> None:
    verdict = sandbox.run(program, TestSuite(tests=(test,)))
    assert (verdict.ok, verdict.shared) == (True, shared), verdict


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        ("[1, 2]", "(1, 2)"),
        ("'1'", "1"),
        ("range(2)", "[0, 1]"),
        ("iter([1])", "[1]"),
        ("{1: 2}", "[(1, 2)]"),
        ("None", "False"),
    ],
)
def test_what_python_calls_unequal_fails(sandbox: Sandbox, result: str, expected: str) -> None:
    assert not sandbox.run(f"def g():\n    return {result}\n", TestSuite(tests=(f"assert g() == {expected}",))).ok


def test_dates_are_plain_data(sandbox: Sandbox) -> None:
    program = "import datetime as d\ndef g(n):\n    return d.date(2024, 2, 28) + d.timedelta(days=n)\n"
    late = "d.datetime(2024, 1, 1, 12, 30, 0, 5, d.timezone.utc)"
    program += f"def h():\n    return [{late}, d.time(1, 2), d.timedelta(seconds=-1)]\n"
    tests = ("assert g(2) == d.date(2024, 3, 1)", f"assert h() == [{late}, d.time(1, 2), d.timedelta(seconds=-1)]")
    verdict = sandbox.run(program, TestSuite("assert", "import datetime as d", tests))
    assert (verdict.ok, verdict.shared) == (True, False), verdict


def test_processes_where_they_are_allowed(sandbox: Sandbox) -> None:
    program = "import os\npid = os.fork()\nif pid == 0:\n    os._exit(5)\n_, status = os.waitpid(pid, 0)\n" + SQUARE
    assert sandbox.run(program, SUITE, limits=Limits(processes=4)).ok
    assert sandbox.run(program, SUITE).status == "forbidden"


def test_seeds_are_fresh(sandbox: Sandbox) -> None:
    program = (
        "import random, uuid, os\ndef f():\n    return [random.random(), str(uuid.uuid4()), os.urandom(8).hex()]\n"
    )
    first, second = (sandbox.call(program, "f", [()])[0].value for _ in range(2))
    assert all(a != b for a, b in zip(first, second, strict=True))  # type: ignore[call-overload]


def test_seeds_are_fresh_where_a_package_has_brought_the_generator() -> None:
    program = "import random\ndef f():\n    return random.random()\n"
    with Sandbox(packages=("statistics",)) as sandbox:  # which imports random, once for all programs
        first, second = (sandbox.call(program, "f", [()])[0].value for _ in range(2))
    assert first != second


def test_programs_that_follow_large_ones_have_their_own_memory(sandbox: Sandbox) -> None:
    """A program may begin while the one before is still ending: what both take does not count against it."""
    large = "block = bytes(bytearray(300 << 20))\n" + SQUARE
    for _ in range(6):
        assert sandbox.run(large, SUITE, limits=Limits(memory_mb=700)).ok
