"""Makes the runs of an experiment that have no record yet, each in a process of its own.

A run that was interrupted resumes when the experiment is started again: the run's folder has its checkpoints. What has
a record is not run again, whatever became of its folder.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from prl_ray.errors import DataError, PrlRayError
from prl_ray.experiment.plan import Experiment, RunPlan, Start
from prl_ray.experiment.records import RunRecord, read_record, record_run

Execute = Callable[[Sequence[str]], int]
"""Runs ``python -m prl_ray.train`` with overrides; the exit code."""
Say = Callable[[str], None]


def train(overrides: Sequence[str]) -> int:
    """``python -m prl_ray.train`` in a process of its own."""
    return subprocess.run([sys.executable, "-m", "prl_ray.train", *overrides], check=False).returncode


@dataclass(frozen=True, slots=True)
class Place:
    """Where an experiment's runs and records lie."""

    runs: Path
    """Folder of the run folders, with the artifacts that they share."""
    records: Path
    """Folder of the records."""


def run_all(
    experiment: Experiment,
    plans: Sequence[RunPlan],
    place: Place,
    *,
    jobs: int = 1,
    execute: Execute = train,
    say: Say = print,
) -> list[RunRecord]:
    """Makes the missing runs, ``jobs`` at a time, and returns the records of ``plans``.

    A run that fails does not keep the others from running. Raises ``PrlRayError`` at the end, naming those that failed;
    ``DataError`` before anything runs where a record is of other settings.
    """
    todo = [plan for plan in plans if read_record(place.records, plan) is None]
    say(f"{experiment.name}: {len(plans) - len(todo)} of {len(plans)} runs have a record")
    if todo:
        begin = _begin(experiment, place, execute, say)
        with ThreadPoolExecutor(jobs) as pool:
            started = {pool.submit(_make, plan, begin, place, execute, say): plan for plan in todo}
            failed = [f"{started[f].name}: {f.exception()}" for f in as_completed(started) if f.exception()]
        if failed:
            raise PrlRayError(f"{len(failed)} of {len(todo)} runs failed: " + "; ".join(sorted(failed)))
    return [record for plan in plans if (record := read_record(place.records, plan))]


def recorded(plans: Sequence[RunPlan], place: Place) -> list[RunRecord]:
    """The records that there are, without running anything."""
    return [record for plan in plans if (record := read_record(place.records, plan))]


def _begin(experiment: Experiment, place: Place, execute: Execute, say: Say) -> tuple[str, ...]:
    """The overrides with which every arm starts from the experiment's own model; none without one."""
    begin: tuple[str, ...] = ()
    for number, start in enumerate(experiment.starts, 1):
        name = f"{experiment.name}-start" + (f"-{number}" if number > 1 else "")
        folder = place.runs / name / start.artifact
        if _made_by(folder, start):
            say(f"{name}: is there")
        else:
            say(f"{name}: {' '.join(start.overrides)}")
            own = [f"seed={start.seed}", f"name={name}", f"runs_dir={place.runs}"]
            code = execute([*start.overrides, *begin, *own])
            if code or not folder.is_dir():
                raise PrlRayError(f"{name} ended with code {code} and made no {folder}")
            (folder.parent / "start.json").write_text(json.dumps([*start.overrides, start.seed]), encoding="utf-8")
        begin = (f"model.path={folder.resolve()}",)
    return begin


def _made_by(folder: Path, start: Start) -> bool:
    stated = folder.parent / "start.json"
    if not folder.is_dir() or not stated.is_file():
        return False
    if json.loads(stated.read_text(encoding="utf-8")) != [*start.overrides, start.seed]:
        raise DataError(f"{folder.parent} was made by another `start` than the experiment file has now: move it away")
    return True


def _make(plan: RunPlan, begin: Sequence[str], place: Place, execute: Execute, say: Say) -> None:
    say(f"{plan.name}: {' '.join(plan.overrides)}")
    own = [f"seed={plan.seed}", f"name={plan.name}", f"runs_dir={place.runs}"]
    code = execute([*plan.overrides, *begin, *own])
    if code:
        raise PrlRayError(f"exit code {code}")
    say(f"{plan.name}: {record_run(place.runs / plan.name, plan).write(place.records)}")
