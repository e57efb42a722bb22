"""Honest programs and suites as people write them, by kind, and what a plain run says of each.

The plain run is the reference: ``python program.py`` for standard input and output; otherwise one interpreter that runs
the program under the name of a module, then the tests in the same namespace.
"""

# ruff: noqa: E501 - programs and tests, one a line
from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from benchmarks._honest_more import COPIES, MORE_SCRIPTS, MORE_SUITES
from benchmarks._honest_packages import PACKAGE_SUITES, PYTEST_SUITES
from benchmarks._honest_suites import SCRIPTS, SUITES
from benchmarks._honest_values import HEADER, KEPT, VALUES
from sandbox_workers import Case, TestSuite

_PLAIN = """
import sys, types
program, tests = (open(path).read() for path in sys.argv[1:])
module = sys.modules["program"] = types.ModuleType("program")
exec(compile(program, "program.py", "exec"), module.__dict__)
sys.modules["__main__"] = module
module.__dict__["__name__"] = "__main__"
exec(compile(tests, "tests.py", "exec"), module.__dict__)
"""


class Honest(NamedTuple):
    """One program with its suite."""

    kind: str
    name: str
    program: str
    suite: TestSuite
    packages: tuple[str, ...] = ()
    """Those that the tests need."""


def plain_run_passes(honest: Honest, directory: Path) -> bool:
    """What plain Python says, in a directory of its own."""
    directory.mkdir()
    (directory / "program.py").write_text(honest.program, encoding="utf-8")
    (directory / "tests.py").write_text("\n".join(honest.suite.tests), encoding="utf-8")
    if honest.suite.kind == "stdio":
        case = honest.suite.cases[0]
        ran = _python(directory, ["program.py"], case.given)
        return ran.returncode == 0 and ran.stdout.split() == case.expected.split()
    if "pytest" in honest.packages:
        (directory / "solution.py").write_text(honest.program, encoding="utf-8")
        (directory / "tests.py").write_text("\n".join((honest.program, *honest.suite.tests)), encoding="utf-8")
        return _python(directory, ["-m", "pytest", "-p", "no:cacheprovider", "tests.py"]).returncode == 0
    return _python(directory, ["-c", _PLAIN, "program.py", "tests.py"]).returncode == 0


def _python(directory: Path, arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def honest_programs() -> list[Honest]:
    """All of them."""
    found = [
        *_guards(),
        *_state(),
        *_files(),
        *_values(),
        *_exceptions(),
        *_endings(),
        *_as_a_script(),
        *_tests(),
        *_suites(),
    ]
    assert len({(honest.kind, honest.name) for honest in found}) == len(found)
    return found


def _honest(kind: str, name: str, program: str, tests: str) -> Honest:
    return Honest(kind, name, program, TestSuite("assert", tests=(tests,)))


def _guards() -> Iterator[Honest]:
    """A: main guards, under every condition that people write."""
    bodies = ("n = int(input())\n    print(f(n))", "import sys\n    sys.exit(main())", "raise SystemExit(1)")
    conditions = ("__name__ == '__main__'", '"__main__" == __name__', "(__name__ == '__main__')")
    for (i, body), (j, condition) in itertools.product(enumerate(bodies), enumerate(conditions)):
        program = f"def f(n):\n    return n * 2\nif {condition}:\n    {body}\n"
        yield _honest("A", f"guard {i} {j}", program, "assert f(2) == 4")
        yield _honest("A", f"guard {i} {j} in a loop", program, "for i in range(3):\n    assert f(i) == 2 * i")


def _state() -> Iterator[Honest]:
    """C: state of the process that tests set or watch; each with a program that passes and one that does not."""
    watched = {
        "stdout": ("print('hi')", "import io, contextlib\ns = io.StringIO()\nwith contextlib.redirect_stdout(s):\n    f()\nassert s.getvalue() == 'hi\\n'"),
        "replaced stdout": ("print('hi')", "import io, sys\nsys.stdout = io.StringIO()\nf()\nassert sys.stdout.getvalue() == 'hi\\n'"),
        "stdin": ("return input()", "import io, sys\nsys.stdin = io.StringIO('5\\n')\nassert f() == '5'"),
        "patched input": ("return input('?')", "from unittest import mock\nwith mock.patch('builtins.input', lambda *_: '7'):\n    assert f() == '7'"),
        "own input": ("return input()", "input = lambda *_: '7'\nassert f() == '7'"),
        "environ": ("import os\n    return os.environ['K']", "import os\nos.environ['K'] = 'v'\nassert f() == 'v'"),
        "patched environ": ("import os\n    return os.getenv('K')", "import os\nfrom unittest.mock import patch\nwith patch.dict(os.environ, {'K': 'v'}):\n    assert f() == 'v'"),
        "seed": ("import random\n    return random.random()", "import random\nrandom.seed(1)\na = random.random()\nrandom.seed(1)\nassert f() == a"),
        "directory": ("import os\n    return os.getcwd()", "import os\nos.mkdir('sub')\nos.chdir('sub')\nassert f().endswith('sub')"),
        "decimal": ("from decimal import Decimal\n    return str(Decimal(1) / 3)", "import decimal\nwith decimal.localcontext() as c:\n    c.prec = 3\n    assert f() == '0.333'"),
        "warnings": ("import warnings\n    warnings.warn('old')", "import warnings\nwith warnings.catch_warnings(record=True) as w:\n    warnings.simplefilter('always')\n    f()\nassert len(w) == 1"),
        "logging": ("import logging\n    logging.getLogger('a').error('x')", "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        with self.assertLogs('a'):\n            f()\nunittest.main(argv=['x'])"),
        "time": ("import time\n    return time.time()", "import time\ntime.time = lambda: 5\nassert f() == 5"),
        "sleep": ("import time\n    time.sleep(9)", "from unittest.mock import patch\nwith patch('time.sleep') as s:\n    f()\nassert s.call_args[0] == (9,)"),
        "argv": ("import sys\n    return sys.argv[1]", "import sys\nsys.argv = ['p', 'x']\nassert f() == 'x'"),
        "recursion limit": ("def g(n):\n        return n and 1 + g(n - 1)\n    return g(3000)", "import sys\nsys.setrecursionlimit(5000)\nassert f() == 3000"),
    }  # fmt: skip
    for name, (body, tests) in watched.items():
        yield _honest("C", name, f"def f():\n    {body}\n", tests)
        yield _honest("C", f"{name}, wrong", "def f():\n    return None\n", tests)


def _files() -> Iterator[Honest]:
    """D: files that one side makes and the other uses."""
    made = {"open": "open(p, 'w').write('x')", "path": "import pathlib\n    pathlib.Path(p).write_text('x')", "wrong": "open(p, 'w').write('y')"}  # fmt: skip
    used = {
        "read": "f('a')\nassert open('a').read() == 'x'",
        "append": "f('a')\nopen('a', 'a').write('z')\nassert open('a').read() == 'xz'",
        "remove": "import os\nf('a')\nassert open('a').read() == 'x'\nos.remove('a')\nassert not os.path.exists('a')",
        "move": "import os\nf('a')\nos.rename('a', 'b')\nassert open('b').read() == 'x'",
        "temporary directory": "import tempfile, os\nwith tempfile.TemporaryDirectory() as d:\n    p = os.path.join(d, 'a')\n    f(p)\n    assert open(p).read() == 'x'",
        "temporary file": "import tempfile\nwith tempfile.NamedTemporaryFile('r+') as t:\n    f(t.name)\n    assert open(t.name).read() == 'x'",
        "own directory": "import os, shutil\nos.mkdir('d')\nf('d/a')\nassert open('d/a').read() == 'x'\nshutil.rmtree('d')",
    }  # fmt: skip
    for (how, body), (name, tests) in itertools.product(made.items(), used.items()):
        yield _honest("D", f"{name}, {how}", f"def f(p):\n    {body}\n", tests)


def _values() -> Iterator[Honest]:
    """E: values that are not lists and numbers, and what tests do with them; returned and not returned."""
    for name, (value, tests) in VALUES.items():
        yield _honest("E", name, f"{HEADER}def f():\n    return {value}\n", tests)
        yield _honest("E", f"{name}, wrong", f"{HEADER}def f():\n    return {value!r}\n", tests)
    for name, (program, tests) in KEPT.items():
        yield _honest("E", name, program, tests)


def _exceptions() -> Iterator[Honest]:
    """F: what tests ask of exceptions."""
    raised = {
        "ValueError('bad', 3)": ("ValueError", ("e.args == ('bad', 3)", "str(e) == \"('bad', 3)\"")),
        "KeyError('k')": ("LookupError", ("e.args[0] == 'k'", "str(e) == \"'k'\"")),
        "OSError(2, 'no', 'file')": (
            "FileNotFoundError",
            ("e.errno == 2", "e.filename == 'file'", "e.strerror == 'no'"),
        ),
        "_Own('text', 7)": ("ValueError", ("e.code == 7", "str(e) == 'own text'", "type(e).__name__ == '_Own'")),
        "StopIteration(5)": ("StopIteration", ("e.value == 5",)),
        "SystemExit(3)": ("SystemExit", ("e.code == 3",)),
        "ZeroDivisionError('x')": ("ArithmeticError", ("isinstance(e, ZeroDivisionError)",)),
        "json.JSONDecodeError('m', 'doc', 1)": ("ValueError", ("e.pos == 1", "e.msg == 'm'", "e.lineno == 1")),
        "UnicodeDecodeError('utf8', b'x', 0, 1, 'r')": ("UnicodeDecodeError", ("e.start == 0", "e.reason == 'r'")),
        "ImportError('m', name='n')": ("ImportError", ("str(e) == 'm'",)),
    }
    header = (
        "import json\nclass _Own(ValueError):\n    def __init__(self, text, code):\n        super().__init__(text, code)\n"
        "        self.text, self.code = text, code\n    def __str__(self):\n        return 'own ' + self.text\n"
    )
    for value, (caught, checks) in raised.items():
        for check in checks:
            tests = f"try:\n    f()\n    assert False, 'nothing raised'\nexcept {caught} as e:\n    assert {check}"
            yield _honest("F", f"{value}: {check}", f"{header}def f():\n    raise {value}\n", tests)
        cases = (
            f"import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertRaises({caught}, f)"
        )
        yield _honest("F", f"{value}: assertRaises", f"{header}def f():\n    raise {value}\n", cases)
        yield _honest(
            "F", f"{value}: nothing raised", f"{header}def f():\n    return {value}\n", f"{cases}\nT('test').debug()"
        )
    chained = "try:\n        1 / 0\n    except ZeroDivisionError as e:\n        raise ValueError('x') from e"
    group = "raise ExceptionGroup('g', [ValueError('a'), TypeError('b')])"
    for name, body, tests in (
        ("cause", chained, "try:\n    f()\nexcept ValueError as e:\n    assert isinstance(e.__cause__, ZeroDivisionError)"),
        ("group", group, "found = []\ntry:\n    f()\nexcept* ValueError as e:\n    found.append(1)\nexcept* TypeError:\n    found.append(2)\nassert found == [1, 2]"),
        ("parts of a group", group, "try:\n    f()\nexcept ExceptionGroup as e:\n    assert len(e.exceptions) == 2"),
        ("note", "e = ValueError('x')\n    e.add_note('n')\n    raise e", "try:\n    f()\nexcept ValueError as e:\n    assert e.__notes__ == ['n']"),
    ):  # fmt: skip
        yield _honest("F", name, f"def f():\n    {body}\n", tests)


def _script(kind: str, name: str, program: str, expected: str, stdin: str = "") -> Honest:
    return Honest(kind, name, program, TestSuite("stdio", cases=(Case(stdin, expected),)))


def _endings() -> Iterator[Honest]:
    """I: output that is still in a buffer when the program ends, by who holds the buffer and how it ends."""
    holders = {
        "class": "class IO:\n    out = {}\ndef write(s):\n    IO.out.write(s)",
        "default": "def write(s, out={}):\n    out.write(s)",
        "dict": "D = dict(o={})\ndef write(s):\n    D['o'].write(s)",
        "closure": "def make():\n    o = {}\n    return lambda s: o.write(s)\nwrite = make()",
        "bound method": "write = {}.write",
        "list": "L = [{}]\ndef write(s):\n    L[0].write(s)",
        "instance": "class W:\n    def __init__(self):\n        self.o = {}\n    def __call__(self, s):\n        self.o.write(s)\nwrite = W()",
    }  # fmt: skip
    files = {"number": "open(1, 'w')", "fdopen": "__import__('os').fdopen(1, 'w')", "buffer": "__import__('io').TextIOWrapper(__import__('sys').stdout.buffer)"}  # fmt: skip
    ends = {"end": "", "exit": "raise SystemExit", "sys.exit": "import sys\nsys.exit(0)"}
    for (holder, code), (file, opened), (end, last) in itertools.product(holders.items(), files.items(), ends.items()):
        yield _script("I", f"{holder}, {file}, {end}", f"{code.format(opened)}\nwrite('hi\\n')\n{last}\n", "hi\n")


def _as_a_script() -> Iterator[Honest]:
    """K and L: what differs easily from ``python program.py``."""
    programs = {
        "file exists": ("import os\nprint(os.path.exists(__file__), os.path.basename(__file__))", "True program.py\n"),
        "reads itself": ("print(open(__file__).read().count('open'))", "2\n"),
        "source": ("import inspect\ndef f():\n    return 1\nprint(inspect.getsource(f))", "def f():\n    return 1\n"),
        "argv": ("import sys\nprint(sys.argv)", "['program.py']\n"),
        "name": ("print(__name__)", "__main__\n"),
        "main module": ("import __main__\nx = 5\nprint(__main__.x)", "5\n"),
        "recursion limit": ("import sys\nprint(sys.getrecursionlimit())", "1000\n"),
        "set recursion limit": ("import sys\nsys.setrecursionlimit(5000)\nprint(sys.getrecursionlimit())", "5000\n"),
        "largest recursion limit": ("import sys\nsys.setrecursionlimit(2**31 - 1)\nprint('ok')", "ok\n"),
        "depth": ("def r(n):\n    try:\n        return r(n + 1)\n    except RecursionError:\n        return n\nprint(r(0) > 900)", "True\n"),
        "thread pool": ("from multiprocessing.pool import ThreadPool\nwith ThreadPool(3) as p:\n    print(p.map(abs, [-1, 2]))", "[1, 2]\n"),
        "lock": ("from multiprocessing import Lock\nwith Lock():\n    print(1)", "1\n"),
        "value": ("from multiprocessing import Value\nv = Value('i', 3)\nprint(v.value)", "3\n"),
        "semaphore": ("from multiprocessing import Semaphore\ns = Semaphore(2)\ns.acquire()\nprint(1)", "1\n"),
        "executor": ("from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(8) as e:\n    print(sum(e.map(abs, range(9))))", "36\n"),
        "many threads": ("import threading\nts = [threading.Thread(target=lambda: None) for _ in range(40)]\n[t.start() for t in ts]\n[t.join() for t in ts]\nprint(len(ts))", "40\n"),
        "large stack": ("import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 28)\ndef r(n):\n    return n and 1 + r(n - 1)\nt = threading.Thread(target=lambda: print(r(20000)))\nt.start()\nt.join()", "20000\n"),
        "reserved memory": ("import mmap\nm = mmap.mmap(-1, 1 << 29)\nprint(len(m))", f"{1 << 29}\n"),
        "ended by a signal": ("import os, signal\nprint(1, flush=True)\nos.kill(os.getpid(), signal.SIGTERM)\nprint(2)", "1\n"),
        "handled signal": ("import os, signal\nsignal.signal(signal.SIGUSR1, lambda *_: print('got'))\nos.kill(os.getpid(), signal.SIGUSR1)", "got\n"),
        "alarm": ("import signal, time\ndef stop(*_):\n    raise TimeoutError\nsignal.signal(signal.SIGALRM, stop)\nsignal.setitimer(signal.ITIMER_REAL, 0.01)\ntry:\n    time.sleep(1)\nexcept TimeoutError:\n    print('late')", "late\n"),
        "default handler": ("import signal\nprint(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)", "True\n"),
        "time zone": ("from zoneinfo import ZoneInfo\nfrom datetime import datetime\nprint(datetime(2024, 1, 1, tzinfo=ZoneInfo('Asia/Tokyo')).utcoffset())", "9:00:00\n"),
        "user": ("import getpass\nprint(bool(getpass.getuser()))", "True\n"),
        "temporary": ("import tempfile\nwith tempfile.TemporaryFile() as t:\n    t.write(b'x')\n    print(t.tell())", "1\n"),
        "exit function": ("import atexit\natexit.register(print, 'bye')\nprint('hi')", "hi\nbye\n"),
        "exit code": ("print(1)\nraise SystemExit(3)", "1\n"),
        "exit text": ("print(1)\nraise SystemExit('no')", "1\n"),
        "pickle": ("import pickle\nclass A:\n    x = 1\nprint(pickle.loads(pickle.dumps(A())).x)", "1\n"),
        "type hints": ("import typing\nclass A:\n    x: 'int'\nprint(typing.get_type_hints(A))", "{'x': <class 'int'>}\n"),
        "data class": ("from dataclasses import dataclass\n@dataclass\nclass A:\n    x: int = 1\nprint(A())", "A(x=1)\n"),
        "last words": ("class A:\n    def __del__(self):\n        print('gone')\na = A()", "gone\n"),
        "input": ("import sys\nprint(sum(map(int, sys.stdin)))", "6\n"),
        "binary input": ("import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))", "6\n"),
        "raw input": ("import os\nprint(sum(map(int, os.read(0, 99).split())))", "6\n"),
        "input by number": ("print(sum(map(int, open(0).read().split())))", "6\n"),
        "generator of lines": ("print(sum(int(x) for x in iter(input, '3')))", "3\n"),
    }  # fmt: skip
    for name, (program, expected) in programs.items():
        yield _script("L", name, program + "\n", expected, "1\n2\n3\n")


def _tests() -> Iterator[Honest]:
    """O and P: tests that call often or with much, and those that end themselves."""
    yield _honest("O", "many calls", "def f(n):\n    return n + 1\n", "for i in range(5000):\n    assert f(i) == i + 1")
    yield _honest(
        "O",
        "large arguments",
        "def f(a):\n    return sum(a)\n",
        "a = list(range(100000))\nfor i in range(10):\n    assert f(a) == 4999950000",
    )
    main = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        self.assertEqual(f(2), 4)\n"
    for (i, factor), (j, end) in itertools.product(
        enumerate((2, 3)), enumerate(("unittest.main(argv=['x'])", "if __name__ == '__main__':\n    unittest.main(argv=['x'])", "unittest.main(argv=['x'], exit=False)\nassert f(2) == 4"))
    ):  # fmt: skip
        yield _honest("P", f"unittest {i} {j}", f"def f(n):\n    return n * {factor}\n", main + end)


def _suites() -> Iterator[Honest]:
    """P and L: more suites and scripts of the forms in which people write them."""
    for name, program, tests in (*SUITES, *MORE_SUITES):
        yield _honest("P", name, program, tests)
    for name, program, tests in COPIES:
        yield _honest("E", name, program, tests)
    for name, program, tests in PYTEST_SUITES:
        yield _honest("P", f"pytest {name}", program, tests)._replace(packages=("pytest",))
    for package, name, program, tests in PACKAGE_SUITES:
        yield _honest("E", name, program, tests)._replace(packages=(package,))
    for name, program, expected, stdin in (*SCRIPTS, *MORE_SCRIPTS):
        yield _script("L", name, program, expected, stdin)
