"""verl's own Sandbox Fusion client against our server: does it get the sandbox's own verdicts?

    python benchmarks/verifier_fusion.py [--programs 200]       needs ``pip install --no-deps verl requests``

References of MBPP and one mutant of each go through verl's ``compute_score``, one assert per request, to a server with
fewer places in its queue than verl has requests, so that some are answered 504 and tried again; a program agrees when
its score is 1 exactly where ``Sandbox.run`` says that it passes. Programs that read and print, functions that are
called by name, C++, and each way to fail go through ``check_correctness``, whose codes are known beforehand.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, write_result
from benchmarks.verifier_workload import TRAIN, Reference, mutants, references
from sandbox_workers import Sandbox

CLIENTS = 12
"""Programs that are asked for at once, of some three requests each."""
QUEUE, WORKERS = 32, 2
MEMORY_MB = 1024
TIMEOUT_S = 2
"""Of a request: mutants that never end keep a worker so long."""
START_S = 60

RUNTIME_ERROR, TIMEOUT, COMPILE_ERROR = -2, -3, -4
"""verl's codes; ``True`` and ``False`` are right and wrong output."""


class Known(NamedTuple):
    """A program whose codes are known, one for each pair of input and output."""

    name: str
    program: str
    pairs: tuple[tuple[str, str], ...]
    codes: tuple[bool | int, ...]
    function: str = ""
    language: str = "python"
    timeout_s: int = 10


ADD = "a, b = map(int, input().split())\nprint(a + b)\n"
ADD_CPP = "#include <iostream>\nint main() { long a, b; std::cin >> a >> b; std::cout << a + b << std::endl; }\n"
SUMS = (("1 2", "3"), ("20 22", "42"), ("1 1", "3"))
KNOWN = (
    Known("standard input and output", ADD, SUMS, (True, True, False)),
    Known("a function by name", "def f(a, b):\n    return [b, a]\n", (("1\n[2]", "[[2], 1]"),), (True,), "f"),
    Known("a method by name", "class Solution:\n    def f(self, x):\n        return x\n", (("7", "7"),), (True,), "f"),
    Known("raises", "print(1 / 0)\n", (("", "1"),), (RUNTIME_ERROR,)),
    Known("exits with a code", "import sys\nprint(3)\nsys.exit(3)\n", (("", "3"),), (RUNTIME_ERROR,)),
    Known("never ends", "while True:\n    pass\n", (("", ""),), (TIMEOUT,), timeout_s=1),
    Known("does not parse", "def f(:\n", (("", ""),), (RUNTIME_ERROR,)),
    Known("prints 200 kB", "print('x' * 200_000)\n", (("", "x" * 200_000),), (True,)),
    Known("C++", ADD_CPP, SUMS, (True, True, False), language="cpp"),
    Known("C++ that does not compile", "int main() { return x; }\n", (("", ""),), (COMPILE_ERROR,), language="cpp"),
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--programs", type=int, default=200, help="references and mutants of MBPP together")
    parser.add_argument("--port", type=int, default=18_080)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    client, release = verl_client()
    work = list(_programs(options.programs))
    with Sandbox() as sandbox:
        expected = [sandbox.run(program, reference.suite).ok for program, reference in work]
    with server(options.port) as address, _retries(client) as retries:
        url = f"{address}/run_code"
        started = time.perf_counter()
        with ThreadPoolExecutor(CLIENTS) as threads:
            scores = list(threads.map(lambda item: _score(client, url, *item), work))
        seconds = time.perf_counter() - started
        known = {case.name: _codes(client, url, case) for case in KNOWN}
    heard = [(work[i][1].task, score == 1.0, expected[i]) for i, score in enumerate(scores) if score is not None]
    differing = [f"MBPP/{task}" for task, passed, right in heard if passed != right]
    wrong = {case.name: known[case.name] for case in KNOWN if known[case.name] != list(case.codes)}
    headline = {
        "programs": len(work),
        "passing": sum(expected),
        "disagreements": len(differing),
        "known": len(KNOWN),
        "known_wrong": len(wrong),
        "tried_again": len(retries),
        "given_up": len(work) - len(heard),
    }
    config = {"verl": release, "clients": CLIENTS, "queue": QUEUE, "workers": WORKERS}
    rows = [{"seconds": seconds, "differing": differing, "codes": known}]
    write_result("verifier_fusion", headline, config, rows, folder=options.results)
    print(json.dumps({**headline, "differing": differing, "wrong": wrong}, indent=1))


def verl_client() -> tuple[ModuleType, str]:
    """verl's module of the client and verl's version, without the rest of verl and what that needs."""
    package = importlib.util.find_spec("verl")
    if package is None or not package.submodule_search_locations:
        raise SystemExit("verl is not installed: pip install --no-deps verl requests")
    folder = Path(package.submodule_search_locations[0])
    file = folder / "utils" / "reward_score" / "sandbox_fusion" / "__init__.py"
    spec = importlib.util.spec_from_file_location("sandbox_fusion", file, submodule_search_locations=[str(file.parent)])
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module, version("verl")


@contextmanager
def server(port: int) -> Iterator[str]:
    """Our server as anybody starts it; its address."""
    settings = {"port": port, "workers": WORKERS, "queue": QUEUE}
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "sandbox_workers", "serve", *options, "--languages", "python", "cpp"]
    address = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_S
        while not _answers(address):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit("the server did not start")
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def _retries(client: ModuleType) -> Iterator[list[str]]:
    """What the client logged of requests that were answered 504; it tries those again by itself."""
    import logging

    found: list[str] = []

    class Counting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "504" in record.getMessage():
                found.append(record.getMessage())

    logger, handler = logging.getLogger(f"{client.__name__}.utils"), Counting()
    logger.addHandler(handler)
    logger.propagate = False
    yield found
    logger.removeHandler(handler)


def _programs(count: int) -> Iterator[tuple[str, Reference]]:
    """References, and a mutant of each."""
    dice = random.Random(0)
    chosen = [reference for reference in references() if reference.task in TRAIN][: count // 2]
    for reference in chosen:
        yield reference.program, reference
        for mutant in mutants(reference.program, 1, dice):
            yield mutant, reference


_AT_ONCE = threading.Semaphore(CLIENTS * 3)


def _score(client: ModuleType, url: str, program: str, reference: Reference) -> float | None:
    """verl's score; None where it gave up on a request after three tries (and would call the program wrong)."""
    tests = {"assert_case": [f"{reference.suite.setup}\n{test}" for test in reference.suite.tests]}
    score, seen = client.compute_score(url, _AT_ONCE, MEMORY_MB, f"```python\n{program}\n```", tests, timeout=TIMEOUT_S)
    return None if any(case["status"] == "api_error" for case in seen) else float(score)


def _codes(client: ModuleType, url: str, case: Known) -> list[Any]:
    pairs: dict[str, Any] = {"inputs": [given for given, _ in case.pairs], "outputs": [said for _, said in case.pairs]}
    if case.function:
        pairs["fn_name"] = case.function
    codes, _ = client.check_correctness(url, pairs, case.program, case.timeout_s, MEMORY_MB, case.language)
    return list(codes)


if __name__ == "__main__":
    main()
