"""CPU of the verifier for the revision whose interpreter runs this file: ``python _house_side.py MBPP PROGRAMS``.

Reads nothing but what every revision has: ``Sandbox``, ``TestSuite`` and their oldest arguments. A sandbox that judges
few programs is subtracted from one that judges more, so that its start does not count.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

from sandbox_workers import Sandbox, TestSuite

FEW = 50


def main() -> None:
    """Prints the figures as JSON."""
    rows = [json.loads(line) for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines()]
    jobs = [job(row) for row in rows if 601 <= row["task_id"] <= 974]
    few, many = used(jobs, FEW), used(jobs, FEW + int(sys.argv[2]))
    print(json.dumps({key: (many[key] - few[key]) / int(sys.argv[2]) for key in few}))


def job(row: dict) -> tuple[str, TestSuite]:
    """A reference and its asserts."""
    setup, *tests = (text.replace("\r\n", "\n") for text in (row["test_setup_code"], *row["test_list"]))
    return row["code"].replace("\r\n", "\n"), TestSuite("assert", setup=setup, tests=tuple(tests))


def used(jobs: list[tuple[str, TestSuite]], count: int) -> dict[str, float]:
    """Milliseconds: CPU of this process, CPU of all child processes, and wall time."""
    start, own, children = time.perf_counter(), time.process_time(), _children()
    with Sandbox() as sandbox:
        for i in range(count):
            sandbox.run(*jobs[i % len(jobs)])
    return {
        "own_ms": 1000 * (time.process_time() - own),
        "children_ms": 1000 * (_children() - children),
        "wall_ms": 1000 * (time.perf_counter() - start),
    }


def _children() -> float:
    found = resource.getrusage(resource.RUSAGE_CHILDREN)
    return found.ru_utime + found.ru_stime


if __name__ == "__main__":
    main()
