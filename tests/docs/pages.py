"""Reading the documentation: its pages, their links, headings and references to the code."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (*(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")), *(ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^(```|~~~).*?^\1\s*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([\w./-]+/[\w./-]*)(?::([\w.]+))?`")


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def links(page: Path) -> Iterator[str]:
    """Targets of the page's links and pictures that lie in the repository."""
    return (target for target in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", target))


def broken(page: Path, target: str) -> bool:
    """Whether the target, relative to the page, is no file, or no heading of it."""
    path, _, anchor = target.partition("#")
    file = (page.parent / path).resolve() if path else page
    if not file.exists() or not file.is_relative_to(ROOT):
        return True
    return bool(anchor) and anchor not in anchors(file)


@functools.cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors of the page's headings, as code hosts and Sphinx make them."""
    titles = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", title.strip().lower()).replace(" ", "-") for title in titles)


def code_references(page: Path) -> Iterator[tuple[str, str]]:
    """``(path, name)`` of each `` `folder/file.py:name` ``, `` `folder/file.py` `` and `` `folder/` `` on the page.

    Only those whose first folder is one of the repository; the name may be empty. NAME stands for any name.
    """
    for path, name in CODE.findall(prose(page)):
        first = path.split("/", 1)[0]
        if (ROOT / first).is_dir() and not first.startswith(".") and "NAME" not in path:
            yield path, name


@functools.cache
def definitions(file: Path) -> frozenset[str]:
    """Dotted names of what a module defines at its top level and in its classes."""
    return frozenset(_names(ast.parse(file.read_text(encoding="utf-8")).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from _names(node.body, f"{prefix}{node.name}.")
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        yield from (prefix + target.id for target in targets if isinstance(target, ast.Name))
