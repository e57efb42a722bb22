"""Which names a text reads and binds at the top of its module, by Python's rules of scopes."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class TopNames(NamedTuple):
    """Names of a module."""

    read: frozenset[str]
    """Those that are looked up there, from whatever scope."""
    bound: frozenset[str]
    """Those that get a value there, by an import too."""


def top_names(tree: ast.Module) -> TopNames:
    """The names of this text's module."""
    top = _Scope(None)
    top.visit_all(tree.body)
    return TopNames(frozenset(top.read), frozenset(top.bound))


class _Scope:
    """One scope; ``outer`` is the next one in which names are looked up: that of a class is passed over."""

    def __init__(self, outer: _Scope | None, *, is_class: bool = False, is_comprehension: bool = False) -> None:
        self._outer = outer
        self._is_class = is_class
        self._is_comprehension = is_comprehension
        self._global: set[str] = set()
        self.read: set[str] = set()
        self.bound: set[str] = set()

    def visit_all(self, nodes: Iterable[ast.AST | None]) -> None:
        """Note the names that these nodes read and bind."""
        for node in nodes:
            if node is not None:
                self._visit(node)

    def _visit(self, node: ast.AST) -> None:
        match node:
            case ast.Name(id=name, ctx=ast.Load()):
                self.read.add(name)
            case ast.Name(id=name):
                self.bound.add(name)
            case ast.NamedExpr(target=ast.Name(id=name), value=value):
                self._of_walrus().bound.add(name)
                self._visit(value)
            case ast.Global(names=names):
                self._global.update(names)
            case ast.Nonlocal():
                return
            case ast.ClassDef(name=name):
                self.bound.add(name)
                self.visit_all([*node.decorator_list, *node.bases, *(keyword.value for keyword in node.keywords)])
                self._within(node.body, is_class=True)
            case _ if isinstance(node, _FUNCTIONS):
                self._visit_function(node)
            case _ if isinstance(node, _COMPREHENSIONS):
                self._visit(node.generators[0].iter)
                self._within(_parts_of_comprehension(node), is_comprehension=True)
            case _:
                self.bound.update(_names_bound_by(node))
                self.visit_all(ast.iter_child_nodes(node))

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        arguments = node.args
        all_of_them = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        rest = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
        self.visit_all([*arguments.defaults, *arguments.kw_defaults])
        self.visit_all(argument.annotation for argument in (*all_of_them, *rest))
        if isinstance(node, ast.Lambda):
            body: Sequence[ast.AST] = [node.body]
        else:
            self.bound.add(node.name)
            self.visit_all([*node.decorator_list, node.returns])
            body = node.body
        self._within(body, {argument.arg for argument in (*all_of_them, *rest)})

    def _within(
        self,
        body: Iterable[ast.AST],
        bound: Iterable[str] = (),
        *,
        is_class: bool = False,
        is_comprehension: bool = False,
    ) -> None:
        """Visit a scope below this one, and note the names that it reads from here or further out."""
        inner = _Scope(self, is_class=is_class, is_comprehension=is_comprehension)
        inner.bound.update(bound)
        inner.visit_all(body)
        self._seen_from_within().read.update(inner.read - (inner.bound - inner._global))
        self._top().read.update(inner.read & inner._global)
        self._top().bound.update(inner.bound & inner._global)

    def _seen_from_within(self) -> _Scope:
        scope = self
        while scope._is_class and scope._outer is not None:
            scope = scope._outer
        return scope

    def _of_walrus(self) -> _Scope:
        scope = self
        while scope._is_comprehension and scope._outer is not None:
            scope = scope._outer
        return scope

    def _top(self) -> _Scope:
        scope = self
        while scope._outer is not None:
            scope = scope._outer
        return scope


def _parts_of_comprehension(node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp) -> Iterator[ast.AST]:
    first, *others = node.generators
    yield from (first.target, *first.ifs, *others)
    yield from (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,)


def _names_bound_by(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield name
        case ast.MatchMapping(rest=str(name)):
            yield name
        case ast.alias(name=name, asname=alias):
            yield (alias or name).split(".")[0]
