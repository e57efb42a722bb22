"""Line verdicts on programs whose wrong line is known: do they blame lines before it?

The programs are references of test problems, rewritten by up to two refactorings that pass the tests (other names,
another order, variables more or less) and then mutated in one line, so that they fail. The reference itself is what the
verdicts have. The rewritten program completes the lines before the mutation, so a verdict before it (``early``) blames
a right line. One behind it (``later``) may be right as well: other lines may complete the mutated one.

  python benchmarks/known_errors.py --path mbpp.jsonl
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.progress import track

from benchmarks._results import RESULTS, write_result
from prl_ray.actors.verifier import COMPLETION_S
from prl_ray.credit.verdicts import LineJudge
from prl_ray.problems import Problem, load_problems
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.rules import RuleTeacher
from prl_ray.supervision.teacher import Variant
from sandbox_workers import Limits, Sandbox

KINDS = ("early", "at", "later", "unknown")
REWRITES, PROPOSED, MUTANTS = 2, 6, 2


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", default="", help="file of mbpp's problems; by default from the hub")
    parser.add_argument("--sets", nargs="+", default=["composed", "mbpp"], choices=["composed", "mbpp"])
    parser.add_argument("--problems", type=int, default=300, help="test problems of each set")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = []
    for name in options.sets:
        if name == "mbpp":
            problems = load_problems(name, path=options.path, split="test", limit=options.problems)
        else:
            problems = load_problems(
                name, split="test", limit=options.problems, seed=options.seed, min_difficulty=2, max_difficulty=7
            )
        rows.append({"problems": name, **measure(problems, random.Random(options.seed))})
    headline = {
        f"{kind}_{row['problems']}": row[kind] / row["programs"] for row in rows for kind in ("early", "unknown")
    }
    config = {"problems": options.problems, "seed": options.seed, "rewrites": REWRITES, "mutants": MUTANTS}
    print(headline, write_result("known_errors", headline, config, rows, folder=options.results))


def measure(problems: Sequence[Problem], rng: random.Random) -> dict[str, Any]:
    """How many verdicts are before, at and behind the mutated line, and how many do not say."""
    counts = Counter(dict.fromkeys(KINDS, 0))
    found_by: Counter[str] = Counter()
    with Sandbox(limits=Limits(wall_s=COMPLETION_S)) as sandbox:
        judge = LineJudge(partial(sandbox.run, stop_at_first_failure=True), sandbox.call)
        for problem in track(problems, "problems"):
            for mutant in _failing(problem, sandbox, rng):
                verdict = judge.verdict(problem, mutant.program, False)
                counts[_kind(verdict.wrong, mutant)] += 1
                found_by[verdict.found_by or "unknown"] += 1
    return {"programs": counts.total(), **counts, "found_by": dict(found_by.most_common())}


def _failing(problem: Problem, sandbox: Sandbox, rng: random.Random) -> Iterator[Variant]:
    def passes(program: str) -> bool:
        return sandbox.run(program, problem.tests, stop_at_first_failure=True).ok

    prefix = len(problem.code_prefix)
    program = canonical(problem.references[0], prefix)
    if not passes(program):
        return
    for _ in range(REWRITES):
        rewritten = RuleTeacher(program, prefix).propose("refactoring", PROPOSED, rng).variants
        program = next((variant.program for variant in rewritten if passes(variant.program)), program)
    for mutant in RuleTeacher(program, prefix).propose("mutation", MUTANTS, rng).variants:
        if not passes(mutant.program):
            yield mutant


def _kind(wrong: int, mutant: Variant) -> str:
    changed = mutant.difference
    if wrong < 0:
        return "unknown"
    return "early" if wrong < changed.line else "at" if wrong in (changed.line, changed.blamed) else "later"


if __name__ == "__main__":
    main()
