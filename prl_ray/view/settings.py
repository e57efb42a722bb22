"""The configuration of a run as flat keys, and where runs differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import yaml

from prl_ray.errors import DataError
from prl_ray.view.runs import Run

_IDENTITY = {"name", "runs_dir"}


def settings(run: Run) -> dict[str, object]:
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


def differences(runs: Sequence[Run]) -> list[dict[str, object]]:
    """The keys in which runs differ, with each run's value as text; None where a run does not have the key."""
    found = [settings(run) for run in runs]
    keys = sorted({key for one in found for key in one} - _IDENTITY)
    rows = [(key, [_text(one, key) for one in found]) for key in keys]
    return [{"key": key, "values": values} for key, values in rows if len(set(map(str, values))) > 1]


def _text(one: Mapping[str, object], key: str) -> str | None:
    return str(one[key]) if key in one else None


def _flat(tree: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    leaves: dict[str, object] = {}
    for name, value in tree.items():
        nested = _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {}
        leaves |= nested or {f"{prefix}{name}": value}
    return leaves
