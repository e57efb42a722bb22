"""Files of run folders: checks of their location, and reading of untrusted JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

from prl_ray.errors import DataError


def inside(path: Path, roots: Sequence[Path]) -> Path:
    """The real path of a file or folder. Raises ``DataError`` if a link leads out of ``roots``."""
    real = path.resolve()
    if not any(real.is_relative_to(root) for root in roots):
        raise DataError(f"{path.parent.name}/{path.name} is a link to a place outside the given folders")
    return real


def parsed(text: str | bytes) -> object:
    """The value of a JSON text. Raises ``ValueError`` if it is invalid or nested too deeply."""
    try:
        found: object = json.loads(text)
    except RecursionError as error:
        raise ValueError("not JSON: nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"not JSON: {error}") from error
    return found


def read_json(path: Path) -> dict[str, object]:
    """Reads a JSON file. Raises ``DataError`` unless it contains an object."""
    try:
        found = parsed(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path.parent.name}/{path.name} cannot be read ({error})") from error
    if not isinstance(found, dict):
        raise DataError(f"{path.parent.name}/{path.name} is not a JSON object")
    return found


def number(value: object) -> float | None:
    """A finite number, or None for any other JSON value."""
    if not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def count(value: object) -> int:
    """An integer from 0 to ``2**31``. Raises ``ValueError`` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
        raise ValueError(f"{str(value)[:40]!r} is not a count")
    return value


def rows(value: object) -> list[dict[str, object]]:
    """The objects of a JSON list; empty if it is not a list."""
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def named(value: object) -> dict[str, object]:
    """A JSON object; empty if the value is not an object."""
    return value if isinstance(value, dict) else {}
