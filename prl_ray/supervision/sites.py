"""The syntax tree as a list of sites that can be edited, with the context that operators need.

A module is parsed once and walked once. A :class:`Site` knows its parent, so replacing a node rebuilds only the nodes
above it, and the names in scope need no second pass.
"""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache

import libcst as cst

_LAYOUT = (cst.BaseParenthesizableWhitespace, cst.TrailingWhitespace, cst.EmptyLine, cst.Newline, cst.Comment)
_SKIPPED_FIELDS = frozenset(
    {"lpar", "rpar", "semicolon", "comma", "colon", "equal", "leading_lines", "header", "footer", "asynchronous"}
)
BUILTIN_NAMES = frozenset(dir(builtins))


Replacement = cst.CSTNode | tuple[cst.CSTNode, ...]
"""The replacement of a node; a tuple replaces one item of a sequence by several."""


@dataclass(slots=True, eq=False)
class Scope:
    """Names that one function (or the module) binds, each with the position of its first binding."""

    site: Site | None
    bindings: dict[str, int] = field(default_factory=dict)
    stores: dict[str, int] = field(default_factory=dict)
    """How often a name is bound."""


@dataclass(slots=True, eq=False)
class Site:
    """A node and its place in the tree."""

    node: cst.CSTNode
    parent: Site | None
    name: str
    """The parent's field that holds the node."""
    index: int
    """Position in that field if it is a sequence, else -1."""
    order: int
    """Position in source order among all sites of the module."""
    scope: Scope
    extra: tuple[str, ...] = ()
    """Names that enclosing comprehensions and lambdas bind."""

    def replaced(self, new: Replacement) -> cst.Module:
        """The module with ``new`` in place of this node."""
        site = self
        while site.parent is not None:
            above = site.parent.node
            if site.index < 0:
                value: object = new
            else:
                old = getattr(above, site.name)
                items = new if isinstance(new, tuple) else (new,)
                value = (*old[: site.index], *items, *old[site.index + 1 :])
            new = above.with_changes(**{site.name: value})
            site = site.parent
        assert isinstance(new, cst.Module)
        return new

    def ancestor(self, *kinds: type[cst.CSTNode]) -> Site | None:
        """The nearest site above this one whose node is of one of the kinds."""
        site = self.parent
        while site is not None and not isinstance(site.node, kinds):
            site = site.parent
        return site

    def within(self, *path: tuple[type[cst.CSTNode], str]) -> bool:
        """Whether the enclosing sites, from the nearest, have these kinds and hold this site in these fields."""
        site: Site | None = self
        for kind, name in path:
            if site is None or site.parent is None or site.name != name or not isinstance(site.parent.node, kind):
                return False
            site = site.parent
        return True

    def visible_names(self) -> list[str]:
        """Variables bound before this place: those of the function, and of enclosing comprehensions."""
        own = [name for name, order in self.scope.bindings.items() if order < self.order]
        return [*own, *(name for name in self.extra if name not in own)]

    @property
    def root(self) -> cst.CSTNode:
        """The module."""
        site = self
        while site.parent is not None:
            site = site.parent
        return site.node

    def free_names(self, candidates: Sequence[str]) -> list[str]:
        """The candidates that the module does not use."""
        used = used_names(self.root)
        return [name for name in candidates if name not in used]


def collect(module: cst.Module) -> list[Site]:
    """All sites of a module in source order, the module itself first."""
    walker = _Walker()
    walker.visit(module, None, "", -1, Scope(None), ())
    return walker.sites


def is_store(site: Site) -> bool:
    """Whether a ``Name`` is bound here, not read."""
    name, above = site.name, site.parent
    while above is not None and isinstance(above.node, cst.Element | cst.StarredElement | cst.Tuple | cst.List):
        name, above = above.name, above.parent
    return above is not None and (type(above.node), name) in _STORES


def is_variable(site: Site) -> bool:
    """Whether a ``Name`` is a variable (not an attribute, a keyword, the name of a function, …)."""
    return site.parent is not None and (type(site.parent.node), site.name) not in _NOT_VARIABLES


def is_loaded_variable(site: Site) -> bool:
    """Whether a ``Name`` reads a variable."""
    return isinstance(site.node, cst.Name) and is_variable(site) and not is_store(site)


@cache
def _child_fields(kind: type[cst.CSTNode]) -> tuple[str, ...]:
    names = [f.name for f in fields(kind) if not f.name.startswith("whitespace") and f.name not in _SKIPPED_FIELDS]
    if issubclass(kind, cst.GeneratorExp | cst.ListComp | cst.SetComp | cst.DictComp):
        names.sort(key=lambda name: name != "for_in")  # the clause binds what the element reads
    if issubclass(kind, cst.Assign | cst.AnnAssign | cst.NamedExpr):
        names.sort(key=lambda name: name != "value")  # evaluated before its target is bound
    if issubclass(kind, cst.For | cst.CompFor):
        names.sort(key=lambda name: name != "iter")
    return tuple(names)


def children(node: cst.CSTNode) -> Iterator[tuple[str, int, cst.CSTNode]]:
    """Child nodes that operators may edit, in order of evaluation where that differs from the text."""
    for name in _child_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, cst.CSTNode):
            if not isinstance(value, _LAYOUT):
                yield name, -1, value
        elif isinstance(value, tuple | list):
            for index, item in enumerate(value):
                if isinstance(item, cst.CSTNode) and not isinstance(item, _LAYOUT):
                    yield name, index, item


class _Walker:
    def __init__(self) -> None:
        self.sites: list[Site] = []

    def visit(
        self, node: cst.CSTNode, parent: Site | None, name: str, index: int, scope: Scope, extra: tuple[str, ...]
    ) -> None:
        site = Site(node, parent, name, index, len(self.sites), scope, extra)
        self.sites.append(site)
        if isinstance(node, cst.Name):
            self.bind(site)
            return
        if isinstance(node, cst.FunctionDef | cst.ClassDef | cst.Module):
            scope = Scope(site)
        elif isinstance(node, cst.Lambda):
            extra = (*extra, *(p.name.value for p in node.params.params))
        for child_name, child_index, child in children(node):
            self.visit(child, site, child_name, child_index, scope, extra)
            if isinstance(child, cst.CompFor):
                extra = (*extra, *_clause_names(child))
            elif isinstance(node, cst.CompFor) and child_name == "target":
                extra = (*extra, *target_names(child))

    def bind(self, site: Site) -> None:
        if not isinstance(site.node, cst.Name) or not is_store(site):
            return
        comprehension = site.ancestor(cst.CompFor, cst.Lambda, *_STATEMENTS)
        if comprehension is not None and isinstance(comprehension.node, cst.CompFor | cst.Lambda):
            return  # not a variable of the function: passed in ``extra``
        scope = site.scope
        scope.bindings.setdefault(site.node.value, site.order)
        scope.stores[site.node.value] = scope.stores.get(site.node.value, 0) + 1


def _clause_names(clause: cst.CSTNode) -> list[str]:
    """Names bound by a comprehension's ``for`` clause and those nested in it."""
    names: list[str] = []
    while isinstance(clause, cst.CompFor):
        names += target_names(clause.target)
        clause = clause.inner_for_in  # type: ignore[assignment]
    return names


def target_names(target: cst.CSTNode) -> list[str]:
    """Names in an assignment target (``a, (b, c)`` gives a, b, c); subscripts and attributes bind none."""
    if isinstance(target, cst.Name):
        return [target.value]
    if isinstance(target, cst.Tuple | cst.List):
        return [name for element in target.elements for name in target_names(element.value)]
    return []


def substituted(node: cst.CSTNode, name: str, new: cst.BaseExpression) -> cst.CSTNode:
    """The node with every variable ``name`` below it replaced; nodes without it are shared, not copied."""
    return _substituted(node, name, new, None, "")


def _substituted(
    node: cst.CSTNode, name: str, new: cst.BaseExpression, above: type[cst.CSTNode] | None, at: str
) -> cst.CSTNode:
    if isinstance(node, cst.Name):
        return new if node.value == name and (above, at) not in _NOT_VARIABLES else node
    changes: dict[str, object] = {}
    for child_name in _child_fields(type(node)):
        value = getattr(node, child_name)
        if isinstance(value, cst.CSTNode):
            changed = _substituted(value, name, new, type(node), child_name)
            if changed is not value:
                changes[child_name] = changed
        elif isinstance(value, tuple | list):
            items = [
                _substituted(v, name, new, type(node), child_name) if isinstance(v, cst.CSTNode) else v for v in value
            ]
            if any(a is not b for a, b in zip(items, value, strict=True)):
                changes[child_name] = items
    return node.with_changes(**changes) if changes else node


def variables(node: cst.CSTNode, above: type[cst.CSTNode] | None = None, at: str = "") -> Iterator[str]:
    """Every occurrence of a variable below a node, read or bound."""
    if isinstance(node, cst.Name) and (above, at) not in _NOT_VARIABLES:
        yield node.value
    for child_name, _, child in children(node):
        yield from variables(child, type(node), child_name)


@lru_cache(maxsize=16)
def used_names(node: cst.CSTNode) -> frozenset[str]:
    """Every identifier below a node, including attributes and keywords of the language, so that none is reused."""
    found: set[str] = set(keyword.kwlist)
    stack = [node]
    while stack:
        top = stack.pop()
        if isinstance(top, cst.Name):
            found.add(top.value)
        stack += [child for _, _, child in children(top)]
    return frozenset(found)


_STATEMENTS = (cst.SimpleStatementLine, cst.For, cst.If, cst.While, cst.With, cst.FunctionDef, cst.ClassDef, cst.Try)
_STORES = frozenset(
    {
        (cst.AssignTarget, "target"),
        (cst.AnnAssign, "target"),
        (cst.AugAssign, "target"),
        (cst.For, "target"),
        (cst.CompFor, "target"),
        (cst.NamedExpr, "target"),
        (cst.AsName, "name"),
        (cst.Param, "name"),
        (cst.MatchAs, "name"),
        (cst.MatchStar, "name"),
    }
)
_NOT_VARIABLES = frozenset(
    {
        (cst.Attribute, "attr"),
        (cst.Arg, "keyword"),
        (cst.FunctionDef, "name"),
        (cst.ClassDef, "name"),
        (cst.ImportAlias, "name"),
        (cst.NameItem, "name"),
        (cst.Annotation, "annotation"),
    }
)
