"""Does line credit teach more than the outcome? From the stored records of the experiments.

Makes the runs that have no record yet and time for them (``--run``), or reads what there is. Records lie in
``benchmarks/results/evidence_runs``, so that an experiment goes on wherever the repository is; run folders need not.
The experiment ``mbpp`` goes into ``evidence_mbpp.json``, all others into ``evidence.json``.

``exact_over_outcome`` is the best arm with exact locations over the baseline (in ``evidence.json`` on hard programs),
as a difference of sampled pass@1 paired over problems and seeds, ``exact_low`` the lower end of its 95% interval;
``online_*`` the same for the arms whose PRM learns during PPO, where there are any. Only the arms of a kind with the
most seeds, and with as many steps as the baseline, are compared: the best of several noisy arms would be the one with
the fewest. ``seeds`` are those of the best exact arm, ``arms`` those with a record. All arms of all experiments, with
intervals, Holm's correction, costs and curves, are in ``repeats``.

  python benchmarks/evidence.py                                      reads the records
  python benchmarks/evidence.py --run --arms outcome,gate_exact      makes what is missing of these arms first
  python benchmarks/evidence.py benchmarks/experiments/mbpp.yaml --run --path mbpp.jsonl
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, ROOT, write_result
from prl_ray.experiment.plan import read_experiment
from prl_ray.experiment.runs import Place, recorded, run_all
from prl_ray.experiment.summary import Result, summarise

HARD = ("composed_hard", "composed_credit")
"""Experiments on hard programs, the headline's."""
MBPP = "mbpp"
FILES = tuple(
    ROOT / "benchmarks" / "experiments" / f"{name}.yaml" for name in (*HARD, "composed_easy", "main_job", MBPP)
)
RECORDS = RESULTS / "evidence_runs"
KINDS = {"exact": "locator=exact", "online": "prm.online=true"}
"""Kinds of arms in the headline, each with the override that its arms have."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path, default=list(FILES), help="experiment files; all without any")
    parser.add_argument("--run", action="store_true", help="make runs that have no record")
    parser.add_argument("--arms", default="", metavar="A,B", help="only these arms are run")
    parser.add_argument("--seeds", default="", metavar="1,2", help="only these seeds are run")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the runs")
    parser.add_argument(
        "--path", default=os.environ.get("PRL_RAY_MBPP", ""), help="mbpp.jsonl; by default from the hub"
    )
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder of the records")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    results: dict[str, list[Result]] = {}
    for file in options.files:
        experiment = read_experiment(file)
        mbpp = experiment.name == MBPP
        here = [f"problems.path={Path(options.path).resolve()}"] if mbpp and options.path else []
        place = Place(options.runs.resolve(), options.records.resolve(), here)
        if options.run:
            arms = [name for name in options.arms.split(",") if name]
            seeds = [int(seed) for seed in options.seeds.split(",") if seed]
            run_all(experiment, experiment.runs(arms, seeds), place)
        found = recorded(experiment.runs(), place)
        if found:
            results.setdefault("evidence_mbpp" if mbpp else "evidence", []).append(summarise(experiment, found))
    if not results:
        sys.exit(f"error: there is no record in {options.records}; give --run, and time")
    for name, rows in results.items():
        first = [row for row in rows if row["experiment"] in HARD] or rows[:1]
        figures = headline(first)
        config = {"experiments": [row["experiment"] for row in rows], "headline": [row["experiment"] for row in first]}
        print(figures, write_result(name, figures, config, rows, folder=options.results))


def headline(results: Sequence[Result]) -> dict[str, float]:
    """Figures of some experiments; a kind of arm without a comparison is left out."""
    arms = [arm for result in results for arm in result["arms"].values()]
    compared = [
        (arm["overrides"], arm["over_baseline"]["sampled"])
        for arm in arms
        if "over_baseline" in arm and arm["costs_over_baseline"].get("steps", 1) == 1
    ]
    figures: dict[str, float] = {"arms": sum(bool(arm["seeds"]) for arm in arms)}
    for kind, setting in KINDS.items():
        mine = [found for overrides, found in compared if setting in overrides]
        if mine:
            most = max(found["seeds"] for found in mine)
            best = max((found for found in mine if found["seeds"] == most), key=lambda found: found["value"])
            figures |= {f"{kind}_over_outcome": best["value"], f"{kind}_low": best["low"]}
            figures.setdefault("seeds", best["seeds"])
    return figures


if __name__ == "__main__":
    main()
