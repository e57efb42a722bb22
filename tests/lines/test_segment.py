"""Segmentation against Python's own tokenizer and parser, on hand-made cases and on standard-library sources."""

import ast
import io
import random
import sysconfig
import time
import tokenize
from bisect import bisect_right
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prl_ray.lines import Line, segment

NEUTRAL = "neutral "


def texts(program: str) -> list[str]:
    """The lines' texts, neutral ones marked."""
    return [NEUTRAL * line.neutral + program[line.start : line.end] for line in segment(program)]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("", []),
        ("\n \t\n\f\n", []),
        ("x = 1", ["x = 1"]),
        ("x = 1  \n\n  \ny = 2\n", ["x = 1", "y = 2"]),
        ("x = [\n    1,  # one\n\n    2,\n]\ny = x", ["x = [\n    1,  # one\n\n    2,\n]", "y = x"]),
        ("x = 1  # why\n# alone\n", ["x = 1  # why", "neutral # alone"]),
        ("x = 1 + \\\n    2\ny", ["x = 1 + \\\n    2", "y"]),
        ("\\\n\nx = 1", ["x = 1"]),
        ("a = 1; b = 2", ["a = 1; b = 2"]),
        ("if x: return 1\nelse: return 2", ["if x: return 1", "else: return 2"]),
        ("@first\n@second(\n    1,\n)\ndef f(\n    x,\n):\n    return x", None),
        ("try:\n    f()\nexcept E as e:\n    g()\nelse:\n    h()\nfinally:\n    i()", None),
        ("match x:\n    case [a, b] if a:\n        y = 1\n    case _:\n        y = 2", None),
        ("f = lambda a: (\n    a\n)", ["f = lambda a: (\n    a\n)"]),
        ("x = '''a\n# no comment\n(\n'''\ny", ["x = '''a\n# no comment\n(\n'''", "y"]),
        ('x = "# ("  # )\ny', ['x = "# ("  # )', "y"]),
        ("x = 'a\\\nb'\ny", ["x = 'a\\\nb'", "y"]),
        (r"x = r'\' + '(' + 'a\'('" + "\ny", [r"x = r'\' + '(' + 'a\'('", "y"]),
        ("x = rb'''\\'''(''' + b'(' + Rb\"[\"\ny", ["x = rb'''\\'''(''' + b'(' + Rb\"[\"", "y"]),
        ("x = 1if'('else'['\ny", ["x = 1if'('else'['", "y"]),
        ("x\u2028y = '\x0b\x1c\u2029'\nz", ["x\u2028y = '\x0b\x1c\u2029'", "z"]),  # no newlines to Python
        ("\ufeffx = 1", ["\ufeffx = 1"]),
        ("größe = '日本🎉'\nreturn größe", ["größe = '日本🎉'", "return größe"]),
        ("\f    x = 1\n\ty = 2", ["x = 1", "y = 2"]),
    ],
)
def test_lines(program: str, expected: list[str] | None) -> None:
    if expected is None:  # one logical line a header or statement, as the tokenizer says
        assert spans(program, segment(program)) == tokenizer_spans(program)
    else:
        assert texts(program) == expected


@pytest.mark.parametrize(
    "line",
    [
        "pass",
        "pass; pass",
        "...",
        '"""A docstring."""',
        "'''Two\nlines.'''",
        "'a' 'b'",
        "('a'\n 'b')",
        "b'bytes'",
        "# comment",
        "42",
        "None",
        "1.5e3",
        "'text'  # comment",
        "'text'; pass",
    ],
)
def test_neutral_lines(line: str) -> None:
    assert texts(f"x = 1\n    {line}\ny = 2") == ["x = 1", NEUTRAL + line, "y = 2"]


@pytest.mark.parametrize(
    "line",
    [
        "passed",
        "x",
        "f'{x()}'",
        "'a' + x",
        "'a'.join(x)",
        "return",
        "break",
        "-x",
        "a...",
        "x = ''",
        "else: pass",
        "pass; x",
    ],
)
def test_scored_lines(line: str) -> None:
    assert texts(f"x = 1\n    {line}\ny = 2") == ["x = 1", line, "y = 2"]


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("x = foo(1\ny = 2", ["x = foo(1", "y = 2"]),
        ("x = foo(1\nreturn bar(2))\nz", ["x = foo(1", "return bar(2))", "z"]),
        ("x = 'abc\ny = 'd'", ["x = 'abc", "y = 'd'"]),
        ("x = (1]\ny = [\n1]", ["x = (1]", "y = [\n1]"]),
        ("x = 1)\ny = 2", ["x = 1)", "y = 2"]),
        ("x = [\n    1,\n]\ny = '''a\nb", ["x = [\n    1,\n]", "y = '''a", "b"]),
        ("f'{x\ny", ["f'{x", "y"]),
        ("def f(x) return x\n  y", ["def f(x) return x", "y"]),
        ("x = 1 \\", ["x = 1 \\"]),
        ("x = '\\", ["x = '\\"]),
        ("\0\nx", ["\0", "x"]),
    ],
)
def test_broken_programs_fall_back_to_physical_lines(program: str, expected: list[str]) -> None:
    with pytest.raises((SyntaxError, ValueError)):  # ValueError: null bytes, before Python 3.12
        ast.parse(program)
    assert texts(program) == expected


@pytest.mark.parametrize(
    "literal",
    [
        "f'{x}{{(}}'",
        "f'{x:{w}.{p}}'",
        "f'{x!r:>{w}}'",
        "f'{d[\"(\"]}'",
        "f'{x:(}'",
        "f'''{\n    [x\n     for x in y]\n}'''",
        "rf'\\{x}'",
        "f'\\'{x}'",
        "f'\\N{LEFT PARENTHESIS}'",
        "f'{(lambda a: a)(1)}'",
        "f'{x:%H:%M}'",
        'f"""{x:"<5}"""',
        "f'{x!=y}'",
    ],
)
def test_format_strings(literal: str) -> None:
    ast.parse(literal)
    assert texts(f"a = {literal}\nb") == [f"a = {literal}", "b"]


def test_format_strings_may_reuse_their_quotes_since_python_3_12() -> None:
    assert texts('a = f"{d["("]}"\nb') == ['a = f"{d["("]}"', "b"]
    assert texts("a = f'{f'{f'('}'}'\nb") == ["a = f'{f'{f'('}'}'", "b"]


STATEMENTS = [
    "x = 1",
    "x = [\n        1,\n        2,\n    ]",
    "'''doc\n  more'''",
    "# comment (",
    "pass",
    "y = f'{x!r:>{w}}'; z = '''\n'''",
    "if x: y = {\n    1: (2,\n3)}",
    "for i in range(3):\n        x += i\n        # inner\n    else:\n        x = 'größer 🎉'",
    "x = 1 + \\\n        2  # joined",
    "@d\n    def g(a,\n          b): return a",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(STATEMENTS), min_size=1), st.sampled_from(["\n", "\r\n", "\r"]))
def test_generated_programs(statements: list[str], newline: str) -> None:
    program = "def f(x):\n    " + "\n    ".join([*statements, "return x"])
    lines = segment(program)
    assert spans(program, lines) == tokenizer_spans(program)
    # The newline's kind changes nothing.
    other = program.replace("\n", newline)
    ast.parse(other)
    assert [other[x.start : x.end].replace(newline, "\n") for x in segment(other)] == [
        program[x.start : x.end] for x in lines
    ]
    # Cutting the program at the end of a line leaves all lines before it.
    for n, line in enumerate(lines, 1):
        assert segment(program[: line.end]) == lines[:n]


@settings(deadline=None)
@given(st.text(alphabet="ab '\"\\#()[]{}:;.\n\r\t\fé🎉f_="))
def test_any_text_is_covered_by_ordered_lines(text: str) -> None:
    lines = segment(text)
    bounds = [0, *(place for line in lines for place in (line.start, line.end)), len(text)]
    assert bounds == sorted(bounds)
    assert all(line.start < line.end for line in lines)
    gaps = [text[a:b] for a, b in list(pairwise(bounds))[::2]]
    assert set("".join(gaps)) <= set(" \t\f\r\n\\")
    assert all(set("\r\n") & set(gap) for gap in gaps[1:-1])


@settings(deadline=None)
@given(st.text())
def test_never_raises(text: str) -> None:
    segment(text)


def test_standard_library_agrees_with_tokenizer_and_parser() -> None:
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    checked = 0
    for file in random.Random(0).sample(files, 40):
        source = file.read_text(encoding="utf-8", errors="strict")
        if "\f" in source:  # the tokenizer module counts columns differently there
            continue
        lines = segment(source)
        assert spans(source, lines) == tokenizer_spans(source), file.name
        check_statements(source, lines)
        checked += 1
    assert checked > 20


def test_hostile_programs_take_linear_time() -> None:
    start = time.perf_counter()
    for program in (
        "(\n" * 5_000,
        "'''\n" * 5_001,
        'f"{' * 5_000,
        "f'{x:{" * 5_000,
        '"""' + "\\" * 50_001,
        "1." * 20_000,
    ):
        segment(program)
    assert time.perf_counter() - start < 10


def spans(program: str, lines: list[Line]) -> list[tuple[int, int]]:
    """(first, last) physical line of each line, 1-based."""
    starts = line_starts(program)
    return [(bisect_right(starts, line.start), bisect_right(starts, line.end - 1)) for line in lines]


def tokenizer_spans(program: str) -> list[tuple[int, int]]:
    """The same from Python's tokenizer: logical lines and comments between them."""
    result: list[tuple[int, int]] = []
    first = 0
    layout = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    for token in tokenize.generate_tokens(io.StringIO(program).readline):
        if token.type == tokenize.NEWLINE:
            result.append((first, token.start[0]))
            first = 0
        elif token.type == tokenize.COMMENT and not first:
            result.append((token.start[0], token.start[0]))
        elif token.type not in layout:
            first = first or token.start[0]
    return result


def check_statements(source: str, lines: list[Line]) -> None:
    """Each statement of the parser starts in a line, a simple one ends there; ``pass`` and docstrings are neutral."""
    starts = line_starts(source)
    physical = source.split("\n")

    def character(row: int, byte: int) -> int:
        return starts[row - 1] + len(physical[row - 1].encode()[:byte].decode())

    line_begins = [line.start for line in lines]
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.stmt):
            continue
        start = character(node.lineno, node.col_offset)
        end = character(node.end_lineno or 0, node.end_col_offset or 0)
        line = lines[bisect_right(line_begins, start) - 1]
        assert line.start <= start < line.end
        if not hasattr(node, "body") and not isinstance(node, ast.Match):
            assert end <= line.end
            alone = (start, source[end : line.end].strip()) == (line.start, "")
            without_effect = isinstance(node, ast.Pass) or (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            )
            if alone:
                assert line.neutral == without_effect


def line_starts(program: str) -> list[int]:
    return [0, *(i + 1 for i, c in enumerate(program) if c == "\n")]
