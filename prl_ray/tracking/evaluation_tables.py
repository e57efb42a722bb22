"""``evaluation.json`` of a run as tables and sentences: for the terminal, the report and the viewer."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prl_ray.errors import DataError

POLICIES = {"base": "before SFT", "sft": "after SFT", "ppo": "after PPO"}


def read_evaluation(path: Path) -> dict[str, Any]:
    """``evaluation.json``; empty where there is none. Raises ``DataError`` where it is no evaluation."""
    if not path.exists():
        return {}
    try:
        evaluation: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        evaluation["policies"], evaluation["problems"], evaluation["split"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not an evaluation ({type(error).__name__}: {error})") from error
    return evaluation


def evaluation_table(evaluation: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of pass@k by policy, with standard errors: for the report and for the terminal.

    ``evaluation`` is what ``evaluation.json`` holds: ``policies`` by name, each with ``greedy`` and ``sampled`` figures
    (``pass@k``, ``se``), ``by_difficulty`` and ``verdicts``.
    """
    policies: Mapping[str, Any] = evaluation["policies"]
    ks = sorted({k for p in policies.values() for k in _ks(p.get("sampled", {}))})
    rows = []
    for name, figures in policies.items():
        greedy, sampled = figures.get("greedy", {}), figures.get("sampled", {})
        cells = [with_error(greedy, "pass@1")]
        cells += [with_error(sampled, f"pass@{k}", error=k == 1) for k in ks]
        rows.append([POLICIES.get(name, name), *cells])
    return ["policy", "greedy pass@1", *(f"sampled pass@{k}" for k in ks)], rows


def rerank_table(evaluation: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Columns and rows of best of n by policy: pass@1 of the chosen program, and its difference to a blind choice.

    No rows where nothing was reranked. ``evaluation`` as above; its policies have ``rerank``, which is what
    :func:`prl_ray.rerank.best_of_n` returns.
    """
    found = _reranked(evaluation)
    ways = [way for way in ("random", "orm", "prm", "oracle") if any(way in figures for figures in found.values())]
    rows = []
    for name, figures in found.items():
        cells = [with_error(figures.get(way, {}), "pass@1") for way in ways]
        gains = [_with_gain(figures.get(way, {})) if way in ("orm", "prm") else "" for way in ways]
        rows.append([POLICIES.get(name, name), *(f"{c} {g}".strip() for c, g in zip(cells, gains, strict=True))])
    return ["policy", *ways], rows


def rerank_title(evaluation: Mapping[str, Any]) -> str:
    """The title of :func:`rerank_table`."""
    figures = next(iter(_reranked(evaluation).values()))
    lines = f"; prm reads the lines' {figures['prm']['aggregate']}" if "prm" in figures else ""
    return f"best of {figures['n']}: pass@1 of the chosen program (difference to random, paired){lines}"


def _reranked(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    return {name: figures["rerank"] for name, figures in evaluation["policies"].items() if "rerank" in figures}


def gain_lines(evaluation: Mapping[str, Any]) -> list[str]:
    """One sentence for each difference between two policies, paired over problems."""
    return [line for pair, gain in evaluation.get("gain", {}).items() for line in _gain_lines(pair, gain)]


def _gain_lines(pair: str, gain: Mapping[str, Mapping[str, float]]) -> list[str]:
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


def _ks(figures: Mapping[str, float]) -> list[int]:
    return [int(key.removeprefix("pass@")) for key in figures if key.startswith("pass@")]


def with_error(figures: Mapping[str, float], key: str, error: bool = True) -> str:
    """A share in percent, with its standard error where it has one; empty where it is not there."""
    if key not in figures:
        return ""
    text = f"{100 * figures[key]:.1f}"
    return f"{text} ± {100 * figures['se']:.1f}" if error and "se" in figures else text


def _with_gain(figures: Mapping[str, float]) -> str:
    return f"({100 * figures['gain']:+.1f} ± {100 * figures['gain_se']:.1f})" if "gain" in figures else ""
