"""Writes ``docs/configuration.md`` from the configuration schemas: ``python tools/config_reference.py [--check]``.

Every key of :class:`prl_ray.config.Config` gets a row: type, default, bounds or choices, and its sentence. ``--check``
changes nothing and exits with 1 if the page is not current.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from prl_ray.config import Config  # noqa: E402
from prl_ray.config.composition import GROUPS, options  # noqa: E402
from prl_ray.options import choices_of  # noqa: E402
from prl_ray.plugins import Bounds  # noqa: E402

PAGE = ROOT / "docs" / "configuration.md"
HEAD = """# Configuration

<!-- Written by `python tools/config_reference.py` from the schemas in prl_ray/config/; do not edit. -->

Every key is set on the command line as `KEY=VALUE`; `python -m prl_ray.train --help` prints the same list. A config
group chooses a file of `conf/` (`reward=outcome`), which sets keys of its section.

| group | options |
|---|---|
"""


def page() -> str:
    """The whole page."""
    groups = "".join(f"| `{group}` | {', '.join(f'`{name}`' for name in options(group))} |\n" for group in GROUPS)
    top = [spec for spec in fields(Config) if spec.metadata]
    sections = [_section("The run", "", "", top, get_type_hints(Config))]
    hints = get_type_hints(Config)
    for spec in fields(Config):
        cls = hints[spec.name]
        if is_dataclass(cls):
            about = " ".join((cls.__doc__ or "").split())
            sections += _sections(cls, spec.name, about)
    return HEAD + groups + "\n" + "\n\n".join(sections) + "\n"


def _sections(cls: Any, prefix: str, about: str) -> Iterator[str]:
    hints = get_type_hints(cls)
    plain = [spec for spec in fields(cls) if not is_dataclass(hints[spec.name])]
    yield _section(f"`{prefix}`", about, f"{prefix}.", plain, hints)
    for spec in fields(cls):
        if is_dataclass(hints[spec.name]):
            inner = hints[spec.name]
            yield from _sections(inner, f"{prefix}.{spec.name}", " ".join((inner.__doc__ or "").split()))


def _section(title: str, about: str, prefix: str, specs: Sequence[Field[Any]], hints: dict[str, Any]) -> str:
    rows = [_row(f"{prefix}{spec.name}", spec, hints[spec.name]) for spec in specs]
    table = "\n".join(["| key | type | default | allowed | meaning |", "|---|---|---|---|---|", *rows])
    return "\n\n".join(part for part in (f"## {title}", about, table) if part)


def _row(key: str, spec: Field[Any], kind: Any) -> str:
    default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
    cells = [f"`{key}`", _type(kind), _default(default), _allowed(spec), str(spec.metadata.get("text", ""))]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(kind: Any) -> str:
    name = kind.__name__ if isinstance(kind, type) and not hasattr(kind, "__args__") else str(kind)
    return name.replace(" | None", ", or empty").replace("typing.", "")


def _default(value: Any) -> str:
    if value is None or value == "":
        return "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _allowed(spec: Field[Any]) -> str:
    if choices := choices_of(spec):
        return ", ".join(f"`{choice}`" for choice in choices)
    bounds: Bounds = spec.metadata["bounds"]
    low, high = bounds.low, bounds.high
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"at least {low:g}" if low is not None else f"at most {high:g}" if high is not None else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes or checks the page; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if the page is not current")
    parser.add_argument("--page", type=Path, default=PAGE)
    chosen = parser.parse_args(arguments)
    text = page()
    if chosen.check:
        current = chosen.page.is_file() and chosen.page.read_text(encoding="utf-8") == text
        if not current:
            print(f"error: {chosen.page.name} is not current; run: python tools/config_reference.py", file=sys.stderr)
        return 0 if current else 1
    chosen.page.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
