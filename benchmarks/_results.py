"""Result files: every figure that a page quotes lies in ``benchmarks/results/NAME.json``, written here.

A file has ``headline`` (the few figures that are quoted, numbers only), ``environment`` (versions, processor, date,
commit), ``config`` and ``repeats`` (every run's figures; a headline is their median unless stated otherwise).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prl_ray.machine import environment

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


def write_result(
    name: str,
    headline: Mapping[str, float],
    config: Mapping[str, Any],
    repeats: Sequence[Mapping[str, Any]],
    *,
    folder: Path = RESULTS,
) -> Path:
    """Writes ``folder/name.json`` and returns its path.

    Raises:
        ValueError: the name is no plain file name, there are no repeats, or a headline is not a finite number.
    """
    if not name.replace("_", "").replace("-", "").isalnum():
        raise ValueError(f"result name {name!r}: letters, digits, _ and - only")
    if not headline or not repeats:
        raise ValueError(f"{name}: a result needs a headline and the figures of at least one run")
    figures = {key: _number(name, key, value) for key, value in headline.items()}
    result = {
        "headline": figures,
        "environment": environment(),
        "config": dict(config),
        "repeats": [dict(repeat) for repeat in repeats],
    }
    # Before the file is opened: a value that JSON cannot hold (a NaN among the repeats) must not leave half a file.
    text = json.dumps(result, indent=1, allow_nan=False, default=_plain) + "\n"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(text, encoding="utf-8")
    return path


def read_result(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """A result that :func:`write_result` wrote. Raises FileNotFoundError if there is none."""
    result: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    return result


def _number(name: str, key: str, value: Any) -> float:
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise ValueError(f"{name}: headline {key} is {value!r}, not a number")
    number = value if isinstance(value, int) else float(value)
    if not math.isfinite(number):
        raise ValueError(f"{name}: headline {key} is {value!r}, not a finite number")
    return number


def _plain(value: Any) -> Any:
    """Numpy scalars and arrays as plain data, paths as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not go into a result file")
