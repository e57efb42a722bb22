"""Verifiers that break on purpose: what a worker does is written into the program's comments.

With the programs that the tests of pools run, and short ways to ask a pool.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ray

from prl_ray.actors.verifier import Verifier
from prl_ray.actors.verifier_pool import PoolReport, VerifierPool
from prl_ray.actors.workers import Workers
from prl_ray.credit.verdicts import LineVerdict
from prl_ray.problems import Problem
from sandbox_workers import Status, TestSuite, Verdict

SUITE = TestSuite(tests=("assert f(1) == 2", "assert f(2) == 3"))
RIGHT, WRONG, RAISES = (
    "def f(x):\n    return x + 1\n",
    "def f(x):\n    return x * 2\n",
    "def f(x):\n    y = 1\n    return x / 0\n",
)
SLOW = "import time\ntime.sleep(0.6)\n" + RIGHT

MakePool = Callable[..., Any]


class FragileVerifier(Verifier):
    """Obeys ``# dies FILE``, ``# breaks FILE`` (a sandbox error) and ``# tells FILE``, also as ``# dies once FILE``.

    FILE gets the worker's process id each time.
    """

    def run(self, programs: Sequence[tuple[str, TestSuite]], stop_at_first_failure: bool = False) -> list[Verdict]:
        broken = {}
        for index, (program, _) in enumerate(programs):
            for what, once, name in re.findall(r"^# (dies|breaks|tells)( once)? (\S+)$", program, re.MULTILINE):
                file = Path(name)
                if once and file.exists():
                    continue
                with file.open("a") as out:
                    out.write(f"{os.getpid()}\n")
                if what == "dies":
                    os._exit(1)
                if what == "breaks":
                    broken[index] = Verdict(Status.SANDBOX_ERROR, message="the cgroup is gone")
        verdicts = super().run(programs, stop_at_first_failure)
        return [broken.get(i, v) for i, v in enumerate(verdicts)]

    def locate(self, programs: Sequence[tuple[Problem, str, bool]]) -> list[LineVerdict]:
        if any(re.search(r"^# dies \S+$", program, re.MULTILINE) for _, program, _ in programs):
            os._exit(1)
        return super().locate(programs)


class FragileWorkers(Workers):
    verifier = FragileVerifier


class FragilePool(VerifierPool):
    """A pool of them."""

    workers_class = FragileWorkers


class HastyWorkers(Workers):
    patience_s = 0.2
    linger_s = 3.0


class HastyPool(VerifierPool):
    """A pool that soon has enough of waiting, and soon again of idle workers."""

    workers_class = HastyWorkers


def run(pool: Any, *programs: str) -> list[Verdict]:
    verdicts: list[Verdict] = ray.get(pool.run.remote([(p, SUITE) for p in programs]), timeout=60)
    return verdicts


def stats(pool: Any) -> dict[str, int]:
    report: PoolReport = ray.get(pool.report.remote(), timeout=10)
    return {**asdict(report.counts), "workers": report.workers, "wanted": report.wanted, "waiting": report.waiting}


def statuses(verdicts: list[Verdict]) -> list[str]:
    return [str(v.status) for v in verdicts]
