"""All keys and their explanations."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import get_type_hints

from prl_ray.config.run import Config
from prl_ray.errors import ConfigError
from prl_ray.options import choices_of


def known_keys() -> list[str]:
    """All dotted keys there are, groups included."""
    return [path for path, _ in _keys()]


def mappings() -> list[str]:
    """The keys that hold mappings, such as ``teacher.weights`` and ``reward.params``: their contents are checked by the
    code that reads the mapping."""
    return [path for path, spec in _keys() if spec.metadata.get("mapping")]


def check_key(path: str) -> None:
    """Raises ConfigError with the nearest known key if ``path`` (dotted) is not a key."""
    known = known_keys()
    if path in known or any(path.startswith(f"{key}.") for key in mappings()):
        return
    last = path.rsplit(".", 1)[-1]
    by_last = {key.rsplit(".", 1)[-1]: key for key in reversed(known)}
    near = difflib.get_close_matches(path, known, n=1, cutoff=0.75)
    near = near or [by_last[name] for name in difflib.get_close_matches(last, by_last, n=1, cutoff=0.6)]
    near = near or difflib.get_close_matches(path, known, n=1, cutoff=0.0)
    raise ConfigError(f"config: there is no key '{path}'; the nearest is '{near[0]}' (--help lists all)")


def explain() -> str:
    """All keys with defaults, bounds and explanations, as text for ``--help``."""
    lines: list[str] = []
    for path, spec in _keys():
        if not spec.metadata:
            lines.append("")
            continue
        default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
        words = choices_of(spec)
        choices = f" One of: {', '.join(words)}." if words else ""
        lines.append(f"  {path}={default!s}".ljust(44) + f" {spec.metadata['text']}{choices}")
    return "\n".join(lines)


@cache  # each key of a config is looked up here, and reading the annotations takes 8 ms
def _keys() -> tuple[tuple[str, Field[object]], ...]:
    return tuple(_schema(Config, ""))


def _schema(cls: type, prefix: str) -> Iterator[tuple[str, Field[object]]]:
    hints = get_type_hints(cls)
    for spec in fields(cls):
        path = f"{prefix}{spec.name}"
        yield path, spec
        if is_dataclass(hints[spec.name]):
            yield from _schema(hints[spec.name], f"{path}.")
