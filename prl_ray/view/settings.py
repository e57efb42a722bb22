"""The configuration of a run as dotted keys, and the differences between runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

import yaml

from prl_ray.errors import DataError
from prl_ray.view.runs import Run

SEEDS = {"seed"}
_IDENTITY = {"name", "runs_dir"}


class Difference(TypedDict):
    """A setting that differs between runs."""

    key: str
    values: list[str | None]
    """One text per run; None if it does not have the key."""


def settings(run: Run) -> dict[str, object]:
    """``config.yaml`` as dotted keys; empty without one. Raises ``DataError`` if it is not a YAML mapping."""
    path = run.file("config.yaml")
    return {} if path is None else _read(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=256)
def _read(path: Path, changed: int) -> dict[str, object]:
    name = f"{path.parent.name}/{path.name}"
    try:
        found = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise DataError(f"{name} is not readable ({str(error).splitlines()[0]})") from error
    if not isinstance(found, Mapping):
        raise DataError(f"{name} is not a mapping")
    return _flat(found)


def arms(runs: Sequence[Run]) -> list[tuple[str, list[Run]]]:
    """Arms: runs that differ only in their seed. Each is a pair (label, runs), in the given order.

    The label lists the arm's differences from the others; it is the run's name if there are none.
    """
    grouped: dict[str, list[Run]] = {}
    for run in runs:
        rest = {key: str(value) for key, value in settings(run).items() if key not in _IDENTITY and key not in SEEDS}
        grouped.setdefault(str(sorted(rest.items())) if rest else f"run {run.name}", []).append(run)
    own = [row for row in differences(runs) if row["key"] not in SEEDS]
    found = []
    for members in grouped.values():
        at = list(runs).index(members[0])
        differs = [f"{row['key'].rpartition('.')[2]}={row['values'][at]}" for row in own][:3]
        found.append((" ".join(differs) if len(members) > 1 and differs else members[0].name, members))
    return found


def differences(runs: Sequence[Run]) -> list[Difference]:
    """The keys that differ between runs."""
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
