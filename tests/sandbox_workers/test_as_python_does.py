"""Tests judge a program as a plain interpreter would that runs the one after the other."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sandbox_workers import Limits, Sandbox, TestSuite

UNITTEST = """
import unittest
class T(unittest.TestCase):
    def test_f(self):
        self.assertEqual(f(1), 1)
if __name__ == '__main__':
    unittest.main()
"""
SAME = "def f(x):\n    return x\n"
COUNTER = "count = 0\ndef f():\n    global count\n    count += 1\n"
RAISES = "class Refused(ValueError):\n    pass\ndef f(x):\n    raise {}\n"

CASES = {
    "or that is decided by its first operand": (SAME, "assert (f(7) or 1) == 1"),
    "or whose second operand raises": ("def f(x):\n    return 1\ndef g(x):\n    1 / 0\n", "assert f(1) == 1 or g(1)"),
    "and that gives its last operand": (SAME, "assert (f(5) and f(7)) == True"),
    "repeated list": ("def f(n):\n    return [0] * n\n", "assert f(1000) == [0] * 1000"),
    "joined values": (SAME, "assert f((1,)) + f((2,)) == (1, 2)"),
    "large set": ("def f(n):\n    return set(range(n))\n", "assert len(f(9592)) == 9592"),
    "value that is false": ("FLAG = False\n", "assert FLAG"),
    "value that differs": ("X = 5\n", "assert X != 5"),
    "value": ("total = 6\n", "for n in [6]:\n    assert total == n"),
    "value that does not exist": (SAME, "for n in [6]:\n    assert other"),
    "value that changes": (COUNTER, "for n in [1, 2]:\n    f()\n    assert count == n"),
    "function in a list": (SAME, "for g in [f, f]:\n    assert g(2) == 2"),
    "unittest, wrong": ("def f(x):\n    return x + 1\n", UNITTEST),
    "unittest, right": (SAME, UNITTEST),
    "no tests after exit": (SAME, "for n in [1]:\n    assert f(n) == 1\nraise SystemExit(3)"),
    "class derived from a built-in one": (RAISES.format("Refused"), "try:\n    f(1)\nexcept ValueError:\n    pass"),
    "arguments of an exception": (
        RAISES.format("KeyError('a')"),
        "try:\n    f(1)\nexcept KeyError as error:\n    assert error.args == ('a',) and str(error) == repr('a')",
    ),
    "text of an exception": (
        "class E(ValueError):\n    def __init__(self, n):\n        super().__init__()\n        self.n = n\n"
        "    def __str__(self):\n        return f'bad {self.n}'\ndef f(x):\n    raise E(x)\n",
        "try:\n    f(3)\nexcept ValueError as error:\n    assert str(error) == 'bad 3'",
    ),
    "exit of a program": (
        "import sys\ndef f(x):\n    sys.exit(x)\n",
        "try:\n    f(2)\nexcept SystemExit as error:\n    assert error.code == 2",
    ),
    "comparison that is decided early": (
        "def f(x):\n    return 1 // (3 - x)\n",
        "assert not f(1) < f(1) < f(3)",
    ),
    "tuples that share a hash": (
        "from itertools import product\ndef f(n):\n    return set(product((-1, -2), repeat=n))\n",
        "assert len(f(5)) == 32",
    ),
    "exception by its own name": (RAISES.format("Refused"), "try:\n    f(1)\nexcept Refused:\n    pass"),
    "exception that is not caught": (RAISES.format("Refused"), "try:\n    f(1)\nexcept KeyError:\n    pass"),
    "changed keyword argument": (
        "def f(*, into):\n    into.append(1)\n",
        "from collections import deque\n"
        "for kind in (list, deque):\n    x = kind()\n    f(into=x)\n    assert list(x) == [1]",
    ),
    "changed bytearray": ("def f(b):\n    b[0] = 65\n", "b = bytearray(b'ab')\nf(b)\nassert b == b'Ab'"),
    "order of an ordered dict": (
        "from collections import OrderedDict\n"
        "def f():\n    d = OrderedDict(a=1, b=2)\n    d.move_to_end('a')\n    return d\n",
        "for _ in [0]:\n    assert list(f()) == ['b', 'a']",
    ),
    "equality of ordered dicts": (
        "from collections import OrderedDict\ndef f(*keys):\n    return OrderedDict((key, 1) for key in keys)\n",
        "for _ in [0]:\n    assert f('a', 'b') == f('b', 'a')",
    ),
    "threads in a test": (
        "def f(n):\n    return n * n\n",
        "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n"
        "    assert list(pool.map(f, range(50))) == [n * n for n in range(50)]",
    ),
    "file from test to program": (
        "def f(name):\n    return open(name).read()\n",
        "for name in ['given.txt']:\n    open(name, 'w').write('x')\n    assert f(name) == 'x'",
    ),
    "disjoint set with methods of lists": (
        "class DSU:\n    def __init__(s, n):\n        s.p = list(range(n))\n"
        "    def find(s, x):\n        return s.p[x]\n"
        "    def union(s, a, b):\n        s.p[a] = s.p[b]\n",
        "d = DSU(3)\nd.union(1, 2)\nassert d.find(1) == d.find(2)",
    ),
    "letters beyond ASCII": ("def f(x):\n    ñ = x\n    return ñ\n", "assert f('π') == '\\N{GREEK SMALL LETTER PI}'"),
    "recursion to the limit": (
        "def f(n):\n    return 0 if n == 0 else 1 + f(n - 1)\n",
        "assert f(990) == 990",
    ),
    "its own file": ("import os\ndef f():\n    return os.path.basename(__file__) != ''\n", "assert f()"),
    "recorded warning": (
        "import warnings\ndef f():\n    with warnings.catch_warnings(record=True) as found:\n"
        "        warnings.warn('x')\n        return len(found)\n",
        "assert f() == 1",
    ),
}


def plain_run_passes(program: str, tests: str, folder: Path) -> bool:
    file = folder / "program.py"
    file.write_text(f"{program}\n{tests}\n", encoding="utf-8")
    done = subprocess.run([sys.executable, str(file)], capture_output=True, check=False, timeout=60, cwd=folder)
    return done.returncode == 0


@pytest.mark.parametrize("name", CASES)
def test_verdicts_are_those_of_a_plain_run(sandbox: Sandbox, tmp_path: Path, name: str) -> None:
    program, tests = CASES[name]
    verdict = sandbox.run(program, TestSuite("assert", tests=(tests,)))
    assert verdict.ok is plain_run_passes(program, tests, tmp_path), verdict


@pytest.mark.parametrize("tests", ["assert f(4) == 2", "for n in [4]:\n    assert f(n) == 2"])
def test_a_setup_reaches_the_program_whatever_the_tests_look_like(sandbox: Sandbox, tests: str) -> None:
    suite = TestSuite("assert", setup="import math\nN = 5\ndef helper(n=N):\n    return n", tests=(tests,))
    assert sandbox.run("def f(x):\n    return math.sqrt(x)\n", suite).ok


def test_answers_in_a_setup_do_not_reach_a_judged_program(sandbox: Sandbox) -> None:
    tests = ("for n in EXPECTED:\n    assert f(n) == EXPECTED[n]",)
    suite = TestSuite("assert", setup="import math\nEXPECTED = {3: 7}\ndef right(n):\n    return 7", tests=tests)
    assert sandbox.run("def f(n):\n    return 7\n", suite).ok
    for cheat in ("EXPECTED[n]", "right(n)"):
        assert not sandbox.run(f"def f(n):\n    return {cheat}\n", suite).ok


def test_a_setup_that_fails_says_so(sandbox: Sandbox) -> None:
    suite = TestSuite("assert", setup="X = 1 / 0", tests=("for n in [1]:\n    assert f(n) == n",))
    verdict = sandbox.run(SAME, suite)
    assert (verdict.status, verdict.error) == ("runtime_error", "ZeroDivisionError")


@pytest.mark.parametrize("entry_point", ["add", "Solution.add", "Solution().add"])
def test_entry_points_of_a_class(sandbox: Sandbox, entry_point: str) -> None:
    program = "class Solution:\n    def add(self, a, b):\n        return a + b\n"
    check = "def check(candidate):\n    for n in range(3):\n        assert candidate(n, 1) == n + 1\n"
    shared = check.replace("range(3)", "range(3):\n        candidate(1, 1)\n    for n in range(3)")
    call = TestSuite("call", entry_point=entry_point, cases=(((1, 2), 3),))  # type: ignore[arg-type]
    assert sandbox.run(program, call).ok
    for objects in (False, True):
        assert sandbox.run(program, TestSuite("check", "", (shared,), entry_point, objects=objects)).ok


ALWAYS_EQUAL = "class Any:\n    def __eq__(self, other):\n        return True\n"


@pytest.mark.parametrize(
    ("program", "test"),
    [
        (ALWAYS_EQUAL + "def f(x):\n    return Any()\n", "assert all(a == b for a, b in zip(map(f, [1, 2]), [7, 9]))"),
        ("f = 0\nall = lambda values: True\n", "assert all(map(f, [2, 3]))"),
        (
            ALWAYS_EQUAL + "class Solution:\n    solve = staticmethod(lambda x: Any())\n",
            "assert all(Solution.solve(x) == y for x, y in [(1, 7)])",
        ),
        ("def f(x):\n    raise StopIteration\n", "assert all(map(lambda x: f(x) == x + 1, range(9)))"),
        ("def f(x):\n    raise SystemExit(0)\n", "for n in [1]:\n    assert f(n) == 2"),
        (
            "import os\ndef f(x):\n    os._exit(0)\n",
            "def t():\n    try:\n        return f(1)\n    finally:\n        return 7\nassert t() == 7",
        ),
        (
            "import os\ndef f(x):\n    os._exit(0)\n",
            "for n in [1]:\n    try:\n        f(n)\n    except BaseException:\n        pass",
        ),
        (
            "import os\ndef f(x):\n    os._exit(0)\n",
            "import threading\nt = threading.Thread(target=f, args=(1,))\nt.start()\nt.join()",
        ),
        ("def f(x):\n    return 1\n", "ok = False\ntry:\n    f(lambda: 1)\nexcept:\n    ok = True\nassert ok"),
    ],
)
def test_comparisons_stay_out_of_reach(sandbox: Sandbox, program: str, test: str) -> None:
    verdict = sandbox.run(program, TestSuite("assert", tests=(test,)))
    assert not verdict.ok, verdict


DRAINS = """
import os, struct
def g(x):
    body = b'["returned",{"iterator":[' + b"0," * 140000 + b'0]},null]'
    os.write(3, struct.pack("<I", len(body)) + body)
    return 0
def f(x):
    return 0
"""


def test_a_program_cannot_choose_the_weaker_way(sandbox: Sandbox) -> None:
    suite = TestSuite("assert", tests=("for i in range(3):\n    assert f(g(i)) == i * 7",))
    assert not sandbox.run(DRAINS, suite).shared
    honest = sandbox.run("def g(x):\n    return x\ndef f(x):\n    return 7 * x\n", suite)
    assert (honest.ok, honest.shared) == (True, False)


CHOSEN = TestSuite("assert", tests=("for i in range(2):\n    assert total(items) == 3",))


def test_a_program_cannot_make_a_value_of_the_tests_an_object(strict_sandbox: Sandbox) -> None:
    forged = "def items(): pass\ndef total(x):\n    globals()['__plain_equal__'] = lambda *_: True\n    return 4\n"
    verdict = strict_sandbox.run(forged, CHOSEN)
    assert (verdict.status, verdict.shared) == ("unsupported", False), verdict
    honest = strict_sandbox.run("items = [1, 2]\ndef total(x):\n    return sum(x)\n", CHOSEN)
    assert (honest.ok, honest.shared) == (True, False), honest


def test_tests_that_take_too_much_time_are_said_to(sandbox: Sandbox) -> None:
    suite = TestSuite("assert", tests=("f(1)\nwhile True:\n    pass",))
    assert sandbox.run(SAME, suite, limits=Limits(wall_s=6, cpu_s=1)).status == "timeout"


def test_a_suite_may_say_that_its_tests_handle_objects(strict_sandbox: Sandbox, sandbox: Sandbox) -> None:
    program, tests = "def f(a):\n    return lambda b: a + b\n", ("assert f(3)(4) == 7",)
    refused = strict_sandbox.run(program, TestSuite("assert", tests=tests))
    assert (refused.status, refused.error, "objects=true" in refused.message) == ("unsupported", "NotPlain", True)
    fallen_back = sandbox.run(program, TestSuite("assert", tests=tests))
    assert (fallen_back.ok, fallen_back.shared) == (True, True)
    record = TestSuite("assert", tests=tests, objects=True).to_json()
    verdict = strict_sandbox.run(program, TestSuite.from_json(record))
    assert (verdict.ok, verdict.shared) == (True, True)


SUM = "print(sum(map(int, {}.split())))"


@pytest.mark.parametrize(
    "program",
    [
        SUM.format("open('/dev/stdin').read()"),
        "import io, sys\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding='utf-8')\n" + SUM.format("input()"),
        "import os\nout = open(1, 'w')\nout.write(str(sum(map(int, input().split()))))",
        "class A:\n    def __del__(self):\n        print(self.n)\na = A()\na.n = sum(map(int, input().split()))",
        "import time\nclass A:\n    def __del__(self):\n        time.sleep(0)\n        "
        + SUM.format("input()")
        + "\na = A()",
        "import sys\nassert not sys.stdout.seekable()\n" + SUM.format("sys.stdin.readline()"),
    ],
)
def test_scripts_read_and_write_as_they_like(sandbox: Sandbox, program: str) -> None:
    verdict = sandbox.run(program, TestSuite("stdio", cases=(("3 4\n", "7\n"),)))  # type: ignore[arg-type]
    assert verdict.ok, verdict


def test_what_an_exit_says_is_on_standard_error(sandbox: Sandbox) -> None:
    execution = sandbox.execute("import sys\nsys.exit('no input')")
    assert (execution.exit_code, execution.stderr.strip()) == (1, "no input")


def test_messages_can_be_shown(sandbox: Sandbox) -> None:
    program = "def f(n):\n    raise ValueError('\\ud800 \\x1b[2K\\nline')\n"
    message = sandbox.run(program, TestSuite("assert", tests=("assert f(1) == 1",))).message
    assert message == "\\ud800 \\x1b[2K\nline"


def test_compiling_takes_no_longer_than_the_program_may_run(sandbox: Sandbox) -> None:
    levels = range(24)
    handlers = "".join(
        " " * (2 * i) + "try:\n" + " " * (2 * i + 1) + "pass\n" + " " * (2 * i) + "finally:\n" for i in levels
    )
    verdict = sandbox.run(
        handlers + " " * 60 + "pass\n", TestSuite("assert", tests=("assert f()",)), limits=Limits(1.0)
    )
    assert not verdict.ok and verdict.status != "sandbox_error", verdict
    assert sandbox.run(SAME, TestSuite("assert", tests=("assert f(1)",))).ok
