"""Which lines do locators blame? From the stored samples of an experiment's runs.

Of the failures whose first wrong line execution has found: the share in which the locator of the run names that line
(``hit_ARM``), a right line before it (``early_ARM``), a later one (``late_ARM``), and none (``none_ARM``), over all
seeds and stored steps of each arm. Arms that locate by execution, or not at all, are left out. The result of another
experiment than ``composed_hard`` has its name. Figures that the result already has of other runs are kept: an
experiment may be made on several machines.

  python benchmarks/locator_errors.py --runs FOLDER --experiment composed_hard
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from numpy.typing import NDArray

from benchmarks._results import RESULTS, ROOT, read_result, write_result
from prl_ray.tracking.sample_store import SampleStore
from sandbox_workers import UNDECIDED, Status

KINDS = ("hit", "early", "late", "none")
COLUMNS = ("status", "wrong_line", "located_line")
NO_FAILURE = (Status.PASSED, *UNDECIDED)
NONE = -1
FIRST = "composed_hard"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder of the runs")
    parser.add_argument("--experiment", default=FIRST)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args(arguments)
    name = "locator_errors" if options.experiment == FIRST else f"locator_errors_{options.experiment}"
    new = {(row["arm"], row["seed"]): row for row in measured(options.runs, options.experiment)}
    if not new:
        sys.exit(f"error: no run of {options.experiment} in {options.runs} has stored samples with located lines")
    known = read_result(name, options.results)["repeats"] if (options.results / f"{name}.json").is_file() else []
    merged = {(row["arm"], row["seed"]): row for row in known} | new
    rows = [merged[key] for key in sorted(merged)]
    arms = {row["arm"]: [other for other in rows if other["arm"] == row["arm"]] for row in rows}
    headline = {f"{kind}_{arm}": share(own, kind) for arm, own in arms.items() for kind in KINDS}
    failures = {arm: sum(row["failures"] for row in own) for arm, own in arms.items()}
    config = {"experiment": options.experiment, "failures": failures}
    print(headline, write_result(name, headline, config, rows, folder=options.results))


def measured(runs: Path, experiment: str) -> Iterator[dict[str, Any]]:
    """The counts of each run, by arm and seed."""
    for folder in sorted(runs.glob(f"{experiment}-*-s*")):
        named = re.fullmatch(rf"{re.escape(experiment)}-(\w+)-s(\d+)", folder.name)
        store = SampleStore(folder / "samples")
        if not named or not store.steps():
            continue
        samples = [row for step in store.steps() for row in store.read(step, COLUMNS).to_pylist()]
        known = [row for row in samples if row["wrong_line"] is not None and row["status"] not in NO_FAILURE]
        wrong = np.array([row["wrong_line"] for row in known], dtype=np.int64)
        named_lines = [NONE if row["located_line"] is None else row["located_line"] for row in known]
        found = np.array(named_lines, dtype=np.int64)
        if (found != NONE).any() and (found != wrong).any():
            yield {"arm": named[1], "seed": int(named[2]), "failures": len(known), **counts(found, wrong)}


def counts(found: NDArray[np.int64], wrong: NDArray[np.int64]) -> dict[str, int]:
    """Failures of each of ``KINDS``. Both are int64 ``[failures]``; ``found`` is ``NONE`` without a located line."""
    named = found != NONE
    kinds = (found == wrong, named & (found < wrong), named & (found > wrong), ~named)
    return {kind: int(mask.sum()) for kind, mask in zip(KINDS, kinds, strict=True)}


def share(rows: Sequence[dict[str, Any]], kind: str) -> float:
    """Of all failures of some runs."""
    return float(sum(row[kind] for row in rows) / sum(row["failures"] for row in rows))


if __name__ == "__main__":
    main()
