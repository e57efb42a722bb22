"""Executes the runs of an experiment that have no record, each in its own process.

Starting the experiment again resumes interrupted runs from their checkpoints. A run with a record is not repeated, even
if its folder is gone.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prl_ray.child_commands import ChildCommands
from prl_ray.errors import DataError, PrlRayError
from prl_ray.experiment.plan import Experiment, RunPlan, Start
from prl_ray.experiment.records import RunRecord, read_record, record_run

Execute = Callable[[Sequence[str]], int]
"""Runs ``python -m prl_ray.train`` with overrides; returns the exit code."""
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Folders of an experiment's runs and records."""

    runs: Path
    """Folder of the run folders and their shared artifacts."""
    records: Path
    """Folder of the records."""
    overrides: Sequence[str] = ()
    """Settings of this machine, for all runs."""


def run_all(
    experiment: Experiment,
    plans: Sequence[RunPlan],
    place: Place,
    *,
    jobs: int = 1,
    execute: Execute | None = None,
    say: Say = print,
) -> list[RunRecord]:
    """Executes the missing runs, ``jobs`` at a time, and returns the records of ``plans``.

    ``execute`` is by default ``python -m prl_ray.train`` in a process of its own, which ends where this call is
    interrupted. A failed run does not stop the others. Raises ``PrlRayError`` at the end with the failed runs, and
    ``DataError`` at the start if a record has other settings.
    """
    todo = [plan for plan in plans if read_record(place.records, plan) is None]
    say(f"{experiment.name}: {len(plans) - len(todo)} of {len(plans)} runs have a record")
    if todo:
        with ThreadPoolExecutor(jobs) as pool, ChildCommands() as commands:
            train = execute or partial(commands.run, "prl_ray.train")
            model = _begin(experiment, place, train, say)
            started = {pool.submit(_make, plan, model, place, train, say): plan for plan in todo}
            try:
                failed = [f"{started[f].name}: {f.exception()}" for f in as_completed(started) if f.exception()]
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        if failed:
            raise PrlRayError(f"{len(failed)} of {len(todo)} runs failed: " + "; ".join(sorted(failed)))
    return [record for plan in plans if (record := read_record(place.records, plan))]


def recorded(plans: Sequence[RunPlan], place: Place) -> list[RunRecord]:
    """The existing records; runs nothing."""
    return [record for plan in plans if (record := read_record(place.records, plan))]


def _begin(experiment: Experiment, place: Place, execute: Execute, say: Say) -> Path | None:
    """Executes the ``start`` runs if needed; returns the model from which every arm starts, in the folder of the last
    of these runs, or None without a start."""
    model: Path | None = None
    for number, start in enumerate(experiment.starts, 1):
        if start.model is not None:
            model = start.model.resolve()
            continue
        name = f"{experiment.name}-start" + (f"-{number}" if number > 1 else "")
        folder = place.runs / name / start.artifact
        if _made_by(folder, start):
            say(f"{name}: exists")
        else:
            say(f"{name}: {' '.join(start.overrides)}")
            own = [f"seed={start.seed}", f"name={name}", f"runs_dir={place.runs}"]
            code = execute([*start.overrides, *place.overrides, *_from(model), *own])
            if code or not folder.is_dir():
                raise PrlRayError(f"{name} ended with code {code} and made no {folder}")
            (folder.parent / "start.json").write_text(json.dumps([*start.overrides, start.seed]), encoding="utf-8")
        model = folder
    return model


def _from(model: Path | None) -> tuple[str, ...]:
    """The overrides with which a run starts from a model, which is a link to an artifact in the folder of its run."""
    return () if model is None else (f"model.path={model.resolve()}",)


def _made_by(folder: Path, start: Start) -> bool:
    stated = folder.parent / "start.json"
    if not folder.is_dir() or not stated.is_file():
        return False
    if json.loads(stated.read_text(encoding="utf-8")) != [*start.overrides, start.seed]:
        raise DataError(f"{folder.parent} belongs to another `start` than the experiment file has: move it away")
    return True


def _make(plan: RunPlan, model: Path | None, place: Place, execute: Execute, say: Say) -> None:
    say(f"{plan.name}: {' '.join(plan.overrides)}")
    overrides = plan.overrides if model is None else plan.at(model.parent)
    own = [f"seed={plan.seed}", f"name={plan.name}", f"runs_dir={place.runs}"]
    code = execute([*overrides, *place.overrides, *_from(model), *own])
    if code:
        raise PrlRayError(f"exit code {code}")
    folder = place.runs / plan.name
    say(f"{plan.name}: {record_run(folder, plan).write(place.records)}")
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)  # only to resume from: those of all runs fill a disk
