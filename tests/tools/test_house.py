"""The counts of tools/house.py on trees that are easy to count by hand."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tools.house import WINDOW, count, cycles, duplicates, imports  # noqa: E402


def tree_of(folder: Path, files: dict[str, str]) -> Path:
    """A source tree; ``a/b`` is the file ``a/b.py`` of ``prl_ray``."""
    for name, text in files.items():
        file = folder / "prl_ray" / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "README.md").write_text("one\ntwo\n", encoding="utf-8")
    return folder


def graph_of(tree: Path) -> dict[str, set[str]]:
    return imports(tree, {file: ast.parse(file.read_text()) for file in tree.rglob("*.py")})


def test_an_import_inside_a_function_closes_a_cycle(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {
            "a": "from prl_ray.b import thing\n",
            "b": "def thing():\n    from prl_ray import c\n",
            "c": "import prl_ray.a\n",
            "d": "from prl_ray import a\n",
        },
    )
    assert cycles(graph_of(tree)) == [["prl_ray.a", "prl_ray.b", "prl_ray.c"]]


def test_relative_imports_count_and_type_checking_does_not(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {
            "inner/__init__": "from . import one\n",
            "inner/one": "from .two import x\nfrom .. import top\n",
            "inner/two": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .one import y\n",
            "top": "x = 1\n",
        },
    )
    graph = graph_of(tree)
    assert graph["prl_ray.inner"] == {"prl_ray.inner.one"}
    assert graph["prl_ray.inner.one"] == {"prl_ray.inner.two", "prl_ray.top"}
    assert cycles(graph) == []


def test_two_cycles_are_two(tmp_path: Path) -> None:
    tree = tree_of(
        tmp_path,
        {
            "a": "import prl_ray.b\n",
            "b": "import prl_ray.a\nimport prl_ray.c\n",
            "c": "import prl_ray.d\n",
            "d": "import prl_ray.c\n",
        },
    )
    assert cycles(graph_of(tree)) == [["prl_ray.a", "prl_ray.b"], ["prl_ray.c", "prl_ray.d"]]


@pytest.mark.parametrize(("equal", "found"), [(WINDOW - 1, 0), (WINDOW, 2 * WINDOW), (WINDOW + 2, 2 * (WINDOW + 2))])
def test_only_long_runs_of_equal_lines_are_duplicates(equal: int, found: int) -> None:
    shared = [f"shared {n}" for n in range(equal)]
    assert duplicates([["own", *shared], [*shared, "other"]]) == found


def test_a_tree_is_counted(tmp_path: Path) -> None:
    long_body = "".join(f"    x = {n}\n" for n in range(50))
    tree = tree_of(
        tmp_path,
        {
            "types_of": "from typing import Any\ndef f(x: Any) -> Any: ...\n",
            "rewards": '"""clip_delta is in this docstring only."""\n# clip_delta\nx = 1\n',
            "shaping": 'SHAPINGS = {"clip_delta": 1}\n',
            "long": f"def f():\n{long_body}",
        },
    )
    (tree / "conf" / "reward").mkdir(parents=True)
    (tree / "conf" / "reward" / "clip_delta.yaml").write_text("name: clip_delta\n")
    counts = count(tree)
    assert counts["any"] == 3 and counts["readme_lines"] == 2
    assert counts["files_shaping"] == 2, "the registry and the config; text about it does not count"
    assert counts["functions_over_50"] == 1 and counts["files_over_300"] == 0
    assert "files_shaping_example" not in counts
    (tree / "examples").mkdir()
    (tree / "examples" / "own_reward.py").write_text("")
    assert count(tree)["files_shaping_example"] == 1
