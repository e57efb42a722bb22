"""The table of all runs, and comparisons of runs: curves, settings, and the arms of experiments."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.experiment.statistics import band
from prl_ray.tracking.charts import CHARTS
from prl_ray.tracking.evaluation_tables import POLICIES, read_evaluation
from prl_ray.view.files import named, number, read_json
from prl_ray.view.history import POINTS, History, short
from prl_ray.view.overview import missing, state
from prl_ray.view.runs import Run, Runs
from prl_ray.view.settings import arms, differences, settings

SHOWN = ("model.name", "problems.name", "reward.name", "algorithm.estimator", "algorithm.locator", "seed")
CURVES = ("critic/score/mean", "critic/rewards/mean", "actor/kl", "response_length/mean")
MOST = 16
"""Maximum number of runs in a comparison."""


def run_table(runs: Runs) -> dict[str, object]:
    """The page of all runs. The row of an unreadable run has the reason."""
    rows: list[tuple[float, dict[str, object]]] = []
    for run in runs.all():
        with run.history.lock:
            rows.append((run.history.newest, _row(run)))
    rows.sort(key=lambda timed: -timed[0])
    return {
        "rows": [row for _, row in rows],
        "columns": list(SHOWN),
        "policies": POLICIES,
        "experiments": [_experiment(path) for path in runs.experiments()],
    }


def _row(run: Run) -> dict[str, object]:
    try:
        run.history.refresh(samples=False)
        shown = settings(run)
        picked = {key: str(shown[key]) for key in SHOWN if key in shown}
        row: dict[str, object] = {"run": run.name, **state(run), "settings": picked, "evaluation": _evaluated(run)}
        if not run.history.curves and run.history.complaints:
            row["state"] = "unreadable"
        return {**row, "error": " ".join(run.history.complaints)}
    except DataError as error:
        return {"run": run.name, "state": "unreadable", "error": str(error), "settings": {}}


def compare(runs: Runs, names: Sequence[str]) -> dict[str, object]:
    """Curves and differing settings of some runs.

    Raises:
        DataError: a run does not exist, or there are too many.
    """
    if not 0 < len(names) <= MOST:
        raise DataError(f"choose one to {MOST} runs to compare")
    found = [runs.named(name) for name in dict.fromkeys(names)]
    with ExitStack() as stack:
        for run in sorted(found, key=lambda run: run.name):  # the same order in all threads
            stack.enter_context(run.history.lock)
            run.history.refresh()
        groups = arms(found)
        return {
            "runs": [run.name for run in found],
            "differences": differences(found),
            "arms": [{"label": label, "runs": [run.name for run in members]} for label, members in groups],
            "charts": [chart for metric in _compared(found) if (chart := _chart(metric, found, groups))],
            "missing": {run.name: missing(run) for run in found},
        }


def _compared(runs: Sequence[Run]) -> list[str]:
    validation = {name for run in runs for name in run.history.names("val-core/") if not name.endswith("/se")}
    return [*sorted(validation), *CURVES]


def _chart(metric: str, runs: Sequence[Run], groups: Sequence[tuple[str, list[Run]]]) -> dict[str, object] | None:
    """A metric of some runs: one line per run, or, if an arm has several seeds, a mean with a band per arm."""
    drawn = [(run, run.history.points(metric)) for run in runs if metric in run.history.curves]
    if not drawn:
        return None
    title = next((chart.title for chart in CHARTS if chart.lines([metric])), metric)
    said: dict[str, object] = {"title": title, "says": metric}
    if len(groups) < len(runs):
        found = [(label, _band([run.history for run in members], metric)) for label, members in groups]
        return {**said, "bands": [{"label": label, "rows": rows} for label, rows in found if rows]}
    return {**said, "lines": [{"label": run.name, "x": x, "y": y} for run, (x, y) in drawn]}


def _band(histories: Sequence[History], metric: str) -> list[list[float | None]]:
    """``[[step, mean, least, greatest], …]`` at the steps that all runs have, thinned to at most ``POINTS``."""
    curves = [history.curves[metric] for history in histories if metric in history.curves]
    rows = band([list(zip(curve.steps, curve.values, strict=True)) for curve in curves])
    return [[short(value) for value in row] for row in rows[:: max(1, -(-len(rows) // POINTS))]]


def _evaluated(run: Run) -> dict[str, object]:
    """Sampled pass@1 of each policy on the held-out problems, with its standard error."""
    path = run.file("evaluation.json")
    if path is None:
        return {}
    try:
        policies = read_evaluation(path)["policies"]
        found = {name: figures.get("sampled") or figures.get("greedy") or {} for name, figures in policies.items()}
        return {name: [short(f.get("pass@1")), short(f.get("se"))] for name, f in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{run.name}: evaluation.json is not an evaluation ({error})") from error


def _experiment(path: Path) -> dict[str, object]:
    """An experiment's arms: pass@1, difference from the baseline with its interval, and bands over the seeds."""
    name = path.parent.name.removeprefix("experiment-")
    try:
        result = read_json(path)
    except DataError as error:
        return {"name": name, "error": str(error)}
    if not isinstance(result.get("arms"), dict):
        return {"name": name, "error": f"{path.name} is not the result of an experiment (it has no arms)"}
    absent, stated = result.get("missing"), result.get("hypotheses")
    return {
        "name": name,
        "hypotheses": [str(text) for text in stated] if isinstance(stated, list) else [],
        "baseline": str(result.get("baseline", "")),
        "missing": [str(one) for one in absent] if isinstance(absent, list) else [],
        "arms": [_arm(arm, named(figures)) for arm, figures in named(result["arms"]).items()],
    }


def _arm(name: str, figures: dict[str, object]) -> dict[str, object]:
    seeds, against = figures.get("seeds"), named(figures.get("against"))
    return {
        "arm": name,
        "says": str(figures.get("says", "")),
        "seeds": seeds if isinstance(seeds, list) else [],
        "pass1": short(number(figures.get("pass1_sampled"))),
        "over": _difference(figures.get("over_baseline")),
        "against": str(against.get("arm", "")),
        "over_other": _difference(against.get("over")),
        "curves": {m: _points(rows) for m, rows in named(figures.get("curves")).items() if _drawn(m)},
    }


def _difference(over: object) -> dict[str, float | None] | None:
    sampled = named(named(over).get("sampled"))
    return {key: short(number(sampled.get(key))) for key in ("value", "low", "high", "holm_p")} if sampled else None


def _points(rows: object) -> list[list[float | None]]:
    found = rows if isinstance(rows, list) else []
    return [[short(number(value)) for value in row] for row in found if isinstance(row, list) and len(row) == 4]


def _drawn(metric: str) -> bool:
    return metric == "critic/score/mean" or (metric.startswith("val-core/") and not metric.endswith("/se"))
