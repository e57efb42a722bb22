"""The configuration of a run as flat keys, and where runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from prl_ray.errors import DataError
from prl_ray.view.runs import Run

_IDENTITY = {"name", "runs_dir"}


def settings(run: Run) -> dict[str, Any]:
    """``config.yaml`` as dotted keys; empty without one. Raises ``DataError`` where it is no YAML mapping."""
    path = run.file("config.yaml")
    if path is None:
        return {}
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{run.name}: config.yaml is not readable ({str(error).splitlines()[0]})") from error
    if not isinstance(found, Mapping):
        raise DataError(f"{run.name}: config.yaml is not a mapping")
    return _flat(found)


def differences(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """The keys in which runs differ, with each run's value as text; None where a run does not have the key."""
    found = [settings(run) for run in runs]
    keys = sorted({key for one in found for key in one} - _IDENTITY)
    rows = [{"key": key, "values": [_text(one, key) for one in found]} for key in keys]
    return [row for row in rows if len({str(value) for value in row["values"]}) > 1]


def _text(one: Mapping[str, Any], key: str) -> str | None:
    return str(one[key]) if key in one else None


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for name, value in tree.items():
        nested = _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {}
        leaves |= nested or {f"{prefix}{name}": value}
    return leaves
