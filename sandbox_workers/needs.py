"""What tests ask of the process that they run in, told by their text.

Tests in a process of their own see the program only through calls with plain data. Some tests need more, and run in the
program's process: those that set or watch state of the process (replaced streams, patched functions, seeds, the
environment, contexts, warnings, logging), those that look at the program's objects themselves (identity, signatures,
coroutines, exceptions with causes), and those by which a value of the program can become code in the tests' process
(``eval``, ``pickle``, attributes and templates chosen by it). For the last it is the mark that matters: a verdict of
such tests rests on what the program could have written, and says so wherever they run.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from .inside.process_state import DIRECTORY, ENVIRONMENT, SEED, STDIN, STDOUT
from .syntax import Source

STATE = "state of the process"
CODE = "values that can become code"
"""Why the verdict of such tests can be forged wherever they run."""
_MODULES = {
    **dict.fromkeys(
        ("logging", "warnings", "mock", "unittest.mock", "locale", "signal", "threading", "concurrent", "freezegun"),
        STATE,
    ),
    **dict.fromkeys(
        (
            "inspect",
            "gc",
            "tracemalloc",
            "weakref",
            "asyncio",
            "types",
            "dis",
            "doctest",
            "timeit",
            "trace",
            "cProfile",
        ),
        "the program's own objects",
    ),
    **dict.fromkeys(
        (
            *(
                "pickle",
                "_pickle",
                "marshal",
                "shelve",
                "dill",
                "cloudpickle",
                "joblib",
                "copyreg",
                "yaml",
                "jsonpickle",
            ),
            *("importlib", "runpy", "imp", "zipimport", "pkgutil", "code", "codeop", "subprocess", "multiprocessing"),
            *("ctypes", "jinja2", "mako", "pydoc", "site", "pdb", "bdb", "profile", "rlcompleter", "sympy", "numexpr"),
        ),
        CODE,
    ),
    "builtins": STATE,
}
"""Modules that tests import for nothing else, and what they need then."""
_NAMES = {
    **dict.fromkeys(
        (
            *("getcontext", "setcontext", "localcontext", "DefaultContext", "redirect_stderr"),
            *("putenv", "unsetenv", "setstate", "setrecursionlimit", "umask", "settrace"),
            *("assertLogs", "assertNoLogs", "assertWarns", "assertWarnsRegex", "warns", "deprecated_call", "capsys"),
            *("monkeypatch", "capfd", "caplog", "stderr", "argv", "setprofile", "excepthook"),
            *("displayhook", "setlocale", "tzset", "patch", "Mock", "MagicMock", "set_printoptions", "seterr"),
            *("errstate", "setitimer", "alarm", "fork", "setswitchinterval", "fileConfig", "dictConfig"),
        ),
        STATE,
    ),
    **dict.fromkeys(
        (
            *("id", "hasattr", "dir", "help", "getrefcount", "getsizeof", "get_type_hints", "Generator", "Coroutine"),
            *("StopIteration", "StopAsyncIteration", "GeneratorExit", "ExceptionGroup", "BaseExceptionGroup"),
            *("KeyboardInterrupt", "add_note", "with_traceback", "singledispatch", "update_wrapper", "signature"),
        ),
        "the program's own objects",
    ),
    **dict.fromkeys(
        (
            *("eval", "exec", "compile", "__import__", "getattr", "setattr", "delattr", "globals", "locals", "vars"),
            *("__builtins__", "attrgetter", "methodcaller", "format_map", "Formatter", "breakpoint", "modules"),
            *("frompyfunc", "find_class", "loads_pickle", "read_pickle", "allow_pickle", "ForwardRef"),
        ),
        CODE,
    ),
}
"""Names, attributes and keywords of the same meaning."""
_OF_MODULES = frozenset((("sys", "path"), ("numpy", "load"), ("torch", "load")))
"""Names that can make code of values only as those of these modules."""
_METHODS = frozenset(("discover", "loadTestsFromName", "loadTestsFromNames"))
"""Attributes of this meaning: they import what they find in the directory or by name."""
_CARRIED = {
    ("sys", "stdout"): STDOUT,
    ("sys", "__stdout__"): STDOUT,
    ("contextlib", "redirect_stdout"): STDOUT,
    ("sys", "stdin"): STDIN,
    ("sys", "__stdin__"): STDIN,
    ("os", "environ"): ENVIRONMENT,
    ("os", "getenv"): ENVIRONMENT,
    ("os", "chdir"): DIRECTORY,
    ("os", "getcwd"): DIRECTORY,
    ("random", "seed"): SEED,
}
"""State that is carried to the program's process: by module and name."""
_CARRIED_NAMES = frozenset(name for _, name in _CARRIED)
_KINDS = frozenset(_CARRIED.values())
_ONLY_READ = frozenset(("getenv", "getcwd"))
"""Of these, names that say nothing of the process where they are another object's."""
_OF_STREAMS = frozenset(
    ("getvalue", "write", "writelines", "flush", "read", "readline", "readlines", "truncate", "seek", "tell")
)
"""What a ``StringIO`` in the place of a stream is asked for."""
_DESCRIPTORS = frozenset(("fileno", "dup", "dup2", "fdopen", "buffer", "detach", "reconfigure"))
"""By these, streams are redirected where no ``StringIO`` is."""
_BELOW, _DRAWS = "descriptors of streams", "numbers of the tests' own"
"""Reasons for one process only together with carried streams, and with a carried seed: tests that draw numbers go on
where the program's calls have left the generator.
"""
_NOT_ALONE = {_BELOW: (STDOUT, STDIN), _DRAWS: (SEED,)}
_READ_OR_WRITTEN = ("input", "print", "open")
_SINGLE = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and not issubclass(value, BaseException)
)
"""Built-in types: identity of these is told outside as well."""


class Needs(NamedTuple):
    """What tests need of the process that they run in."""

    shared: str
    """Why they need the program's process; empty if their text shows no reason."""
    state: list[str]
    """Kinds of the process's state that they set and that their calls carry (``inside.process_state``)."""


def of(sources: Iterable[Source]) -> Needs:
    """What these tests, with their setup, need."""
    found: set[str] = set()
    for reason in _all_reasons(sources):
        if reason not in _KINDS and reason not in _NOT_ALONE:
            return Needs(reason, [])
        found.add(reason)
    together = any(reason in found and not found.isdisjoint(kinds) for reason, kinds in _NOT_ALONE.items())
    return Needs(STATE, []) if together else Needs("", sorted(found & _KINDS))


def _all_reasons(sources: Iterable[Source]) -> Iterator[str]:
    nodes = [node for source in sources for node in source.nodes if type(node) in _LOOKED_AT]
    imported = dict(pair for node in nodes for pair in _imported(node))
    for node in nodes:
        yield from _reasons(node, imported)


def runs_values(sources: Iterable[Source]) -> bool:
    """Whether a value that this code is given can become code in its process."""
    return any(reason == CODE for reason in _all_reasons(sources))


_ASYNCHRONOUS = ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.TryStar
_LOOKED_AT = frozenset(
    (
        *(ast.Import, ast.ImportFrom, ast.Name, ast.keyword, ast.Attribute, ast.Compare, ast.FunctionDef),
        *(ast.Assign, ast.AugAssign, ast.Delete, *_ASYNCHRONOUS),
    )
)
"""Kinds of nodes that ``_reasons`` knows."""


def _imported(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Names that an import binds, each with the module that it is of."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        for alias in node.names:
            name = alias.asname or alias.name.split(".")[0]
            yield name, (node.module or "") if isinstance(node, ast.ImportFrom) else alias.name


def _reasons(node: ast.AST, imported: Mapping[str, str]) -> Iterator[str]:
    match node:
        case ast.Name(id=name):
            if name in _NAMES:
                yield _NAMES[name]
            elif name in _CARRIED_NAMES and name in imported:
                yield _of_carried(imported[name], name)
        case ast.Import(names=names):
            yield from filter(None, (_of_module(alias.name) for alias in names))
        case ast.ImportFrom(module=str(module), names=names):
            yield from filter(None, [_of_module(module), *(_of_module(f"{module}.{alias.name}") for alias in names)])
            yield from (_NAMES[alias.name] for alias in names if alias.name in _NAMES)
            yield from (CODE for alias in names if (module, alias.name) in _OF_MODULES)
            carried = [alias.name for alias in names if alias.name in _CARRIED_NAMES]
            yield from (STATE if module == "sys" else _of_carried(module, name) for name in carried)
            yield from (_DRAWS for alias in names if module == "random" and alias.name != "seed")
        case ast.keyword(arg=str(name)) if name in _NAMES and name in ("allow_pickle",):
            yield _NAMES[name]
        case ast.Attribute(value=value, attr=name):
            yield from _of_attribute(value, name, imported)
        case ast.Compare(ops=operations, comparators=others, left=left):
            sides = [left, *others]
            for operation, one, other in zip(operations, sides, others, strict=False):
                if isinstance(operation, (ast.Is, ast.IsNot)) and not (_is_single(one) or _is_single(other)):
                    yield "the program's own objects"
        case ast.FunctionDef(name=name) if name in _READ_OR_WRITTEN:
            yield STATE
        case _ if isinstance(node, _ASYNCHRONOUS):
            yield "the program's own objects"
    for target, assigned in _targets(node):
        yield from _of_target(target, assigned, imported)


def _of_module(name: str) -> str:
    return _MODULES.get(name) or _MODULES.get(name.split(".")[0], "")


def _of_attribute(value: ast.expr, name: str, imported: Mapping[str, str]) -> Iterator[str]:
    owner = imported.get(value.id, value.id) if isinstance(value, ast.Name) else ""
    if name in _NAMES:
        yield _NAMES[name]
    elif name in _CARRIED_NAMES and (owner == "os" or name not in _ONLY_READ):
        yield _of_carried(owner, name)
    elif owner == "random" and "random" in imported.values():
        yield _DRAWS
    elif name in _DESCRIPTORS:
        yield _BELOW
    elif isinstance(value, ast.Attribute) and value.attr in ("stdout", "stdin") and name not in _OF_STREAMS:
        yield STATE
    elif name.startswith("__") and name.endswith("__"):
        yield "the program's own objects"
    elif name in _METHODS or _runs_what_it_is_given(value, name, imported):
        yield CODE


def _of_carried(module: str, name: str) -> str:
    """The kind of state that a name of a module is."""
    return _CARRIED.get((module, name), STATE)


def _runs_what_it_is_given(value: ast.expr, name: str, imported: Mapping[str, str]) -> bool:
    if name == "format":
        return not isinstance(value, (ast.Constant, ast.JoinedStr))
    if name == "query":
        return "pandas" in imported.values()
    owner = value.attr if isinstance(value, ast.Attribute) else value.id if isinstance(value, ast.Name) else ""
    return (imported.get(owner, owner), name) in _OF_MODULES


def _targets(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    match node:
        case ast.Assign(targets=targets, value=value):
            yield from ((target, value) for target in targets)
        case ast.AugAssign(target=target, value=value):
            yield target, value
        case ast.Delete(targets=targets):
            yield from ((target, None) for target in targets)


def _of_target(target: ast.expr, value: ast.expr | None, imported: Mapping[str, str]) -> Iterator[str]:
    """Assignments to what modules hold, and functions in the place of built-in ones."""
    if isinstance(target, ast.Name):
        if target.id in _READ_OR_WRITTEN and isinstance(value, (ast.Lambda, ast.Attribute, ast.Call)):
            yield STATE
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
        yield STATE


def _is_single(node: ast.expr) -> bool:
    """Whether an expression stands for one of the objects that there is one of."""
    return isinstance(node, ast.Constant) or (isinstance(node, ast.Name) and node.id in _SINGLE)
