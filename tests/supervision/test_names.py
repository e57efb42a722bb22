"""The variables of a program, and the program with other names for them."""

import pytest

from prl_ray.supervision.completions import values_read
from prl_ray.supervision.differences import line_texts
from prl_ray.supervision.names import assigns, bound_names, renamed

PROGRAM = """def f(xs, n=1):
    total, k = 0, len(xs)
    for x in xs:
        total += x.k * n
    with open(n) as file:
        rows = [row for row in file if (lambda z: z)(row)]
    return g(n=total, f"{k}")"""


def test_names_are_those_that_the_text_binds_in_its_order() -> None:
    text = PROGRAM.replace("g(n=total", "g(total")
    assert bound_names(text) == ("xs", "n", "total", "k", "x", "file", "rows")
    assert bound_names(text + "\n    y = (") == bound_names(text), "up to the line that is no Python"
    assert bound_names("+*") == () and not assigns("def f(a):\n    return a")
    assert bound_names("n = int(input())\nprint(n)") == ("n",) and assigns("n = 1\nprint((")


def test_attributes_keywords_and_texts_keep_their_names() -> None:
    program = "def f(k):\n    return g(k=k, text=f'{k} k').k"
    assert renamed(program, (("k", "n"),)) == "def f(n):\n    return g(k=n, text=f'{n} k').k"
    for text in ("def f(", "x = 1\0"):
        with pytest.raises(SyntaxError):
            renamed(text, ())


@pytest.mark.parametrize(
    ("body", "kept", "read"),
    [
        ("    s = 0\n    for x in xs:\n        s += x\n    return s", 4, {"s"}),
        # a line that only changes a value does not read it
        ("    s = 0\n    for x in xs:\n        s += x\n    return sum(xs)", 4, set()),
        ("    s = []\n    s.append(1)\n    s[0] = 2\n    return xs", 4, set()),
        # read only after it has been bound anew
        ("    s = 0\n    s = 5\n    return s", 2, set()),
        ("    s = 0\n    s = s + 5\n    return s", 2, {"s"}),
        ("    s = 0\n    if xs:\n        s = 5\n    return s", 2, {"s"}),
    ],
)
def test_values_of_kept_lines_that_are_read(body: str, kept: int, read: set[str]) -> None:
    assert values_read(line_texts("def f(xs):\n" + body), kept) - {"xs"} == read
