"""Mutations of calls: the wrong builtin or method, a missing conversion, a forgotten step."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from prl_ray.supervision.operators.build import argument, call_name, code, expression, method_name, plain_args, words
from prl_ray.supervision.operators.registry import mutation
from prl_ray.supervision.sites import Site


def _groups(*lines: str) -> dict[str, tuple[str, ...]]:
    """Maps each word to the other words of its group."""
    table: dict[str, tuple[str, ...]] = {}
    for line in lines:
        group = line.split()
        for word in group:
            table[word] = (*table.get(word, ()), *(w for w in group if w != word))
    return table


_BUILTINS = _groups(
    "min max sum len",
    "any all",
    "sorted reversed",
    "list set tuple",
    "int float round",
    "ord chr",
    "abs int",
    "zip enumerate",
    "map filter",
    "isinstance issubclass",
)
_METHODS = _groups(
    "append extend",
    "upper lower title capitalize swapcase",
    "strip lstrip rstrip",
    "find rfind index",
    "startswith endswith",
    "keys values items",
    "isdigit isalpha isalnum",
    "isupper islower",
    "union intersection difference symmetric_difference",
    "add discard",
    "issubset issuperset",
    "split rsplit",
    "ljust rjust center",
    "heappush heappop",
    "match search fullmatch",
    "ceil floor",
    "most_common elements",
)
_CONVERSIONS = words(
    "int float str list set tuple dict sorted reversed abs round len bool frozenset bin ord chr sum max min"
)


@mutation(
    cst.Call,
    examples=[("min(a)", "max(a)"), ("any(a)", "all(a)"), ("a = sorted(b)", "a = reversed(b)"), ("sum(a)", "len(a)")],
    weight=1.5,
)
def builtin_swap(site: Site) -> Iterator[cst.CSTNode]:
    """A builtin function is confused with a similar one."""
    node = site.node
    assert isinstance(node, cst.Call)
    for other in _BUILTINS.get(call_name(node), ()):
        yield node.with_changes(func=cst.Name(other))


@mutation(
    cst.Call,
    examples=[("a.append(b)", "a.extend(b)"), ("a.upper()", "a.lower()"), ("a.keys()", "a.values()")],
    weight=1.5,
)
def method_swap(site: Site) -> Iterator[cst.CSTNode]:
    """A method is confused with a similar one."""
    node = site.node
    if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute):
        for other in _METHODS.get(node.func.attr.value, ()):
            yield node.with_changes(func=node.func.with_changes(attr=cst.Name(other)))


@mutation(
    cst.Call,
    examples=[("return str(a)", "return a"), ("a = list(set(b))", "a = set(b)"), ("a = list(set(b))", "a = list(b)")],
)
def missing_conversion(site: Site) -> Iterator[cst.CSTNode]:
    """A conversion or another call with one argument is forgotten."""
    node = site.node
    assert isinstance(node, cst.Call)
    if call_name(node) in _CONVERSIONS and node.args and node.args[0].keyword is None and not node.args[0].star:
        yield expression(code(node.args[0].value))


@mutation(
    cst.Call,
    examples=[("a = b.strip().lower()", "a = b.lower()"), ("a = b.strip().lower()", "a = b.strip()")],
)
def missing_method(site: Site) -> Iterator[cst.CSTNode]:
    """One call in a chain of methods is forgotten."""
    node = site.node
    assert isinstance(node, cst.Call)
    if method_name(node) and isinstance(node.func, cst.Attribute) and not site.within((cst.Expr, "value")):
        yield expression(code(node.func.value))


@mutation(cst.Subscript, examples=[("a = b[::-1].upper()", "a = b.upper()"), ("a = b[1:]", "a = b")])
def missing_slice(site: Site) -> Iterator[cst.CSTNode]:
    """A slice or an index is forgotten."""
    node = site.node
    assert isinstance(node, cst.Subscript)
    if site.name not in ("target", "item"):
        yield expression(code(node.value))


@mutation(
    cst.Call,
    examples=[
        ("sorted(a, reverse=True)", "sorted(a)"),
        ("max(a, key=len)", "max(a)"),
        ("sorted(a)", "sorted(a, reverse=True)"),
    ],
)
def keyword_change(site: Site) -> Iterator[cst.CSTNode]:
    """A keyword argument is forgotten, or a sort order is reversed."""
    node = site.node
    assert isinstance(node, cst.Call)
    for i, arg in enumerate(node.args):
        if arg.keyword is not None:
            rest = [argument(a) for j, a in enumerate(node.args) if j != i]
            yield expression(f"{code(node.func)}({', '.join(rest)})")
    sorts = call_name(node) == "sorted" or method_name(node) == "sort"
    if sorts and not any(arg.keyword and arg.keyword.value == "reverse" for arg in node.args):
        parts = [argument(a) for a in node.args]
        yield expression(f"{code(node.func)}({', '.join([*parts, 'reverse=True'])})")


@mutation(cst.Call, examples=[("f(a, b)", "f(a)"), ("a.split(',')", "a.split()")], weight=0.5)
def argument_drop(site: Site) -> Iterator[cst.CSTNode]:
    """The last positional argument is forgotten."""
    node = site.node
    assert isinstance(node, cst.Call)
    required = call_name(node) in _CONVERSIONS and len(node.args) == 1
    if node.args and plain_args(node) and not required and call_name(node) != "range":
        rest = [argument(a) for a in node.args[:-1]]
        yield expression(f"{code(node.func)}({', '.join(rest)})")
