"""Files of the tests' own, that the program can reach: what tests write there and read again is no longer theirs alone.

Tests and program share a directory. A program can read what tests have kept in a file to compare with later, and can
write something else there. So tests that read what they have written themselves run in the program's process: their
verdict can be forged, and says so.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence

READ, WRITTEN = "read", "written"
_METHODS = {
    **dict.fromkeys(("read_text", "read_bytes"), READ),
    **dict.fromkeys(("write_text", "write_bytes"), WRITTEN),
}
"""Methods of a path."""
_FUNCTIONS = {
    **dict.fromkeys(("read_csv", "read_json", "read_table", "read_excel", "loadtxt", "genfromtxt", "fromfile"), READ),
    **dict.fromkeys(("to_csv", "to_json", "to_excel", "savetxt", "tofile"), WRITTEN),
}
"""Functions and methods of libraries whose first argument is a path."""
_COPIES = frozenset(("copy", "copy2", "copyfile", "move", "rename", "replace"))
"""Functions of ``shutil`` and ``os`` from a path to another one."""
_TEMPORARY = frozenset(("NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile"))
_OF_FILES = {
    **dict.fromkeys(("read", "readline", "readlines"), READ),
    **dict.fromkeys(("write", "writelines"), WRITTEN),
}
"""Methods of open files."""
_OPENING = frozenset(("open", *_METHODS, *_FUNCTIONS, *_COPIES, *_TEMPORARY))
"""Names by which files are met: most tests meet none."""
_PATHS = frozenset(("Path", "PosixPath", "PurePath", "str", "fspath", "abspath"))
_OWNERS = frozenset(("os", "shutil"))


def are_read_again(nodes: Sequence[ast.AST]) -> bool:
    """Whether this code reads a file that it has written, by the text of the file's name."""
    calls = [node for node in nodes if type(node) is ast.Call and _last_name(node.func) in _OPENING]
    if not calls:
        return False
    uses: dict[str, set[str]] = {READ: set(), WRITTEN: set()}
    for how, path in (*_uses(calls), *_uses_of_temporary(nodes)):
        uses[how].add(_name(path))
    if uses[READ].isdisjoint(uses[WRITTEN]):
        texts = _texts_of_names(nodes)
        uses = {how: {texts.get(name, name) for name in names} for how, names in uses.items()}
    return not uses[READ].isdisjoint(uses[WRITTEN])


def _uses(nodes: Iterable[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    for node in nodes:
        match node:
            case (
                ast.Call(func=ast.Name(id="open"), args=[path, *_])
                | ast.Call(
                    func=ast.Attribute(value=ast.Name(id="io" | "codecs" | "gzip" | "bz2" | "lzma"), attr="open"),
                    args=[path, *_],
                )
            ):
                yield from ((how, path) for how in _by_mode(node, 1))
            case ast.Call(func=ast.Attribute(value=path, attr="open")):
                yield from ((how, path) for how in _by_mode(node, 0))
            case ast.Call(func=ast.Attribute(value=path, attr=name)) if name in _METHODS:
                yield _METHODS[name], path
            case ast.Call(func=ast.Attribute(attr=name), args=[path, *_]) if name in _FUNCTIONS:
                yield _FUNCTIONS[name], path
            case ast.Call(func=ast.Attribute(value=ast.Name(id=owner), attr=name), args=[_, path]):
                if name in _COPIES and owner in _OWNERS:
                    yield WRITTEN, path


def _uses_of_temporary(nodes: Sequence[ast.AST]) -> Iterator[tuple[str, ast.expr]]:
    """Reads and writes of temporary files, which stay open from the one to the other."""
    held = set()
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(func=made)):
                held |= {name} if _last_name(made) in _TEMPORARY else set()
            case ast.withitem(context_expr=ast.Call(func=made), optional_vars=ast.Name(id=name)):
                held |= {name} if _last_name(made) in _TEMPORARY else set()
    for node in nodes if held else ():
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id=name) as file, attr=method)) if name in held:
                if method in _OF_FILES:
                    yield _OF_FILES[method], file


def _last_name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _by_mode(call: ast.Call, place: int) -> Iterator[str]:
    """The mode that a file is opened in: the argument at this place, or the named one."""
    named = [keyword.value for keyword in call.keywords if keyword.arg == "mode"]
    match [*call.args[place : place + 1], *named]:
        case [ast.Constant(value=str(mode)), *_]:
            pass
        case _:
            mode = "r"
    if not set(mode).isdisjoint("wax+"):
        yield WRITTEN
    if not set(mode).isdisjoint("r+"):
        yield READ


def _name(path: ast.expr) -> str:
    """The text of a path, without calls that only change its type."""
    match path:
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name), args=[inner], keywords=[]) if name in _PATHS:
            return _name(inner)
    return ast.unparse(path)


def _texts_of_names(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Variables that stand for a path."""
    found = {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                found[name] = _name(value)
    return found
