"""What share of its returns' variance does the critic explain, and what limits it?

Makes the runs of ``experiments/critic.yaml`` that have no record yet (``--run``), or reads what there is. The headline
has, for every arm, ``critic/vf_explained_var`` as the mean over the second half of the steps and over the seeds.

  python benchmarks/critic.py            reads the records
  python benchmarks/critic.py --run      makes the missing runs first; resumes where it was interrupted
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks._results import RESULTS, ROOT, write_result
from prl_ray.experiment.plan import read_experiment
from prl_ray.experiment.records import RunRecord
from prl_ray.experiment.runs import Place, recorded, run_all

FILE = ROOT / "benchmarks" / "experiments" / "critic.yaml"
RECORDS = RESULTS / "critic_runs"
METRIC = "critic/vf_explained_var"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=FILE, help="the experiment file")
    parser.add_argument("--run", action="store_true", help="make runs that have no record")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the runs")
    parser.add_argument("--records", type=Path, default=RECORDS, help="folder of the records")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    experiment, place = read_experiment(options.file), Place(options.runs.resolve(), options.records.resolve())
    if options.run:
        run_all(experiment, experiment.runs(), place)
    records = recorded(experiment.runs(), place)
    if not records:
        sys.exit(f"error: there is no record in {place.records}; give --run, and time")
    rows: list[dict[str, Any]] = []
    for arm in experiment.arms:
        shares = {str(r.seed): explained(r) for r in records if r.arm == arm.name}
        if shares:
            mean = float(np.mean(list(shares.values())))
            rows.append({"arm": arm.name, "says": arm.says, "by_seed": shares, "mean": mean})
    headline = {row["arm"]: row["mean"] for row in rows}
    config = {"file": options.file.name, "hypotheses": experiment.hypotheses}
    print(headline, write_result("critic", headline, config, rows, folder=options.results))


def explained(record: RunRecord) -> float:
    """Mean share of the variance over the second half of a run's steps."""
    steps, shares = np.array(record.curves[METRIC]).T
    return float(shares[steps >= (steps.max() + 1) / 2].mean())


if __name__ == "__main__":
    main()
