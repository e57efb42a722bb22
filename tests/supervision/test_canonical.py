"""One way to print a program: same meaning, same text however it was laid out, and nothing lost."""

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.lines import segment
from prl_ray.problems import load_problems
from prl_ray.supervision.canonical import canonical

MESSY = """
# head
import re
@cache
def f(x,y):
    "doc"
    # own
    if x<1: return(x)  # trailing
    elif (y): pass
    else:
        z=[1,
           2, # two
        ]; w = "a"
    return(y)
"""
TIDY = """# head
import re


@cache
def f(x, y):
    "doc"
    # own
    if x < 1:  # trailing
        return x
    elif y:
        pass
    else:
        z = [1, 2]  # two
        w = 'a'
    return y
"""


def test_layout_is_gone_and_comments_stay() -> None:
    assert canonical(MESSY) == TIDY


@pytest.mark.parametrize(
    "program",
    [
        "try:\n    a\nexcept (B, C) as e:\n    pass\nexcept:\n    pass\nelse:\n    d\nfinally:\n    e\n",
        "match x:\n    case [1, *rest] if rest:\n        a\n    case _:\n        b\n",
        "for x in y:\n    a\nelse:\n    b\n",
        "while a:\n    b\n",
        "async def f():\n    async with a as b:\n        await c\n",
        "def f(a, /, b=1, *, c: int=2, **d) -> int:\n    global e\n    e = lambda: (yield)\n",
        "class A(B, metaclass=C):\n\n    def f(self):\n        return f'{self.a!r:>{4}}'\n".replace("\n\n", "\n"),
        "x = 'multi\\nline'\n",
    ],
)
def test_canonical_programs_stay_as_they_are(program: str) -> None:
    assert canonical(program) == program


def test_windows_line_ends_and_missing_newline() -> None:
    assert canonical("def f(x):\r\n\treturn(x)") == "def f(x):\n    return x"


def test_prefix_is_kept_to_the_letter() -> None:
    prefix = 'def f( x ):\n  """Doc.\n\n  >>> f(1)\n  """\n'
    program = prefix + "  if(x):\n      y=1\n  else:\n      y = 2\n  return(y)\n"
    expected = prefix + "  if x:\n      y = 1\n  else:\n      y = 2\n  return y\n"
    assert canonical(program, len(prefix)) == expected


def test_prefix_that_ends_inside_a_line() -> None:
    assert canonical("def f(x):\n    return(x)", len("def f(x):\n    ")) == "def f(x):\n    return x"
    assert canonical("def f(x):\n    return x+1", len("def f(x):\n    return ")) == "def f(x):\n    return x+1"


def test_what_does_not_parse_is_refused() -> None:
    for program in ("def f(:", "x = \x00"):
        with pytest.raises(SyntaxError):
            canonical(program)


def test_generated_references_are_canonical_already() -> None:
    for problem in load_problems("composed", split="train", limit=100):
        assert canonical(problem.references[0]) == problem.references[0]


SPACES = st.sampled_from(["", " ", "  ", "\\\n "])


@given(st.lists(SPACES, min_size=6, max_size=6), st.booleans(), st.booleans())
def test_spaces_parentheses_and_blank_lines_say_nothing(spaces: list[str], parens: bool, blank: bool) -> None:
    a, b, c, d, e, f = spaces
    value = f"x{a}+{b}1"
    value = f"({value})" if parens else value
    program = f"def f(x):\n    y{c}={d}{value}\n" + ("\n\n" if blank else "") + f"    return [x{e},{f}y]\n"
    assert canonical(program) == "def f(x):\n    y = x + 1\n    return [x, y]\n"


def test_every_line_of_the_result_is_one_statement() -> None:
    text = canonical(MESSY)
    assert len(segment(text)) == len([line for line in text.split("\n") if line.strip()])
    assert ast.dump(ast.parse(text)) == ast.dump(ast.parse(MESSY))
