"""Best of n: how often the program that a reward model likes best of a problem's samples passes, from run folders.

The run needs ``evaluate.rerank=[prm,orm]`` (with ``[prm]`` there are no figures of an ORM) and, for example,
``evaluate.samples=8`` (``prl_ray.train``, or ``prl_ray.evaluate`` with any model). ``random`` is a blind choice,
``oracle`` the best possible one. ``repeats`` holds every aggregate of a PRM's line scores, with standard errors and
differences to ``random``, paired over problems. The headline is that of the first folder with the default aggregate;
the result of a problem set other than MBPP is ``best_of_n_NAME``.

  python benchmarks/best_of_n.py runs/NAME                  the run's last policy
  python benchmarks/best_of_n.py runs/A runs/B --policy sft
  python benchmarks/best_of_n.py runs/B --keep              keeps the stored figures of other runs, each with its date
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, read_result, write_result
from benchmarks._runs import read_evaluation
from prl_ray.evaluation import read_samples
from prl_ray.rerank import CHOICES, best_of_n
from prl_ray.rewards.program_scores import AGGREGATES, DEFAULT_AGGREGATE


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_FOLDER", help="finished run folder")
    parser.add_argument("--policy", default="", help="base, sft or ppo; by default the last that was evaluated")
    parser.add_argument("--keep", action="store_true", help="keep the stored figures of other runs")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    rows = [figures(run, options.policy) for run in options.runs]
    first = rows[0]
    headline = {"n": first["n"], **{way: first[way]["pass@1"] for way in CHOICES if way in first}}
    config = {"aggregate": DEFAULT_AGGREGATE, "policy": first["policy"]}
    name = "best_of_n" if first["problems"] == "mbpp" else f"best_of_n_{first['problems']}"
    if options.keep:
        rows += others(name, [row["run"] for row in rows], options.results)
    print(headline, write_result(name, headline, config, rows, folder=options.results))


def others(name: str, runs: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """The stored figures of runs that are not among ``runs``, with ``measured``: date and commit."""
    try:
        stored = read_result(name, folder)
    except FileNotFoundError:
        return []
    when = {key: stored["environment"][key] for key in ("date", "commit")}
    return [{"measured": when, **row} for row in stored["repeats"] if row["run"] not in runs]


def figures(run: Path, policy: str = "") -> dict[str, Any]:
    """Best of n of one policy of a run, ``prm`` by the default aggregate and ``prm_NAME`` by each.

    Ends the command where the run lacks the policy or the PRM's scores.
    """
    evaluation = read_evaluation(run)
    name = policy or list(evaluation["policies"])[-1]
    file = run / f"samples_{name}_sampled.jsonl"
    if not file.is_file():
        sys.exit(f"error: {file} is missing: {run.name} has not evaluated '{name}'; see evaluate.policies")
    samples = read_samples(file)
    if not samples.line_scores:
        sys.exit(f"error: {file} lacks the PRM's scores: evaluate with evaluate.rerank=[prm,orm]")
    found = best_of_n(samples, DEFAULT_AGGREGATE)
    every = {f"prm_{aggregate}": best_of_n(samples, aggregate)["prm"] for aggregate in AGGREGATES}
    about = {"run": run.name, "policy": name, "problems": evaluation["problems"], "split": evaluation["split"]}
    return {**about, **found, **every}


if __name__ == "__main__":
    main()
