"""The table of all runs, and runs side by side: curves, settings, and the arms of experiments."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from prl_ray.errors import DataError
from prl_ray.view.history import short
from prl_ray.view.overview import missing, state
from prl_ray.view.runs import Run, Runs
from prl_ray.view.settings import differences, settings

SHOWN = ("model.name", "problems.name", "reward.name", "algorithm.estimator", "algorithm.locator", "seed")
CURVES = ("critic/score/mean", "critic/rewards/mean", "actor/kl", "response_length/mean")
MOST = 8


def run_table(runs: Runs) -> dict[str, object]:
    """The page of all runs. A run that cannot be read has a row that says why."""
    rows: list[tuple[float, dict[str, object]]] = []
    for run in runs.all():
        try:
            run.history.refresh(samples=False)
            shown = settings(run)
            picked = {key: str(shown[key]) for key in SHOWN if key in shown}
            row = {"run": run.name, **state(run), "settings": picked, "evaluation": _evaluated(run)}
            rows.append((run.history.newest, row))
        except DataError as error:
            row = {"run": run.name, "state": "unreadable", "error": str(error), "settings": {}}
            rows.append((0.0, row))
    rows.sort(key=lambda timed: -timed[0])
    return {
        "rows": [row for _, row in rows],
        "columns": list(SHOWN),
        "experiments": [_experiment(path) for path in runs.experiments()],
    }


def compare(runs: Runs, names: Sequence[str]) -> dict[str, object]:
    """Curves and differing settings of some runs.

    Raises:
        DataError: a run does not exist, or they are too many.
    """
    if not 0 < len(names) <= MOST:
        raise DataError(f"choose one to {MOST} runs to compare")
    found = [runs.named(name) for name in names]
    for run in found:
        run.history.refresh(samples=False)
    validation = sorted({n for run in found for n in run.history.names("val-core/") if not n.endswith("/se")})
    charts = []
    for metric in (*validation, *CURVES):
        lines = [(run, run.history.points(metric)) for run in found]
        drawn = [{"label": run.name, "metric": metric, "x": x, "y": y} for run, (x, y) in lines if x]
        if drawn:
            charts.append({"title": metric, "lines": drawn})
    return {
        "runs": list(names),
        "differences": differences(found),
        "charts": charts,
        "missing": {run.name: missing(run) for run in found},
    }


def _evaluated(run: Run) -> dict[str, object]:
    """Sampled pass@1 of each policy on the held-out problems, with its standard error."""
    path = run.file("evaluation.json")
    if path is None:
        return {}
    try:
        policies = json.loads(path.read_text(encoding="utf-8"))["policies"]
        found = {name: figures.get("sampled") or figures.get("greedy") or {} for name, figures in policies.items()}
        return {name: [short(f.get("pass@1")), short(f.get("se"))] for name, f in found.items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{run.name}: evaluation.json is not an evaluation ({error})") from error


def _experiment(path: Path) -> dict[str, object]:
    """An experiment's arms: pass@1, difference to the baseline with its interval, and bands over the seeds."""
    name = path.parent.name.removeprefix("experiment-")
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        arms = []
        for arm, figures in result["arms"].items():
            curves = {metric: band for metric, band in figures.get("curves", {}).items() if _drawn(metric)}
            over = figures.get("over_baseline", {}).get("sampled")
            arms.append(
                {
                    "arm": arm,
                    "says": figures.get("says", ""),
                    "seeds": figures.get("seeds", []),
                    "pass1": short(figures.get("pass1_sampled")),
                    "over": over and {key: short(over.get(key)) for key in ("value", "low", "high", "holm_p")},
                    "curves": {m: [[short(v) for v in row] for row in band] for m, band in curves.items()},
                }
            )
        return {
            "name": name,
            "hypothesis": result["hypothesis"],
            "baseline": result["baseline"],
            "missing": result["missing"],
            "arms": arms,
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return {"name": name, "error": f"result.json is not the result of an experiment ({error})"}


def _drawn(metric: str) -> bool:
    return metric == "critic/score/mean" or (metric.startswith("val-core/") and not metric.endswith("/se"))
