"""The overview of a run: newest figures, curves, groups, verdicts, the time of a step, and alarms."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from prl_ray.errors import DataError
from prl_ray.run_lock import NAME as LOCK
from prl_ray.run_lock import STALE_S
from prl_ray.tracking.charts import CHARTS, Chart
from prl_ray.tracking.evaluation_tables import evaluation_tables, gain_lines, read_evaluation
from prl_ray.view.alarms import alarms
from prl_ray.view.anatomy import anatomy
from prl_ray.view.history import BINS, History, short
from prl_ray.view.runs import Run

LIVE_S = 180.0
"""Age in seconds of the metrics after which a run does not count as running."""


FIRST = ("pass_rate", "reward", "validation", "critic")
"""Charts that show whether a run learns."""


def overview(run: Run) -> dict[str, object]:
    """The data of the page."""
    history = run.history
    history.refresh()
    return {
        "run": run.name,
        **state(run),
        "charts": [drawn for chart in CHARTS if (drawn := _drawn(history, chart))],
        "evaluation": evaluation(run),
        "groups": _groups(history),
        "verdicts": _verdicts(history),
        "anatomy": anatomy(history),
        "alarms": alarms(history),
        "missing": missing(run),
        "stages": [{"name": name, "seconds": short(s)} for name, s in history.stage_seconds.items()],
    }


def state(run: Run) -> dict[str, object]:
    """Step, newest figures, and whether the run is active."""
    history = run.history
    curve = history.curves.get("timing_s/step")
    validation = [name for name in history.names("val-core/") if not name.endswith("/se")]
    ended = run.file("evaluation.json") is not None
    going = time.time() - history.newest < LIVE_S or is_held(run.file(LOCK))
    return {
        "state": "finished" if ended else "running" if going else "stopped" if history.newest else "empty",
        "stage": history.stages[-1] if history.stages else None,
        "step": int(curve.steps[-1]) + 1 if curve and len(curve.steps) else None,
        "time": history.newest,
        "pass_rate": short(history.last("critic/score/mean")),
        "validation": short(history.last(validation[0])) if validation else None,
        "reward": short(history.last("critic/rewards/mean")),
        "kl": short(history.last("actor/kl")),
        "entropy": short(history.last("actor/entropy")),
        "tokens": short(history.last("response_length/mean")),
        "step_s": short(history.last("timing_s/step")),
    }


def is_held(lock: Path | None) -> bool:
    """Whether a process holds the run's lock: the file has content, and its holder touched it recently."""
    if lock is None:
        return False
    found = lock.stat()
    return found.st_size > 0 and time.time() - found.st_mtime < STALE_S


def evaluation(run: Run) -> dict[str, object] | None:
    """The tables of ``evaluation.json``, as in ``report.md``; None without one.

    Raises:
        DataError: the file is not an evaluation.
    """
    path = run.file("evaluation.json")
    if path is None:
        return None
    try:
        found = read_evaluation(path)
        tables = [table._asdict() for table in evaluation_tables(found)]
        where = f"{found.get('n_problems', '?')} problems of {found['problems']} ({found['split']})"
        says = f"{where}; percent ± standard error."
        return {"says": says, "tables": tables, "gains": gain_lines(found)}
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{run.name}: evaluation.json is not an evaluation ({error})") from error


def missing(run: Run) -> list[str]:
    """One sentence for each file that is missing or unreadable."""
    history = run.history
    words = list(history.complaints)
    if not history.curves:
        words.append("This run has no metrics yet.")
    if run.file("config.yaml") is None:
        words.append("It has no config.yaml.")
    if not history.samples:
        folder = run.file("samples")
        old = folder is not None and any(folder.glob("step_*.jsonl"))
        words.append(
            "Its samples were written by an older version of prl_ray (JSON lines), which has no per-token columns: the "
            "pages of problems and samples are empty. report.md of the run shows some programs."
            if old
            else "It has no samples: PPO has not made a step yet, or an older version ran it."
        )
    elif run.file("problems.jsonl") is None:
        words.append("It has no problems.jsonl: prompts, tests and references are not shown.")
    return words


def _drawn(history: History, chart: Chart) -> dict[str, object] | None:
    lines = []
    for name, label in chart.lines(sorted(history.curves)).items():
        steps, values = history.points(name)
        lines.append({"metric": name, "label": label, "x": steps, "y": values})
    if not lines:
        return None
    return {"title": chart.title, "says": chart.says, "lines": lines, "first": chart.name in FIRST}


def _groups(history: History) -> dict[str, object]:
    """Groups by kind, and each kind's share of the advantages, over binned steps."""
    return {
        "steps": _binned_steps(history),
        "groups": {kind: _binned([step.groups.get(kind, 0) for step in history.samples]) for kind in KINDS},
        "gradient": {kind: _binned([step.gradient.get(kind, 0.0) for step in history.samples]) for kind in KINDS},
    }


KINDS = ("failing", "mixed", "passing")


def _verdicts(history: History) -> dict[str, object]:
    names = sorted({status for step in history.samples for status in step.verdicts})
    order = sorted(names, key=lambda name: (name != "passed", name))
    return {
        "steps": _binned_steps(history),
        "counts": {name: _binned([step.verdicts.get(name, 0) for step in history.samples]) for name in order},
    }


def _edges(count: int) -> list[int]:
    edges: list[int] = np.unique(np.linspace(0, count, min(BINS, count) + 1).astype(int)).tolist()
    return edges


def _binned_steps(history: History) -> list[int]:
    return [history.samples[start].step for start in _edges(len(history.samples))[:-1]]


def _binned(values: Sequence[float]) -> list[float | None]:
    edges = _edges(len(values))
    return [short(sum(values[a:b]) / (b - a)) for a, b in pairwise(edges)]
