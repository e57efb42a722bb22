"""Places in a program: what is bound where, and what replacing a node rebuilds."""

import libcst as cst

from prl_ray.supervision.sites import Site, collect, is_loaded_variable, is_store, substituted, used_names, variables

PROGRAM = """\
import re
def f(a, b=1):
    c = a + b
    for i, (j, k) in g(c):
        d = [x for x in i if x]
    with h() as w:
        c.attr = w
    return (lambda y: y + c)(key=d)
"""


def sites() -> list[Site]:
    return collect(cst.parse_module(PROGRAM))


def named(name: str) -> list[Site]:
    return [site for site in sites() if isinstance(site.node, cst.Name) and site.node.value == name]


def test_stores_and_loads() -> None:
    for name, stores in {"a": 1, "c": 1, "i": 1, "j": 1, "k": 1, "x": 1, "w": 1, "d": 1, "y": 1}.items():
        found = named(name)
        assert sum(is_store(site) for site in found) == stores, name
        assert sum(is_loaded_variable(site) for site in found) == len(found) - stores, name


def test_attributes_keywords_and_function_names_are_no_variables() -> None:
    assert not any(is_loaded_variable(site) or is_store(site) for name in ("attr", "key", "f") for site in named(name))


def test_visible_names_are_those_bound_before() -> None:
    at_sum = next(site for site in named("a") if is_loaded_variable(site))
    assert at_sum.visible_names() == ["a", "b"]
    inside = [site for site in named("x") if is_loaded_variable(site)]
    assert all(set(site.visible_names()) == {"a", "b", "c", "i", "j", "k", "x"} for site in inside)
    at_end = next(site for site in named("d") if is_loaded_variable(site))
    assert set(at_end.visible_names()) == {"a", "b", "c", "i", "j", "k", "d", "w"}


def test_replacing_a_node_changes_nothing_else() -> None:
    site = next(site for site in sites() if isinstance(site.node, cst.Integer))
    assert site.replaced(cst.Integer("7")).code == PROGRAM.replace("b=1", "b=7")


def test_one_statement_becomes_several() -> None:
    site = next(site for site in sites() if isinstance(site.node, cst.SimpleStatementLine))
    two = (cst.parse_statement("import os\n"), cst.parse_statement("import sys\n"))
    assert site.replaced(two).code == PROGRAM.replace("import re", "import os\nimport sys")


def test_substitution_leaves_attributes_and_keywords() -> None:
    node = cst.parse_expression("a.a(a=a)[b]")
    assert cst.Module([]).code_for_node(substituted(node, "a", cst.Name("z"))) == "z.a(a=z)[b]"
    assert sorted(variables(node)) == ["a", "a", "b"]
    assert substituted(node, "q", cst.Name("z")) is node


def test_free_names_are_used_nowhere() -> None:
    assert sites()[0].free_names(("a", "attr", "key", "for", "z")) == ["z"]
    assert "re" in used_names(cst.parse_module(PROGRAM))
