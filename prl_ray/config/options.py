"""A config field that explains and bounds itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field
from typing import Any


def option(
    default: Any, text: str, *, low: float | None = None, high: float | None = None, choices: Sequence[str] = ()
) -> Any:
    """A config field: its default, the sentence that explains it, and what it may be."""
    metadata = {"text": text, "low": low, "high": high, "choices": tuple(choices)}
    if isinstance(default, list | dict):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)
