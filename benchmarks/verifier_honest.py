"""Honest programs of every kind that people write: does the sandbox say what a plain run says?

    python benchmarks/verifier_honest.py [--cases FOLDER]

``--cases``: a folder with a ``CASES.tsv`` (name, the right verdict) and a folder per case with a program and its
``tests.json``. The programs of ``benchmarks/_honest_programs.py`` have plain Python as their reference.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._honest_programs import Honest, honest_programs, plain_run_passes
from benchmarks._results import RESULTS, write_result
from sandbox_workers import Sandbox, SuiteError, TestSuite, Verdict
from sandbox_workers.cli import SUFFIXES

HANDED = Path(__file__).resolve().parents[2] / "shared" / "cases" / "sandbox"


class Judged(NamedTuple):
    """What became of one program."""

    kind: str
    name: str
    right: bool
    said: str
    shared: bool


def main() -> None:
    """Judge everything, write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=Path, default=HANDED)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    own = list(judge_own(honest_programs()))
    handed = list(judge_cases(options.cases)) if options.cases.is_dir() else []
    if not handed:
        print(f"no cases in {options.cases}: only the programs of our own", file=sys.stderr)
    for judged in (*own, *handed):
        if not judged.right:
            print(f"{judged.kind} {judged.name}: {judged.said}", file=sys.stderr)
    headline = {
        "cases": len(own) + len(handed),
        "right": sum(judged.right for judged in (*own, *handed)),
        "shared_share": sum(judged.shared for judged in own) / len(own),
    }
    rows = [{"source": "own", "kinds": _by_kind(own)}, {"source": "handed", "kinds": _by_kind(handed)}]
    print(write_result("verifier_honest", headline, {"reference": "python program.py"}, rows, folder=options.results))


def judge_own(programs: list[Honest]) -> Iterator[Judged]:
    """Each program in the sandbox and plainly."""
    ordered = sorted(programs, key=lambda honest: honest.packages)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as threads:
        places = [Path(folder) / str(number) for number in range(len(ordered))]
        passing = threads.map(plain_run_passes, ordered, places)
        for packages, group in itertools.groupby(ordered, key=lambda honest: honest.packages):
            with Sandbox(packages=packages) as sandbox:
                yield from map(partial(_judge_own, sandbox), group, passing)


def _judge_own(sandbox: Sandbox, honest: Honest, passes: bool) -> Judged:
    verdict = sandbox.run(honest.program, honest.suite)
    return Judged(honest.kind, honest.name, verdict.ok is passes, _said(verdict), verdict.shared)


def judge_cases(folder: Path) -> Iterator[Judged]:
    """Each handed case against the verdict that its table calls right."""
    with (folder / "CASES.tsv").open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table, delimiter="\t"):
            verdict = _judge_case(folder / row["name"], "numpy" in (row["flags"] or ""))
            said = "a refused suite" if verdict is None else verdict.status.value
            shared = verdict is not None and verdict.shared
            right = said == row["right"] or (row["right"].startswith("not passed") and (said != "passed" or shared))
            yield Judged(row["class"][:1], row["name"], right, said if verdict is None else _said(verdict), shared)


def _judge_case(case: Path, with_numpy: bool) -> Verdict | None:
    """The verdict of a case; None where its suite is refused."""
    (program,) = case.glob("program.*")
    language = SUFFIXES.get(program.suffix, "python")
    try:
        suite = TestSuite.from_json(json.loads((case / "tests.json").read_text(encoding="utf-8")))
        with Sandbox(packages=["numpy"] if with_numpy else [], languages=[language]) as sandbox:
            source = program.read_text(encoding="utf-8", errors="surrogateescape")
            return sandbox.run(source, suite, language=language)
    except SuiteError:
        return None


def _said(verdict: Verdict) -> str:
    return " ".join(filter(None, (verdict.status.value, verdict.error, verdict.message[:100])))


def _by_kind(found: list[Judged]) -> dict[str, dict[str, int]]:
    programs, right, shared = (
        Counter(judged.kind for judged in found if chosen(judged))
        for chosen in (lambda _: True, lambda judged: judged.right, lambda judged: judged.shared)
    )
    return {
        kind: {"programs": count, "right": right[kind], "shared": shared[kind]}
        for kind, count in sorted(programs.items())
    }


if __name__ == "__main__":
    main()
