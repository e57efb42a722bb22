"""``evaluation.json`` of a run as tables and sentences: for the terminal, the report and the viewer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from prl_ray.errors import DataError
from prl_ray.evaluation_record import CHOICES, BestOfN, ChoiceFigures, Evaluation, Figures, PolicyFigures

POLICIES = {"base": "before SFT", "sft": "after SFT", "ppo": "after PPO"}


def read_evaluation(path: Path) -> Evaluation:
    """Reads ``evaluation.json``. Raises ``DataError`` if it is not an evaluation."""
    try:
        evaluation: Evaluation = json.loads(path.read_text(encoding="utf-8"))
        evaluation["policies"], evaluation["problems"], evaluation["split"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not an evaluation ({type(error).__name__}: {error})") from error
    return evaluation


class Table(NamedTuple):
    """A table of strings; the first column names the rows."""

    title: str
    columns: list[str]
    rows: list[list[str]]


def evaluation_tables(evaluation: Evaluation) -> list[Table]:
    """All tables of an evaluation that have rows, pass@k first."""
    tables = [Table("", *evaluation_table(evaluation))]
    columns, rows = rerank_table(evaluation)
    if rows:
        tables.append(Table(rerank_title(evaluation), columns, rows))
    tables += [Table("By difficulty, pass@1", *difficulty_table(evaluation["policies"]))]
    tables += [Table("Verdicts", *verdict_table(evaluation["policies"]))]
    return [table for table in tables if table.rows]


def evaluation_table(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of pass@k by policy, with standard errors: for the report and for the terminal.

    ``evaluation`` is the content of ``evaluation.json``.
    """
    policies = evaluation["policies"]
    ks = sorted({k for p in policies.values() for k in _ks(p.get("sampled", {}))})
    rows = []
    for name, figures in policies.items():
        greedy, sampled = figures.get("greedy", {}), figures.get("sampled", {})
        cells = [with_error(greedy.get("pass@1"), greedy.get("se"))]
        cells += [with_error(sampled.get(f"pass@{k}"), sampled.get("se") if k == 1 else None) for k in ks]
        rows.append([POLICIES.get(name, name), *cells])
    return ["policy", "greedy pass@1", *(f"sampled pass@{k}" for k in ks)], rows


def rerank_table(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of best of n by policy: pass@1 of the chosen program, and its difference from a random choice.

    No rows without reranking. ``rerank`` of each policy is the result of :func:`prl_ray.rerank.best_of_n`.
    """
    found = _reranked(evaluation)
    choices = [choice for choice in CHOICES if any(choice in figures for figures in found.values())]
    rows = []
    for name, figures in found.items():
        chosen = [figures.get(choice) for choice in choices]
        cells = ["" if one is None else with_error(one["pass@1"], one["se"]) for one in chosen]
        judged = [one if choice in ("orm", "prm") else None for choice, one in zip(choices, chosen, strict=True)]
        gains = ["" if one is None else _with_gain(one) for one in judged]
        rows.append([POLICIES.get(name, name), *(f"{c} {g}".strip() for c, g in zip(cells, gains, strict=True))])
    return ["policy", *choices], rows


def rerank_title(evaluation: Evaluation) -> str:
    """The title of :func:`rerank_table`."""
    figures = next(iter(_reranked(evaluation).values()))
    lines = f"; prm: {figures['prm']['aggregate']} of the line scores" if "prm" in figures else ""
    return f"best of {figures['n']}: pass@1 of the chosen program (difference to random, paired){lines}"


def _reranked(evaluation: Evaluation) -> dict[str, BestOfN]:
    return {name: figures["rerank"] for name, figures in evaluation["policies"].items() if "rerank" in figures}


def gain_lines(evaluation: Evaluation) -> list[str]:
    """One sentence for each difference between two policies, paired over problems."""
    return [line for pair, gain in evaluation.get("gain", {}).items() for line in _gain_lines(pair, gain)]


def _gain_lines(pair: str, gain: Mapping[str, Figures]) -> list[str]:
    after, _, before = pair.partition("-")
    lines = []
    for how, figures in gain.items():
        errors = figures["gain"] / figures["se"] if figures.get("se") else math.nan
        times = f", {errors:.1f} standard errors" if math.isfinite(errors) else ""
        lines.append(
            f"{after.upper()} over {before.upper()}, {how}: {100 * figures['gain']:+.1f} "
            f"± {100 * figures.get('se', math.nan):.1f} points, paired over problems{times}"
        )
    return lines


def difficulty_table(policies: Mapping[str, PolicyFigures]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of pass@1 by difficulty, easiest first; no rows if problems have no difficulty."""
    levels = sorted({d for p in policies.values() for d in p.get("by_difficulty", {})}, key=lambda d: (len(d), d))
    rows = []
    for level in levels:
        found = [p.get("by_difficulty", {}).get(level) for p in policies.values()]
        n = next((f["n"] for f in found if f and "n" in f), "")
        rows.append([level, str(n), *("" if f is None else with_error(f.get("pass@1"), f.get("se")) for f in found)])
    return ["difficulty", "problems", *(POLICIES.get(name, name) for name in policies)], rows


def verdict_table(policies: Mapping[str, PolicyFigures]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of the number of programs with each verdict, by policy."""
    names = list(dict.fromkeys(v for p in policies.values() for v in p.get("verdicts", {})))
    rows = [[POLICIES.get(n, n), *(str(p.get("verdicts", {}).get(v, 0)) for v in names)] for n, p in policies.items()]
    return ["policy", *names], rows if names else []


def _ks(figures: Figures) -> list[int]:
    return [int(key.removeprefix("pass@")) for key in figures if key.startswith("pass@")]


def with_error(share: float | None, se: float | None) -> str:
    """A share in percent, with its standard error if given; empty without a share."""
    if share is None:
        return ""
    return f"{100 * share:.1f}" if se is None else f"{100 * share:.1f} ± {100 * se:.1f}"


def _with_gain(figures: ChoiceFigures) -> str:
    return f"({100 * figures['gain']:+.1f} ± {100 * figures['gain_se']:.1f})" if "gain" in figures else ""
