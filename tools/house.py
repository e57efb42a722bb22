"""Counts that show whether the code stays easy to change: ``python tools/house.py [TREE] [--store REVISION]``.

Printed for a source tree (this one by default):

- ``import_cycles``: groups of modules that import each other, imports inside functions included;
- ``any``: occurrences of ``Any`` in the source;
- ``duplicate_lines``: lines of code that stand at least twice in runs of ``WINDOW`` equal lines;
- ``functions_over_50``, ``files_over_300``: functions and files over that many lines;
- ``readme_lines``;
- ``files_KIND``: files of the source that name or configure one existing entry of a kind (``FOOTPRINTS``), which is
  what a new entry of that kind touches; ``files_KIND_example``: the files of the example that adds one (``EXAMPLES``).

``--store`` also counts the tree of a git revision and writes both into ``benchmarks/results/house.json``.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PACKAGES = ("prl_ray", "sandbox_workers")
WINDOW = 6
"""Equal lines in a row from which on a repetition counts."""

FOOTPRINTS = {
    "shaping": (r"\bclip_delta\b|\beta\b",),
    "loss": (r"\bgspo\b|\bsequence_ratio\b", r"\bpolicy_loss\b|\bclip_(low|high)\b"),
    "problem_set": (r"\bcodecontests\b",),
    "weight_transport": (r"\b[Ff]ilesystem(Transport)?\b", r"\bPackedWeights\b"),
    "language": (r"\brust\b", r"\bjavascript\b"),
}
"""Kind -> the names of an existing entry and of its parameters; the first of the patterns that the tree has counts."""
EXAMPLES = {
    "shaping": "own_reward*",
    "problem_set": "own_problems*",
    "estimator": "own_estimator*",
    "weight_transport": "own_transport*",
}
"""Kind -> the files in ``examples/`` that add one."""


def count(tree: Path) -> dict[str, int]:
    """The counts of a source tree."""
    files = [file for package in PACKAGES for file in sorted((tree / package).rglob("*.py"))]
    texts = {file: file.read_text(encoding="utf-8") for file in files}
    modules = {file: ast.parse(text) for file, text in texts.items()}
    lengths = [length for module in modules.values() for length in _function_lengths(module)]
    counts = {
        "import_cycles": len(cycles(imports(tree, modules))),
        "any": sum(len(re.findall(r"\bAny\b", text)) for text in texts.values()),
        "duplicate_lines": duplicates([_code_lines(texts[file], modules[file]) for file in files]),
        "functions_over_50": sum(length > 50 for length in lengths),
        "files_over_300": sum(len(text.splitlines()) > 300 for text in texts.values()),
        "source_lines": sum(len(text.splitlines()) for text in texts.values()),
        "readme_lines": len((tree / "README.md").read_text(encoding="utf-8").splitlines()),
    }
    for kind, patterns in FOOTPRINTS.items():
        found = (footprint(tree, texts, modules, pattern) for pattern in patterns)
        counts[f"files_{kind}"] = next((number for number in found if number), 0)
    for kind, files_of in EXAMPLES.items():
        if added := [path for path in (tree / "examples").glob(files_of) if path.is_file()]:
            counts[f"files_{kind}_example"] = len(added)
    return counts


def imports(tree: Path, modules: Mapping[Path, ast.Module]) -> dict[str, set[str]]:
    """Module -> modules of the tree that it imports anywhere, except below ``if TYPE_CHECKING``."""
    names = {_dotted(file.relative_to(tree)): file for file in modules}
    graph: dict[str, set[str]] = {}
    for name, file in names.items():
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        found = {_known(target, names) for target in _imported(modules[file], package)}
        graph[name] = {target for target in found if target is not None and target != name}
    return graph


def cycles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of two or more modules that reach each other, each sorted."""
    reach = {name: _reachable(graph, name) for name in graph}
    groups = {frozenset({name, *(m for m in reach[name] if name in reach[m])}) for name in graph}
    return sorted(sorted(group) for group in groups if len(group) > 1)


def duplicates(files: Sequence[Sequence[str]]) -> int:
    """How many lines stand in a run of ``WINDOW`` lines that occurs at least twice in ``files``."""
    places: dict[tuple[str, ...], list[tuple[int, int]]] = defaultdict(list)
    for number, lines in enumerate(files):
        for start in range(len(lines) - WINDOW + 1):
            places[tuple(lines[start : start + WINDOW])].append((number, start))
    repeated = {
        (number, start + offset)
        for found in places.values()
        if len(found) > 1
        for number, start in found
        for offset in range(WINDOW)
    }
    return len(repeated)


def footprint(tree: Path, texts: Mapping[Path, str], modules: Mapping[Path, ast.Module], pattern: str) -> int:
    """Source and configuration files whose code, comments and docstrings aside, matches ``pattern``."""
    code = sum(any(re.search(pattern, line) for line in _code_lines(texts[file], modules[file])) for file in texts)
    configs = sum(
        bool(re.search(pattern, file.read_text(encoding="utf-8"))) for file in (tree / "conf").rglob("*.yaml")
    )
    return code + configs


def _dotted(file: Path) -> str:
    return ".".join(file.with_suffix("").parts).removesuffix(".__init__")


def _imported(module: ast.Module, package: str) -> Iterator[str]:
    """What a module of ``package`` imports, as ``package.module`` or ``package.module.name``."""
    hidden = {
        id(inner)
        for node in ast.walk(module)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(module):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def _known(target: str, names: Mapping[str, Path]) -> str | None:
    """The module of the tree that an import loads: the target itself, or what holds the imported name."""
    if target in names:
        return target
    holder = target.rpartition(".")[0]
    return holder if holder in names else None


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    todo = list(graph[start])
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += graph.get(name, ())
    return seen


def _function_lengths(module: ast.Module) -> Iterator[int]:
    for node in ast.walk(module):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1


def _code_lines(text: str, module: ast.Module) -> list[str]:
    """The lines of code, stripped: without blanks, comments, docstrings and imports."""
    skipped: set[int] = set()
    for node in ast.walk(module):
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.stmt) and (docstring or isinstance(node, ast.Import | ast.ImportFrom)):
            skipped.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    lines = enumerate((line.split("  # ")[0].strip() for line in text.splitlines()), 1)
    return [line for number, line in lines if line and number not in skipped and not line.startswith("#")]


def _tree_of(revision: str, folder: Path) -> Path:
    """The tracked files of a git revision, in ``folder``."""
    archive = subprocess.run(["git", "-C", str(ROOT), "archive", revision], capture_output=True, check=True).stdout
    subprocess.run(["tar", "x", "-C", str(folder)], input=archive, check=True)
    return folder


def _store(revision: str) -> Path:
    from benchmarks._results import write_result

    after = count(ROOT)
    with tempfile.TemporaryDirectory() as folder:
        before = count(_tree_of(revision, Path(folder)))
    headline = {f"{name}_before": value for name, value in before.items()}
    headline |= {f"{name}_after": value for name, value in after.items()}
    config = {"before": revision, "window": WINDOW, "footprints": FOOTPRINTS, "examples": EXAMPLES}
    return write_result("house", headline, config, [{"before": before, "after": after}])


def main(arguments: Sequence[str] | None = None) -> None:
    """Counts, prints, and stores if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", type=Path, nargs="?", default=ROOT)
    parser.add_argument("--store", metavar="REVISION", help="store these counts and those of a revision")
    parser.add_argument("--cycles", action="store_true", help="also print the modules of each import cycle")
    options = parser.parse_args(arguments)
    if options.store:
        print(_store(options.store))
        return
    print(json.dumps(count(options.tree), indent=1))
    if options.cycles:
        files = [file for package in PACKAGES for file in (options.tree / package).rglob("*.py")]
        modules = {file: ast.parse(file.read_text(encoding="utf-8")) for file in files}
        for group in cycles(imports(options.tree, modules)):
            print("cycle:", ", ".join(group))


if __name__ == "__main__":
    main()
