"""Names that a module reads and binds, by hand and against Python's own symbol tables."""

from __future__ import annotations

import ast
import symtable

import pytest

from benchmarks._honest_programs import honest_programs
from sandbox_workers.scopes import top_names

CASES = {
    "def run(f, a):\n    return f(a)\nassert run(f, 1) == g": ({"run", "f", "g"}, {"run"}),
    "def outer():\n    x = 1\n    def inner():\n        return x + y\n    return inner": ({"y"}, {"outer"}),
    "class C:\n    x = a\n    def m(self):\n        return x": ({"a", "x"}, {"C"}),
    "r = [i * k for i in xs if i]": ({"k", "xs"}, {"r"}),
    "if (n := f()) > 1:\n    pass\n[m := v for v in n]": ({"f", "n"}, {"n", "m"}),
    "def f():\n    global g\n    g = 1": (set(), {"f", "g"}),
    "try:\n    import a.b as c, d.e\nexcept E as e:\n    pass": ({"E"}, {"c", "d", "e"}),
    "match v:\n    case {'a': x, **rest}:\n        pass\n    case [y, *z] | y as z:\n        pass": (
        {"v"},
        {"x", "rest", "y", "z"},
    ),
    "f = lambda x, *a, k=d, **kw: x + a + k + kw + o": ({"d", "o"}, {"f"}),
    "@deco\ndef f(a: T = D) -> R: ...": ({"deco", "T", "D", "R"}, {"f"}),
}


@pytest.mark.parametrize("text", CASES)
def test_names_of_a_module(text: str) -> None:
    read, bound = CASES[text]
    found = top_names(ast.parse(text))
    assert (set(found.read), set(found.bound)) == (read, bound)


def test_they_are_what_the_compiler_says() -> None:
    for honest in honest_programs():
        if "import *" in honest.program or "__future__" in honest.program:  # names that nobody knows, or evaluates
            continue
        top = symtable.symtable(honest.program, "program", "exec")
        bound = {symbol.get_name() for symbol in top.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
        found = top_names(ast.parse(honest.program))
        assert set(found.bound) == bound | _global_names(top), honest.name
        assert set(found.read) == _read(top), honest.name


def _global_names(table: symtable.SymbolTable) -> set[str]:
    found: set[str] = set()
    for child in table.get_children():
        found |= {s.get_name() for s in child.get_symbols() if s.is_declared_global() and s.is_assigned()}
        found |= _global_names(child)
    return found


def _read(table: symtable.SymbolTable) -> set[str]:
    is_top = table.get_type() == "module"
    found = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (is_top or s.is_global())}
    return found.union(*map(_read, table.get_children()))
