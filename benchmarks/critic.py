"""What share of its returns' variance does the critic explain, and what limits it?

Makes the runs of ``experiments/critic.yaml`` that have no record yet (``--run``), or reads what there is. The headline
has, for every arm, ``critic/vf_explained_var`` as the mean over the second half of the steps and over the seeds. Where
the run folders still have their samples, the rows also say how much of the same returns' variance the mean total of the
prompt's other samples explains, which is what there is to know of the prompt (``of_prompt``; not with the group's mean,
which has it already), and the share of samples in groups that the critic learns from (``learnt``).

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
import pyarrow.parquet as pq

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
            limits = [found for r in records if r.arm == arm.name if (found := limit(place.runs / _run(r)))]
            grouped = "algorithm.group_baseline=true" in arm.overrides
            known = {
                name: float(np.mean([found[name] for found in limits]))
                for name in ("learnt", "of_prompt")
                if limits and not (grouped and name == "of_prompt")
            }
            rows.append({"arm": arm.name, "says": arm.says, "by_seed": shares, "mean": mean, **known})
    headline = {row["arm"]: row["mean"] for row in rows}
    config = {"file": options.file.name, "hypotheses": experiment.hypotheses}
    print(headline, write_result("critic", headline, config, rows, folder=options.results))


def explained(record: RunRecord) -> float:
    """Mean share of the variance over the second half of a run's steps."""
    steps, shares = np.array(record.curves[METRIC]).T
    return float(shares[steps >= (steps.max() + 1) / 2].mean())


def limit(folder: Path) -> dict[str, float] | None:
    """What the second half of a run's steps had for a critic to learn from; None without their samples."""
    files = sorted((folder / "samples").glob("step_*.parquet"))
    columns = ["prompt_id", "learnt", "total_reward", "return"]
    samples, returns, others = 0, [], []
    learnt = 0
    for file in files[len(files) // 2 :]:
        rows = pq.read_table(file, columns=columns).to_pylist()
        kept = [row for row in rows if row["learnt"]]
        samples, learnt = samples + len(rows), learnt + len(kept)
        for row in kept:
            rest = [r["total_reward"] for r in kept if r["prompt_id"] == row["prompt_id"] and r is not row]
            if rest:
                returns += row["return"]
                others += [np.mean(rest)] * len(row["return"])
    if not returns:
        return None
    return {"learnt": learnt / samples, "of_prompt": float(np.corrcoef(returns, others)[0, 1] ** 2)}


def _run(record: RunRecord) -> str:
    return f"{record.experiment}-{record.arm}-s{record.seed}"


if __name__ == "__main__":
    main()
