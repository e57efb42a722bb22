"""All of MBPP's training problems, labelled by the rule teacher on this machine alone, without Ray.

``positive`` and ``negative`` are labelled lines, each counted once after the same text (without ends), ``unknown`` the
variants without a label, ``minutes`` the whole labelling. ``checked`` random rows are run again as plain programs with
their asserts in fresh interpreters; ``disagreements`` counts runs that contradict the label. ``repeats`` holds yield
and survival by operator, and those of one-node mutants measured without this project's labeller.

    python benchmarks/labels_mbpp.py --path mbpp.jsonl
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, write_result
from benchmarks.verifier_workload import plain_run
from prl_ray.problems import Problem, load_problems
from prl_ray.supervision import LabelConfig, LabelledProgram, without_repeats
from prl_ray.supervision.local import label_in_processes
from prl_ray.supervision.operators import OPERATORS
from sandbox_workers import Limits

LIMITS = Limits(wall_s=6, cpu_s=1)
"""Processor time decides: on a busy machine a right program must not time out."""

ONE_NODE_SURVIVAL = {
    "comparison_boundary": 0.65,
    "range_bounds": 0.29,
    "off_by_one": 0.27,
    "string_constant": 0.24,
    "argument_swap": 0.22,
    "arithmetic": 0.14,
    "statement_deletion": 0.09,
    "variable_misuse": 0.07,
    "negated_condition": 0.03,
}
"""Of 10,415 one-node mutants of the same references, by the nearest operator: the share that passes the given tests."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--path", default=os.environ.get("PRL_RAY_MBPP", ""), help="mbpp.jsonl; by default from the hub"
    )
    parser.add_argument("--problems", type=int, help="only the first N problems")
    parser.add_argument("--variants", type=int, default=13, help="variants kept per problem")
    parser.add_argument("--oversample", type=float, default=1.8, help="variants run for each variant kept")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--checked", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    problems = load_problems("mbpp", path=options.path, split="train", limit=options.problems)
    config = LabelConfig(
        variants_per_problem=options.variants, oversample=options.oversample, seed=options.seed, chunk=16
    )
    start = time.monotonic()
    report = label_in_processes(problems, config, options.workers, limits=LIMITS)
    seconds = time.monotonic() - start
    wrong = disagreements(problems, report.rows, options.checked, options.seed, options.workers)
    lines = Counter(label for row in without_repeats(report.rows) for label in row.line_labels[:-1])
    headline = {
        "positive": lines[1],
        "negative": lines[0],
        "unknown": report.totals["unknown"],
        "minutes": seconds / 60,
        "checked": min(options.checked, len(report.rows)),
        "disagreements": len(wrong),
    }
    settings = {**vars(options), "split": "train", "rule": "differential inputs"}
    figures = {
        "problems": len(problems),
        "variants_per_second": report.totals["executed"] / seconds,
        "totals": report.totals,
        "notes": report.notes,
        "survival": survival(report.table),
        "operators": report.table,
        "disagreements": wrong,
    }
    config_file = {key: value for key, value in settings.items() if key not in ("path", "results")}
    print(report.markdown())
    print(f"{figures['variants_per_second']:.0f} variants per second; {figures['notes']}; {report.totals}")
    print(headline, write_result("labels_mbpp", headline, config_file, [figures], folder=options.results))


def survival(table: Mapping[str, Mapping[str, int]]) -> dict[str, dict[str, float]]:
    """By mutation: variants decided by the tests, the share that survived, and that of one-node mutants if known."""
    found = {}
    for name, counts in sorted(table.items()):
        decided = counts["killed"] + counts["survived"]
        if decided and (name not in OPERATORS or OPERATORS[name].kind == "mutation"):
            known = {"one_node": ONE_NODE_SURVIVAL[name]} if name in ONE_NODE_SURVIVAL else {}
            found[name] = {"decided": decided, "survived": counts["survived"] / decided, **known}
    return found


def disagreements(
    problems: Sequence[Problem], rows: Sequence[LabelledProgram], count: int, seed: int, workers: int
) -> list[dict[str, Any]]:
    """Of ``count`` random rows, those whose plain run contradicts the label."""
    suites = {problem.task_id: problem.tests for problem in problems}
    chosen = random.Random(seed).sample(list(rows), min(count, len(rows)))
    with ThreadPoolExecutor(workers) as pool:
        plain = list(pool.map(lambda row: plain_run(row.program, suites[row.task_id]), chosen))
    return [
        {"task": row.task_id, "operator": row.operator, "ours": row.status, "plain": passed, "program": row.program}
        for row, passed in zip(chosen, plain, strict=True)
        if row.passed != (passed is True)
    ]


if __name__ == "__main__":
    main()
