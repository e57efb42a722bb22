"""The result of an experiment as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from prl_ray.experiment.summary import ArmResult, DifferenceFigures, DifficultyFigures, Result
from prl_ray.tracking.line_chart import line_chart

STYLE = """
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; max-width: 75em; margin: 2em auto; padding: 0 1em; line-height: 1.45; }
table { border-collapse: collapse; font-size: 0.92em; margin: 1em 0; }
th, td { padding: 0.25em 0.8em; text-align: right; border-bottom: 1px solid rgb(128 128 128 / 0.3); }
th:first-child, td:first-child { text-align: left; }
blockquote { border-left: 3px solid rgb(128 128 128 / 0.5); margin-left: 0; padding-left: 1em; }
code { font-size: 0.92em; }
figure { display: inline-block; margin: 0.5em; }
"""
CHARTS = {
    "critic/score/mean": "Pass rate of the sampled training programs",
    "val-core/": "pass@1 on the validation problems",
    "response_length/mean": "Tokens per program",
    "actor/kl": "KL to the start",
    "locator/hit": "Share of first wrong lines that the locator finds",
    "line/credit_failing": "Share of the credit in groups without a pass",
}
COSTS = {
    "sampled_tokens": "tokens sampled",
    "verifier_runs": "verifier runs",
    "learner_tokens": "tokens learnt",
    "update_tokens": "response tokens in updates",
    "wall_s": "seconds",
}


def page(result: Result) -> str:
    """The page of a result of ``summary.summarise``."""
    name = escape(result["experiment"])
    parts = [
        "<!doctype html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{name}</title>',
        f"<style>{STYLE}</style></head><body>",
        f"<h1>{name}</h1>",
        "<p>Written down before the runs:</p>",
        *(f"<blockquote>{escape(text)}</blockquote>" for text in result["hypotheses"]),
        "<h2>pass@1 on held-out problems, sampled</h2>",
        _table(*_outcome(result)),
        "<p>Differences are in points, paired over problems and seeds, with 95% intervals of a bootstrap over both; "
        "p is two-sided and corrected over the arms (Holm). With one seed, an interval does not cover the "
        "variation between seeds.</p>",
        *_against(result["arms"]),
        _missing(result["missing"]),
        *_by_difficulty(result),
        "<h2>Cost</h2>",
        _table(*_costs(result)),
        "<p>Per run, over its PPO steps: mean, and in brackets the ratio to the baseline at the same seeds. "
        f"Runs by machine: {escape(by_machine(result['machines']))}. Seconds compare within a machine only.</p>",
        "<h2>Curves</h2>",
        "<p>Mean over the seeds; the band spans minimum to maximum.</p>",
        *_charts(result["arms"]),
        "<h2>Settings</h2>",
        _settings(result),
        "</body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def _outcome(result: Result) -> tuple[list[str], list[list[str]]]:
    columns = ["arm", "seeds", "pass@1", "over the start", "over the baseline", "p (Holm)", "greedy, over the baseline"]
    rows = []
    for name, arm in result["arms"].items():
        if not arm["seeds"]:
            rows.append([_arm(name, arm), "0", *[""] * 5])
            continue
        over = arm.get("over_baseline", {})
        sampled = over.get("sampled")
        rows.append(
            [
                _arm(name, arm),
                str(len(arm["seeds"])),
                f"{100 * arm['pass1_sampled']:.1f}%",
                _interval(arm.get("over_start", {}).get("sampled")),
                _interval(sampled) or ("baseline" if name == result["baseline"] else ""),
                f"{sampled['holm_p']:.3f}" if sampled else "",
                _interval(over.get("greedy")),
            ]
        )
    return columns, rows


def _against(arms: Mapping[str, ArmResult]) -> list[str]:
    rows = []
    for name, arm in arms.items():
        if "against" in arm:
            pair, ratios = arm["against"], arm["against"]["costs"]
            sampled = pair["over"]["sampled"]
            costs = ", ".join(f"{ratios[key]:.2f} {title}" for key, title in COSTS.items() if key in ratios)
            cells = [_interval(sampled), f"{sampled['holm_p']:.3f}", _interval(pair["over"]["greedy"]), costs]
            rows.append([escape(name), escape(pair["arm"]), *cells])
    columns = ["arm", "against", "sampled", "p (Holm)", "greedy", "costs over the other's"]
    return ["<h2>Arms against each other</h2>", _table(columns, rows)] if rows else []


def _by_difficulty(result: Result) -> list[str]:
    kinds = sorted({kind for arm in result["arms"].values() for kind in arm.get("by_difficulty", {})}, key=int)
    if not kinds:
        return []
    rows = []
    for name, arm in result["arms"].items():
        own = arm.get("by_difficulty", {})
        rows.append([escape(name), *(at_difficulty(own[kind]) if kind in own else "" for kind in kinds)])
    return [
        "<h2>pass@1 by difficulty, sampled</h2>",
        _table(["arm", *(f"difficulty {kind}" for kind in kinds)], rows),
        "<p>Means over the seeds, and in brackets the difference from the baseline in points with its standard error "
        "over the seeds.</p>",
    ]


def at_difficulty(found: DifficultyFigures) -> str:
    """pass@1 in percent, and the difference from the baseline."""
    text = f"{100 * found['pass1']:.1f}%"
    if "over_baseline" not in found:
        return text
    error = f" ± {100 * found['over_baseline_se']:.1f}" if "over_baseline_se" in found else ""
    return f"{text} ({100 * found['over_baseline']:+.1f}{error})"


def by_machine(machines: Mapping[str, int]) -> str:
    """How many runs each machine has made, as text."""
    return "; ".join(f"{runs} on {name or 'a machine that is not recorded'}" for name, runs in machines.items())


def _costs(result: Result) -> tuple[list[str], list[list[str]]]:
    rows = []
    for name, arm in result["arms"].items():
        ratios = arm.get("costs_over_baseline", {})
        cells = []
        for cost in COSTS:
            value = arm.get("costs", {}).get(cost)
            ratio = f" ({ratios[cost]:.2f})" if cost in ratios else ""
            cells.append("" if value is None else f"{value:,.0f}{ratio}")
        rows.append([escape(name), *cells])
    return ["arm", *COSTS.values()], rows


def _charts(arms: Mapping[str, ArmResult]) -> list[str]:
    charts = []
    for wanted, title in CHARTS.items():
        series, bands = {}, {}
        for name, arm in arms.items():
            for key, rows in arm.get("curves", {}).items():
                if key == wanted or (wanted.endswith("/") and key.startswith(wanted)):
                    series[name] = [(step, mean) for step, mean, _, _ in rows]
                    bands[name] = [(step, low, high) for step, _, low, high in rows]
        if series:
            charts.append(f"<figure>{line_chart(title, series, bands=bands)}</figure>")
    return charts


def _settings(result: Result) -> str:
    common = f"<p>All arms: <code>{escape(' '.join(result['common']))}</code></p>" if result["common"] else ""
    rows = [
        [escape(name), f"<code>{escape(' '.join(arm['overrides']))}</code>"] for name, arm in result["arms"].items()
    ]
    return common + _table(["arm", "settings"], rows)


def _missing(names: Sequence[str]) -> str:
    return f"<p>Without a record yet: {escape(', '.join(names))}.</p>" if names else ""


def _arm(name: str, arm: ArmResult) -> str:
    return escape(f"{name}: {arm['says']}" if arm["says"] else name)


def _interval(found: DifferenceFigures | None) -> str:
    if not found:
        return ""
    return f"{100 * found['value']:+.1f} [{100 * found['low']:+.1f}, {100 * found['high']:+.1f}]"


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; cells are HTML already."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"
