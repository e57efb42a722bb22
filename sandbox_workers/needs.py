"""Requirements of tests on the process that they run in, told by their text.

Tests in a process of their own see the program only through calls with plain data. Some tests need more, and run in the
program's process: those that set or watch state of the process (replaced streams, patched functions, seeds, the
environment, contexts, warnings, logging), those that look at the program's objects themselves (identity, signatures,
coroutines, exceptions with causes), and those by which a value of the program can become code in the tests' process
(``eval``, ``pickle``, attributes and templates chosen by it). For the last it is the mark that matters: a verdict of
such tests rests on what the program could have written, and says so wherever they run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from . import needs_words as words
from . import own_files, syntax
from .syntax import Source


class Needs(NamedTuple):
    """Requirements of tests on the process that they run in."""

    shared: str
    """Why they need the program's process; empty if their text shows no reason."""
    state: list[str]
    """Kinds of the process's state that they set and that their calls carry (``inside.process_state``)."""


def of(sources: Iterable[Source]) -> Needs:
    """Requirements of these tests with their setup."""
    found: set[str] = set()
    for reason in _all_reasons(sources):
        if reason not in words.KINDS and reason not in words.NOT_ALONE:
            return Needs(reason, [])
        found.add(reason)
    together = any(reason in found and not found.isdisjoint(kinds) for reason, kinds in words.NOT_ALONE.items())
    return Needs(words.STATE, []) if together else Needs("", sorted(found & words.KINDS))


def _all_reasons(sources: Iterable[Source]) -> Iterator[str]:
    nodes = [node for source in sources for node in source.nodes if type(node) in _LOOKED_AT]
    modules = dict(pair for node in nodes for pair in syntax.imported(node))
    for node in nodes:
        yield from _reasons(node, modules)
    if own_files.are_read_again([node for source in sources for node in source.nodes]):
        yield words.FILES


def runs_values(sources: Iterable[Source]) -> bool:
    """Whether a value that this code is given can become code in its process."""
    return any(reason == words.CODE for reason in _all_reasons(sources))


_ASYNCHRONOUS = ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.TryStar
_LOOKED_AT = frozenset(
    (
        *(ast.Import, ast.ImportFrom, ast.Name, ast.keyword, ast.Attribute, ast.Compare, ast.FunctionDef),
        *(ast.Assign, ast.AugAssign, ast.Delete, ast.BinOp, ast.Call, *_ASYNCHRONOUS),
    )
)
"""Kinds of nodes that ``_reasons`` knows."""


def _reasons(node: ast.AST, imported: Mapping[str, str]) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            if name in words.NAMES:
                yield words.NAMES[name]
            elif name in words.CARRIED_NAMES and name in imported:
                yield _of_carried(imported[name], name)
        case ast.Import(names=names):
            yield from filter(None, (_of_module(alias.name) for alias in names))
        case ast.ImportFrom(module=str(module), names=names):
            yield from filter(None, [_of_module(module), *(_of_module(f"{module}.{alias.name}") for alias in names)])
            yield from (words.NAMES[alias.name] for alias in names if alias.name in words.NAMES)
            yield from (words.CODE for alias in names if (module, alias.name) in words.OF_MODULES)
            carried = [alias.name for alias in names if alias.name in words.CARRIED_NAMES]
            yield from (words.STATE if module == "sys" else _of_carried(module, name) for name in carried)
            yield from (words.DRAWS for alias in names if module == "random" and alias.name != "seed")
        case ast.keyword(arg=str(name)) if name in words.NAMES and name in ("allow_pickle",):
            yield words.NAMES[name]
        case ast.Attribute(value=value, attr=name):
            yield from _of_attribute(value, name, imported)
        case ast.Compare(ops=operations, comparators=others, left=left):
            sides = [left, *others]
            for operation, one, other in zip(operations, sides, others, strict=False):
                if isinstance(operation, (ast.Is, ast.IsNot)) and not (_is_single(one) or _is_single(other)):
                    yield words.OBJECTS
            if any(map(_is_of_environment, sides)):  # which the program sees as well
                yield words.FILES
        case ast.Call(func=ast.Attribute(attr=name), args=[condition, *_]) if name in words.CONDITIONS:
            if not isinstance(condition, (ast.Constant, ast.Compare)):
                yield words.CODE
        case ast.BinOp(op=ast.Mod(), left=left, right=ast.Dict()) if not isinstance(left, ast.Constant):
            yield words.CODE  # a template that chooses among the values
        case ast.FunctionDef(name=name) if name in words.READ_OR_WRITTEN:
            yield words.STATE
        case _ if isinstance(node, _ASYNCHRONOUS):
            yield words.OBJECTS
    for target, assigned in _targets(node):
        yield from _of_target(target, assigned, imported)


def _of_module(name: str) -> str:
    return words.MODULES.get(name) or words.MODULES.get(name.split(".")[0], "")


def _of_attribute(value: ast.expr, name: str, imported: Mapping[str, str]) -> Iterator[str]:
    owner = imported.get(value.id, value.id) if isinstance(value, ast.Name) else ""
    if name in words.NAMES:
        yield words.NAMES[name]
    elif name in words.CARRIED_NAMES and (owner == "os" or name not in words.ONLY_READ):
        yield _of_carried(owner, name)
    elif owner == "random" and "random" in imported.values():
        yield words.DRAWS
    elif name in words.DESCRIPTORS:
        yield words.BELOW
    elif isinstance(value, ast.Attribute) and value.attr in ("stdout", "stdin") and name not in words.OF_STREAMS:
        yield words.STATE
    elif name.startswith("__") and name.endswith("__"):
        yield words.OBJECTS
    elif name in words.METHODS or _runs_what_it_is_given(value, name, imported):
        yield words.CODE


def _of_carried(module: str, name: str) -> str:
    """The kind of state that a name of a module is."""
    return words.CARRIED.get((module, name), words.STATE)


def _runs_what_it_is_given(value: ast.expr, name: str, imported: Mapping[str, str]) -> bool:
    if name == "format":
        return not isinstance(value, (ast.Constant, ast.JoinedStr))
    if name == "query" or name in words.BY_NAME:
        return "pandas" in imported.values()
    owner = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
    return (imported.get(owner, owner), name) in words.OF_MODULES


def _targets(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((target, value) for target in targets)
        case ast.AugAssign(target=target, value=value):
            yield target, value
        case ast.Delete(targets=targets):
            yield from ((target, None) for target in targets)


def _of_target(target: ast.expr, value: ast.expr | None, imported: Mapping[str, str]) -> Iterator[str]:
    """Assignments to attributes of modules, and functions in the place of built-in ones."""
    if isinstance(target, ast.Name):
        if target.id in words.READ_OR_WRITTEN and isinstance(value, (ast.Lambda, ast.Attribute, ast.Call)):
            yield words.STATE
        return
    match target:
        case ast.Attribute(value=ast.Name(id=name), attr="stdout" | "stdin") if imported.get(name) == "sys":
            return
        case ast.Subscript(value=ast.Attribute(value=ast.Name(id=name), attr="environ")) if imported.get(name) == "os":
            return
        case ast.Subscript(value=ast.Name(id=name)) if (imported.get(name), name) == ("os", "environ"):
            return
    root: ast.AST = target
    while isinstance(root, (ast.Attribute, ast.Subscript, ast.Call)):
        root = root.func if isinstance(root, ast.Call) else root.value
    if isinstance(root, ast.Name) and root.id in imported:
        yield words.STATE


def _is_of_environment(node: ast.expr) -> bool:
    """Whether an expression is a variable of the environment."""
    match node:
        case ast.Subscript(value=ast.Attribute(attr="environ") | ast.Name(id="environ")):
            return True
        case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ") | ast.Name(id="environ"), attr="get")):
            return True
        case ast.Call(func=ast.Attribute(attr="getenv") | ast.Name(id="getenv")):
            return True
    return False


def _is_single(node: ast.expr) -> bool:
    """Whether an expression stands for one of the objects that there is one of."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in words.SINGLE)
