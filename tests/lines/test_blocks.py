"""Blocks: a header with what is right below it, on hand-made programs, on the standard library and on broken text."""

from __future__ import annotations

import ast
import sysconfig
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.lines import blocks, segment, units


def texts(program: str) -> list[list[str]]:
    """The lines of each block."""
    lines = segment(program)
    return [[program[lines[i].start : lines[i].end] for i in block] for block in blocks(program, lines)]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("", []),
        ("x = 1\ny = 2\n", [["x = 1", "y = 2"]]),
        (
            "import os\ndef f(xs):\n    n = 0\n    m = 1\n    for x in xs:\n        n += x\n        m *= x\n    return",
            [
                ["import os"],
                ["def f(xs):", "n = 0", "m = 1"],
                ["for x in xs:", "n += x", "m *= x"],
                ["return"],
            ],
        ),
        (
            "for x in xs:\n    if x:\n        y = x\n    elif z:\n        y = z\n    else:\n        y = 0\n    n += y",
            [["for x in xs:"], ["if x:", "y = x"], ["elif z:", "y = z"], ["else:", "y = 0"], ["n += y"]],
        ),
        ("if x: return 1\nelse: return 2\ny = 3", [["if x: return 1"], ["else: return 2"], ["y = 3"]]),
        ("a()\n@one\n@two\ndef f():\n    b()\nc()", [["a()"], ["@one", "@two", "def f():", "b()"], ["c()"]]),
        ("async def f():\n    async with a:\n        b()", [["async def f():"], ["async with a:", "b()"]]),
        (
            "match x:\n    case [a]:\n        y = a\n    case _:\n        y = 0",
            [["match x:"], ["case [a]:", "y = a"], ["case _:", "y = 0"]],
        ),
        ("match = 1\ncase = match\nmatch: int = case", [["match = 1", "case = match", "match: int = case"]]),
        (
            "try:\n    f()\nexcept E:\n    g()\nfinally:\n    h()",
            [["try:", "f()"], ["except E:", "g()"], ["finally:", "h()"]],
        ),
        ("format(x)\niffy = 1\nfor_ = 2", [["format(x)", "iffy = 1", "for_ = 2"]]),
        # neutral lines decide nothing, wherever they stand
        ("# top\nx = 1\n    # deep\ny = 2", [["# top", "x = 1", "# deep", "y = 2"]]),
        ("if x:\n    pass\n# why\ny = 2", [["if x:", "pass", "# why"], ["y = 2"]]),
        ('def f():\n    """Says."""\n    return 1', [["def f():", '"""Says."""', "return 1"]]),
        ("if x:\n\ty = 1\n        z = 2\nw = 3", [["if x:", "y = 1", "z = 2"], ["w = 3"]]),  # a tab is eight columns
        (
            "for x in (\n    1,\n    2):  # all\n    f(\n  x)\n    g()",
            [["for x in (\n    1,\n    2):  # all", "f(\n  x)", "g()"]],
        ),
        # broken text: what can be read still counts
        ("def f(x) return x\n  y", [["def f(x) return x", "y"]]),
        ("x = (\nif y:\n    z = 'a", [["x = ("], ["if y:", "z = 'a"]]),
    ],
)
def test_blocks(program: str, expected: list[list[str]]) -> None:
    assert texts(program) == expected


def test_units_are_lines_or_the_spans_of_blocks() -> None:
    program = "def f(x):\n    # why\n    y = x\n    return y\n# end\n"
    assert units(program) == units(program, "line") == segment(program)
    assert [(program[u.start : u.end], u.neutral) for u in units(program, "block")] == [(program.rstrip("\n"), False)]
    assert [u.neutral for u in units("# only\n'text'\n", "block")] == [True]


STATEMENTS = ["x = 1", "f(x)", "return x", "pass", "# c", "'s'", "x = (1,\n  2)", "x = (", "@d", "x = '''"]
HEADERS = ["if x:", "for y in x:", "else:", "def f():", "match x:", "case 1:", "if x: y = 1", "while (x\n  ):"]
PROGRAMS = st.lists(
    st.tuples(st.sampled_from(["", " ", "    ", "\t", "        "]), st.sampled_from(STATEMENTS + HEADERS)), max_size=12
).map(lambda rows: "\n".join(indent + text for indent, text in rows))
ANY = st.one_of(PROGRAMS, st.text(alphabet="ab=():#'\n\t @if", max_size=60), st.text(max_size=60))


@given(ANY)
def test_blocks_partition_the_lines(program: str) -> None:
    lines = segment(program)
    found = blocks(program, lines)
    assert [i for block in found for i in block] == list(range(len(lines)))
    assert all(len(block) for block in found)
    for unit, block in zip(units(program, "block"), found, strict=True):
        assert (unit.start, unit.end) == (lines[block[0]].start, lines[block[-1]].end)
        assert unit.neutral == all(lines[i].neutral for i in block)
    assert all(a.end <= b.start for a, b in pairwise(units(program, "block")))


@given(ANY)
def test_a_block_holds_no_branch_but_its_own(program: str) -> None:
    lines = segment(program)
    for block in blocks(program, lines):
        counting = [lines[i] for i in block if not lines[i].neutral]
        statements = [line for line in counting if program[line.start] != "@"]
        assert not any(line.header for line in statements[1:])
        assert counting or len(block) == len(lines)  # comments alone make no block


@given(PROGRAMS)
def test_cutting_behind_a_block_does_not_move_those_before_it(program: str) -> None:
    found = units(program, "block")
    for count, unit in enumerate(found, 1):
        assert units(program[: unit.end], "block") == found[:count]


SOURCES = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))[::6]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_headers_are_those_of_the_parser(path: Path) -> None:
    program = path.read_text(encoding="utf-8", errors="replace").lstrip("\ufeff")
    tree = ast.parse(program)
    rows = {program.count("\n", 0, line.start) + 1 for line in segment(program) if line.header}
    compound = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.If, ast.For, ast.AsyncFor, ast.While)
    compound += (ast.With, ast.AsyncWith, ast.Try, ast.Match, ast.ExceptHandler)  # type: ignore[assignment]
    expected = {node.lineno for node in ast.walk(tree) if isinstance(node, compound)}
    expected |= {d.lineno for node in ast.walk(tree) for d in getattr(node, "decorator_list", ())}
    keywords = {i for i, text in enumerate(program.split("\n"), 1) if text.strip().startswith(("else:", "finally:"))}
    cases = {case.pattern.lineno for node in ast.walk(tree) if isinstance(node, ast.Match) for case in node.cases}
    assert (
        expected | cases
        <= rows
        <= expected
        | cases
        | keywords
        | {i for i, text in enumerate(program.split("\n"), 1) if text.strip().startswith("else ")}
    )
