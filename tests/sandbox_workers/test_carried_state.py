"""State of the process that tests set reaches the program in its own process, and gives it no way to forge."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sandbox_workers import Limits, Sandbox, TestSuite

CAPTURE = "import contextlib, io\nout = io.StringIO()\nwith contextlib.redirect_stdout(out):\n    {}\n"
COUNTS = "def f(n):\n    for i in range(n):\n        print(i)\n    return n\n"
READS = "def f():\n    return input()\n"
ROLLS = "import random\ndef f(n):\n    return [random.randint(1, 6) for _ in range(n)]\n"
MODE = "import os\ndef f():\n    return os.environ.get('MODE', 'dev')\n"

CASES = {
    "redirected": (COUNTS, CAPTURE.format("f(3)") + "assert out.getvalue() == '0\\n1\\n2\\n'"),
    "redirected, wrong": (COUNTS, CAPTURE.format("f(2)") + "assert out.getvalue() == '0\\n1\\n2\\n'"),
    "redirected, with what tests print": (
        COUNTS,
        CAPTURE.format("print('a', end=' '); f(1); print('b')") + "assert out.getvalue() == 'a 0\\nb\\n'",
    ),
    "written before an exception": (
        "def f():\n    print('a')\n    raise ValueError('b')\n",
        CAPTURE.format("try:\n        f()\n    except ValueError as e:\n        assert str(e) == 'b'")
        + "assert out.getvalue() == 'a\\n'",
    ),
    "written by a generator": (
        "def f():\n    for i in range(3):\n        print(i)\n        yield i\n",
        CAPTURE.format("values = f(); next(values); next(values)") + "assert out.getvalue() == '0\\n1\\n'",
    ),
    "written where the stream is no longer redirected": (
        "def f():\n    print('a')\n    yield 1\n",
        CAPTURE.format("values = f()") + "assert next(values) == 1 and out.getvalue() == ''",
    ),
    "a stream that the program has kept": (
        "import sys\ndef f(n, out=sys.stdout):\n    print(n, file=out)\n",
        CAPTURE.format("f(1)") + "assert out.getvalue() == ''",
    ),
    "no buffer below": (
        "import sys\ndef f():\n    sys.stdout.buffer.write(b'a')\n",
        CAPTURE.format("f()") + "assert out.getvalue() == 'a'",
    ),
    "replaced": (
        COUNTS,
        "import io, sys\nold, sys.stdout = sys.stdout, io.StringIO()\nf(1)\n"
        "text, sys.stdout = sys.stdout.getvalue(), old\nassert text == '0\\n'",
    ),
    "input": (READS, "import io, sys\nsys.stdin = io.StringIO('5\\n6\\n')\nassert (f(), f()) == ('5', '6')"),
    "input, wrong": (READS, "import io, sys\nsys.stdin = io.StringIO('5\\n6\\n')\nassert f() == '6'"),
    "input that is left": (
        READS,
        "import io, sys\nsys.stdin = io.StringIO('5\\n6\\n')\nf()\nassert sys.stdin.read() == '6\\n'\n"
        "sys.stdin = sys.__stdin__",
    ),
    "input that ends": (
        READS,
        "import io, sys\nsys.stdin = io.StringIO('')\ntry:\n    f()\nexcept EOFError:\n    pass\nelse:\n"
        "    assert False",
    ),
    "prompt": (
        "def f():\n    return input('name? ')\n",
        "import io, sys\nsys.stdin = io.StringIO('x\\n')\nsys.stdout = out = io.StringIO()\nassert f() == 'x'\n"
        "sys.stdout = sys.__stdout__\nassert out.getvalue() == 'name? '",
    ),
    "seed": (ROLLS, "import random\nrandom.seed(0)\nassert f(5) == [4, 4, 1, 3, 5]\nassert f(2) == [4, 4]"),
    "same seed again": (ROLLS, "import random\nrandom.seed(0)\na = f(5)\nrandom.seed(0)\nassert a == f(5) != f(5)"),
    "seed, wrong": (ROLLS, "from random import seed\nseed(1)\nassert f(5) == [4, 4, 1, 3, 5]"),
    "environment": (
        MODE,
        "import os\nassert f() == 'dev'\nos.environ['MODE'] = 'prod'\nassert f() == 'prod'\ndel os.environ['MODE']\n"
        "assert f() == 'dev'",
    ),
    "environment, wrong": (MODE, "from os import environ\nenviron['MODE'] = 'prod'\nassert f() == 'dev'"),
    "directory": (
        "def f():\n    with open('x') as file:\n        return file.read()\n",
        "import os, tempfile\nwith tempfile.TemporaryDirectory() as there:\n    with open(there + '/x', 'w') as file:\n"
        "        file.write('q')\n    home = os.getcwd()\n    os.chdir(there)\n    assert f() == 'q'\n"
        "    os.chdir(home)\n",
    ),
}

SHARED = {
    "a stream of their own": (
        COUNTS,
        "import sys\nclass Out:\n    text = ''\n    def write(self, text):\n        Out.text += text\n"
        "    def flush(self): pass\nsys.stdout = Out()\nf(1)\nsys.stdout = sys.__stdout__\nassert Out.text == '0\\n'",
    ),
    "numbers of their own": (
        "import random\ndef f():\n    return random.random()\n",
        "import random\nrandom.seed(1)\na = random.random()\nrandom.seed(1)\nassert f() == a",
    ),
    "environment that the program sets": (
        "import os\ndef f():\n    os.environ['A'] = '1'\n",
        "import os\nf()\nassert os.environ['A'] == '1'",
    ),
    "directory that the program enters": (
        "import os, tempfile\ndef f():\n    path = os.path.realpath(tempfile.mkdtemp())\n    os.chdir(path)\n"
        "    return path\n",
        "import os\nassert f() == os.getcwd()",
    ),
    "stream that the program replaces": (
        "import io, sys\ndef f():\n    sys.stdout = io.StringIO()\n",
        "import sys\nold = sys.stdout\nf()\ntext, sys.stdout = sys.stdout.getvalue(), old\nassert text == ''",
    ),
    "descriptors": (
        "import os\ndef f():\n    os.write(1, b'a')\n",
        "import os, sys, tempfile\nwith tempfile.TemporaryFile() as file:\n    kept = os.dup(1)\n"
        "    sys.stdout.flush()\n    os.dup2(file.fileno(), 1)\n    f()\n    os.dup2(kept, 1)\n    file.seek(0)\n"
        "    assert file.read() == b'a'",
    ),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox() as sandbox:
        yield sandbox


def plainly(program: str, test: str) -> bool:
    done = subprocess.run([sys.executable, "-I", "-c", f"{program}\n{test}"], capture_output=True, check=False)
    return done.returncode == 0


@pytest.mark.parametrize("name", CASES)
def test_a_call_runs_under_the_state_that_the_tests_have_set(sandbox: Sandbox, name: str) -> None:
    program, test = CASES[name]
    verdict = sandbox.run(program, TestSuite(tests=(test,)))
    assert verdict.ok is plainly(program, test)
    assert not verdict.shared


@pytest.mark.parametrize("name", SHARED)
def test_state_that_cannot_be_carried_makes_the_suite_share_a_process(sandbox: Sandbox, name: str) -> None:
    program, test = SHARED[name]
    assert plainly(program, test)
    verdict = sandbox.run(program, TestSuite(tests=(test,)))
    assert (verdict.status.value, verdict.shared) == ("passed", True)


SAY = """
import json, os, struct, time
def say(*message):
    body = json.dumps(message).encode()
    os.write(3, struct.pack('<I', len(body)) + body)
"""
FORGED = {
    "a text that is no text": "say('returned', None, None)\n    say('left', {'any': 1}, 0, '')",
    "a position behind the input": "say('returned', None, None)\n    say('left', '', 1 << 40, '')",
    "a position before the input": "say('returned', None, None)\n    say('left', '', -1, '')",
    "no position": "say('returned', None, None)\n    say('left', '', True, '')",
    "an answer of another kind": "say('returned', None, None)\n    say('returned', None, None)",
    "an answer before the question": "say('left', '4', 0, '')\n    say('left', '4', 0, '')",
}


@pytest.mark.parametrize("name", FORGED)
def test_what_a_program_says_that_it_left_is_a_text_and_a_position(sandbox: Sandbox, name: str) -> None:
    test = CAPTURE.format("sys.stdin = io.StringIO('1\\n')\n    try:\n        f()\n    except Exception:\n        pass")
    program = f"{SAY}\ndef f():\n    {FORGED[name]}\n    time.sleep(9)\n"
    verdict = sandbox.run(program, TestSuite(tests=("import sys\n" + test + "assert out",)), limits=Limits(wall_s=1))
    assert not verdict.ok


def test_a_program_that_hides_what_it_set_changes_nothing_for_the_tests(sandbox: Sandbox) -> None:
    hide = "import sys\nsys.modules['sandbox_workers.inside.process_state']._shown = lambda: None\n"
    sets = "import os\ndef f(n):\n    os.environ['N'] = '0'\n    return 0\n"
    test = "import os\nos.environ['N'] = '3'\nassert f(int(os.environ['N'])) == 2 * int(os.environ['N'])"
    assert not sandbox.run(hide + sets, TestSuite(tests=(test,))).ok
    told = sandbox.run(sets, TestSuite(tests=(test,)))
    assert told.ok is told.shared  # in one process a plain run is passed as well
    with Sandbox(shared_fallback=False) as strict:
        assert strict.run(sets, TestSuite(tests=(test,))).status == "unsupported"
