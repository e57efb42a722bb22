"""docs/metrics.md explains every metric that the code logs, and no other."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from pages import ROOT

from prl_ray.trajectory import STATUSES

PREFIXES = ("actor", "critic", "hack", "held_out", "line", "llm", "perf", "prm", "response_length", "timing_s")
NAME = re.compile(rf"(?:{'|'.join((*PREFIXES, 'training', 'val-core', 'verify'))})/[\w@/*-]*[\w*]")


def logged(root: Path) -> set[str]:
    """Every metric name in the code under ``root``, formatted parts as ``*``."""
    names: set[str] = set()
    for file in root.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names.update(name for name in _texts(node) if NAME.fullmatch(name) and not name.endswith("_"))
    return names


def _texts(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else "*" for part in node.values)


def explained() -> set[str]:
    """The names on the page, ``{…}`` as ``*``."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = {re.sub(r"\{[^}]*\}", "*", name) for name in re.findall(r"`([^`\s]+/[^`\s]+)`", text)}
    return {name for name in names if NAME.fullmatch(name)}


def timed_phases() -> set[str]:
    """Names that ``Learner`` times under ``timing_s/*``."""
    source = (ROOT / "prl_ray" / "actors" / "learner.py").read_text(encoding="utf-8")
    return {f"timing_s/{name}" for name in re.findall(r'_timed\("(\w+)"\)', source)}


def test_every_logged_metric_is_explained() -> None:
    names = logged(ROOT / "prl_ray")
    assert len(names) > 50, "the names are no longer found"
    families = {"timing_s/*": timed_phases(), "verify/*": {f"verify/{status}" for status in STATUSES}}
    wanted = {name for name in names if name not in families} | {n for found in families.values() for n in found}
    assert len(families["timing_s/*"]) >= 7
    patterns = [name for name in explained() if "*" in name and name not in families]
    missing = {name for name in wanted - explained() if not any(fnmatchcase(name, pattern) for pattern in patterns)}
    assert not missing, "explain them in docs/metrics.md"


def test_every_explained_metric_is_logged() -> None:
    families = timed_phases() | {f"verify/{status}" for status in STATUSES}
    stale = explained() - logged(ROOT / "prl_ray") - families - {"verify/*"}
    assert not {name for name in stale if not name.startswith("val-core/")}, "docs/metrics.md names what nothing logs"


def test_names_are_found_in_code(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text('f(x)["actor/kl"] = {f"timing_s/{name}": 1, "application/json": 2}\n')
    assert logged(tmp_path) == {"actor/kl", "timing_s/*"}
