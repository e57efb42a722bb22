"""Prometheus metrics: documented, drawn on the dashboard, and named in the code that counts them."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

from prl_ray.actors.gauges import METRICS, PREFIX

ROOT = Path(__file__).resolve().parents[2]
EXPORTED = {f"{PREFIX}{name}{'_total' if metric.kind == 'counter' else ''}": metric for name, metric in METRICS.items()}


def used() -> set[str]:
    """First arguments of ``gauges.count`` and ``gauges.show`` in the actors."""
    calls = [
        node
        for file in (ROOT / "prl_ray" / "actors").glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("gauges.count", "gauges.show")
    ]
    return {argument.value for call in calls if isinstance(argument := call.args[0], ast.Constant)}  # type: ignore


def test_every_metric_is_counted_somewhere() -> None:
    assert used() == set(METRICS)


def test_the_documentation_has_a_row_for_each() -> None:
    rows = dict(
        re.findall(r"^\| `(prl_ray_\w+)` \| (.*) \|$", (ROOT / "docs" / "clusters.md").read_text(), re.MULTILINE)
    )
    assert rows == {name: metric.text for name, metric in EXPORTED.items()}


def test_the_dashboard_shows_each() -> None:
    dashboard = json.loads((ROOT / "examples" / "launch" / "grafana.json").read_text())
    drawn = {
        n for panel in dashboard["panels"] for t in panel["targets"] for n in re.findall(r"prl_ray_\w+", t["expr"])
    }
    assert drawn == set(EXPORTED)
