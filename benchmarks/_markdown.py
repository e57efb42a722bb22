"""Pieces of the tables in README.md and docs/results.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the last column is right-aligned."""
    lines = [list(columns), [*["---"] * (len(columns) - 1), "---:"], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float) -> str:
    """Whole numbers as they are, others with three significant digits."""
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def percent(value: float) -> str:
    """A share as percent with one digit."""
    return f"{100 * value:.1f}"


def estimate(value: float, error: float, sign: str = "") -> str:
    """Percent with its standard error; ``sign="+"`` also signs what is not below 0."""
    return f"{100 * value:{sign}.1f} ± {100 * error:.1f}"


def interval(figures: Sequence[float | None]) -> str:
    """``value (low to high)``."""
    if any(figure is None for figure in figures):
        return "none"
    value, low, high = (f"{figure:.2f}" for figure in figures)
    return f"{value} ({low} to {high})"


def provenance(result: dict[str, Any]) -> str:
    """Where and when a result was measured, in one line."""
    e = result["environment"]
    flags = f" ({', '.join(e['flags'])})" if e.get("flags") else ""
    gpus = f", {', '.join(e['gpus'])}" if e.get("gpus") else ""
    commit = f", commit {e['commit'][:8]}" if e.get("commit") else ""
    return f"{e['cores']} cores, {e['processor']}{flags}{gpus}; {e['date'][:10]}{commit}"
