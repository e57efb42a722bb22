"""Runs the arms of an experiment file at each of its seeds, and writes the result.

Runs with a record are not repeated, and the same command resumes interrupted runs. The result is one JSON file and one
HTML page with paired differences from the baseline over problems and seeds, 95% bootstrap intervals, Holm's correction
over the arms, and the cost of each arm. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from prl_ray import cli, compose
from prl_ray.experiment.page import page
from prl_ray.experiment.plan import Experiment, machine_overrides, read_experiment
from prl_ray.experiment.runs import Place, recorded, run_all
from prl_ray.experiment.summary import summarise
from prl_ray.tracking.metrics_file import replace_text


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command. Exit codes as :func:`prl_ray.cli.run`."""
    options = _parser().parse_intermixed_args(arguments)
    cli.run("prl_ray.experiment", "", lambda _: _run(options), [])


def write(experiment: Experiment, place: Place) -> Path:
    """Writes ``result.json`` and ``page.html`` of all existing records; returns their folder."""
    result = summarise(experiment, recorded(experiment.runs(), place))
    folder = place.runs / f"experiment-{experiment.name}"
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / "result.json", json.dumps(result, indent=1, allow_nan=False) + "\n")
    replace_text(folder / "page.html", page(result))
    return folder


def _run(options: argparse.Namespace) -> None:
    experiment = read_experiment(options.file)
    plans = experiment.runs(options.arms, options.seeds)
    runs, here = options.runs.resolve(), machine_overrides(options.overrides)
    for plan in {plan.arm: plan for plan in plans}.values():  # report a wrong setting now, not after hours
        compose([*plan.at(runs / "start"), *here, f"seed={plan.seed}", f"name={plan.name}"])
    for start in experiment.starts:
        compose([*start.overrides, *here])
    place = Place(runs, (options.records or runs / f"experiment-{experiment.name}" / "records").resolve(), here)
    if options.dry_run:
        done = {(record.arm, record.seed) for record in recorded(plans, place)}
        for plan in plans:
            print(f"{'done' if (plan.arm, plan.seed) in done else 'todo'}  {plan.name}  {' '.join(plan.overrides)}")
        return
    try:
        if not options.report:
            run_all(experiment, plans, place, jobs=options.jobs)
    finally:
        if recorded(experiment.runs(), place):
            print(f"result: {write(experiment, place)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m prl_ray.experiment", description=__doc__, allow_abbrev=False)
    parser.add_argument("file", type=Path, metavar="FILE", help="the experiment, a YAML file")
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="KEY=VALUE",
        help="settings of this machine for all runs: problems.path, cluster.*, tracking.*",
    )
    parser.add_argument("--arms", type=_names, default=(), metavar="A,B", help="only these arms")
    parser.add_argument("--seeds", type=_numbers, default=(), metavar="1,2", help="only these seeds")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), metavar="FOLDER", help="folder of the runs; default: runs"
    )
    parser.add_argument(
        "--records",
        type=Path,
        metavar="FOLDER",
        help="folder of the records; default: next to the result, in the runs folder",
    )
    parser.add_argument("--jobs", type=_count, default=1, metavar="N", help="runs at a time; default: 1")
    parser.add_argument("--report", action="store_true", help="run nothing; write the result of the existing records")
    parser.add_argument("--dry-run", action="store_true", help="run nothing; list the runs and their state")
    return parser


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of integers") from None


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs")
    return int(text)


if __name__ == "__main__":
    main()
