"""Places at which a program has the values with which a reference goes on, from traces by hand."""

from collections.abc import Mapping, Sequence

from prl_ray.credit.anchors import anchors, with_new_names
from prl_ray.credit.trace import Trace
from prl_ray.supervision.completions import Anchor
from prl_ray.supervision.differences import line_texts

REFERENCE = "def f(xs):\n    n = len(xs)\n    total = sum(xs)\n    return total / n"
PROGRAM = "def f(a):\n    s = sum(a)\n    k = len(a)\n    t = s\n    return t / k"


def trace(*lines: Sequence[Mapping[str, str] | str]) -> Trace:
    """By line and input: the variables, or the state of a line that ends the call or is not reached."""
    states = [tuple("|".join(sorted(v.values())) if isinstance(v, Mapping) else v for v in line) for line in lines]
    variables = tuple(tuple(v if isinstance(v, Mapping) else {} for v in line) for line in lines)
    return Trace(tuple(state if any(state) else None for state in states), variables)


THERE = trace(
    [{"xs": "[1,3]"}, {"xs": "[2]"}],
    [{"xs": "[1,3]", "n": "2"}, {"xs": "[2]", "n": "1"}],
    [{"xs": "[1,3]", "n": "2", "total": "4"}, {"xs": "[2]", "n": "1", "total": "2"}],
    ["=2", "=2"],
)


def found(own: Trace, program: str = PROGRAM) -> list[Anchor]:
    return list(anchors(program, own, tuple(line_texts(REFERENCE)), THERE))


def test_an_anchor_has_the_values_that_the_rest_reads() -> None:
    own = trace(
        [{"a": "[1,3]"}, {"a": "[2]"}],
        [{"a": "[1,3]", "s": "4"}, {"a": "[2]", "s": "2"}],
        [{"a": "[1,3]", "s": "4", "k": "2"}, {"a": "[2]", "s": "2", "k": "1"}],
        [{"a": "[1,3]", "s": "4", "k": "2", "t": "4"}, {"a": "[2]", "s": "2", "k": "1", "t": "2"}],
        ["=2.0", "=2.0"],
    )
    # longest first; behind the ``def`` and behind ``s`` only the arguments are there, from which all is computed anew
    places = [(anchor.kept, anchor.skipped) for anchor in found(own)]
    assert places == [(4, 1), (4, 2), (4, 3), (3, 1), (3, 2), (3, 3), (2, 1), (1, 1)]
    names = {(anchor.kept, anchor.skipped): dict(anchor.names) for anchor in found(own)}
    assert names[4, 3] == names[3, 3] == {"n": "k", "total": "s"}  # the first of two variables with this value
    assert names[3, 2] == {"xs": "a", "n": "k", "total": "t"}  # ``total`` is bound behind it: the next new name
    assert names[2, 1] == {"xs": "a", "n": "k", "total": "t"}


def test_only_inputs_that_come_to_the_line_count_and_all_of_them_must_agree() -> None:
    values = {"a": "[1,3]", "s": "4", "k": "2"}
    guarded = trace([{"a": "[1,3]"}, {"a": "[2]"}], ["", "=9"], [values, ""], ["", ""], ["=2", ""])
    assert (3, 3) in [(anchor.kept, anchor.skipped) for anchor in found(guarded)]
    other = trace([{"a": "[1,3]"}, {"a": "[2]"}], ["", ""], [values, {"a": "[2]", "s": "3", "k": "1"}], ["", ""])
    assert not [anchor for anchor in found(other) if (anchor.kept, anchor.skipped) == (3, 3)]
    assert found(trace(*[["", ""]] * 4)) == [], "no line was reached"


def test_a_variable_keeps_its_name_where_both_have_it() -> None:
    same = (
        PROGRAM.replace("s =", "n =").replace("k =", "total =").replace("t = s", "t = n").replace("t / k", "t / total")
    )
    values = [{"a": "[1,3]", "n": "2", "total": "4"}, {"a": "[2]", "n": "1", "total": "2"}]
    own = trace([{"a": "[1,3]"}, {"a": "[2]"}], values, values)
    names = {(anchor.kept, anchor.skipped): anchor.names for anchor in found(own, same)}
    assert (names[3, 3], names[1, 1]) == ((), (("xs", "a"),))


def test_new_names_are_paired_in_order() -> None:
    assert with_new_names({"xs": "a"}, ("n", "total"), ("k", "t", "u")) == (
        ("xs", "a"),
        ("n", "k"),
        ("total", "t"),
    )
    assert with_new_names({}, ("xs", "n"), ("n", "k")) == (("xs", "k"),)
    assert with_new_names({"xs": "xs"}, ("n",), ()) == ()
