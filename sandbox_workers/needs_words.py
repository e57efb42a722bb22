"""Names in the text of tests that show their demands on the process that they run in."""

from __future__ import annotations

import builtins

from .inside.process_state import DIRECTORY, ENVIRONMENT, SEED, STDIN, STDOUT
from .inside.shared import PROGRAM_MODULES

STATE = "state of the process"
OBJECTS = "the program's own objects"
FILES = "files of the tests that the program can reach"
CODE = "values that can become code"
"""Why the verdict of such tests can be forged wherever they run."""
MODULES = {
    **dict.fromkeys(
        ("logging", "warnings", "mock", "unittest.mock", "locale", "signal", "threading", "concurrent", "freezegun"),
        STATE,
    ),
    **dict.fromkeys(
        (
            *("inspect", "gc", "tracemalloc", "weakref", "asyncio", "types", "dis", "doctest", "timeit", "trace"),
            "cProfile",
        ),
        OBJECTS,
    ),
    **dict.fromkeys(
        (
            *("pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "copyreg", "yaml"),
            *("jsonpickle", "gettext", "sqlite3", "duckdb", "sqlalchemy"),
            *("importlib", "runpy", "imp", "zipimport", "pkgutil", "code", "codeop", "subprocess", "multiprocessing"),
            *("ctypes", "jinja2", "mako", "pydoc", "site", "pdb", "bdb", "profile", "rlcompleter", "sympy", "numexpr"),
        ),
        CODE,
    ),
    **dict.fromkeys(PROGRAM_MODULES, OBJECTS),
    **dict.fromkeys(("filecmp", "dbm"), FILES),
    "builtins": STATE,
}
"""Modules that tests import for one purpose only, and the needs of that purpose."""
NAMES = {
    **dict.fromkeys(
        (
            *("getcontext", "setcontext", "localcontext", "DefaultContext", "redirect_stderr"),
            *("putenv", "unsetenv", "setstate", "setrecursionlimit", "umask", "settrace"),
            *(
                "assertLogs",
                "assertNoLogs",
                "assertWarns",
                "assertWarnsRegex",
                "warns",
                "deprecated_call",
                "capsys",
                "recwarn",
            ),
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
        OBJECTS,
    ),
    **dict.fromkeys(
        (
            *("eval", "exec", "compile", "__import__", "getattr", "setattr", "delattr", "globals", "locals", "vars"),
            *("__builtins__", "attrgetter", "methodcaller", "format_map", "Formatter", "breakpoint", "modules"),
            *("frompyfunc", "find_class", "loads_pickle", "read_pickle", "allow_pickle", "ForwardRef"),
            *("Template", "substitute", "safe_substitute", "importorskip", "getfixturevalue"),
            *("f_globals", "f_locals", "f_builtins", "_getframe", "tb_frame", "gi_frame", "cr_frame"),
        ),
        CODE,
    ),
}
"""Names, attributes and keywords of the same meaning."""
OF_MODULES = frozenset(
    (
        *(("sys", "path"), ("numpy", "load"), ("torch", "load"), ("os", "system"), ("os", "popen")),
        *(("os", f"{how}{form}") for how in ("exec", "spawn") for form in ("l", "le", "lp", "v", "ve", "vp", "vpe")),
        *(("os", "posix_spawn"), ("os", "posix_spawnp"), ("os", "lseek"), ("os", "pread")),
    )
)
"""Names that can make code of values, or read written files again, only as those of these modules."""
CONDITIONS = frozenset(("skipif", "xfail"))
"""Marks of pytest's that evaluate a condition which is text."""
BY_NAME = frozenset(("agg", "aggregate", "transform"))
"""Methods of ``pandas`` that call a function by its name."""
METHODS = frozenset(("discover", "loadTestsFromName", "loadTestsFromNames"))
"""Attributes of this meaning: they import modules from the directory or by name."""
CARRIED = {
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
CARRIED_NAMES = frozenset(name for _, name in CARRIED)
KINDS = frozenset(CARRIED.values())
ONLY_READ = frozenset(("getenv", "getcwd"))
"""Of these, names that say nothing of the process where they are another object's."""
OF_STREAMS = frozenset(
    ("getvalue", "write", "writelines", "flush", "read", "readline", "readlines", "truncate", "seek", "tell")
)
"""Methods of a ``StringIO`` in the place of a stream."""
DESCRIPTORS = frozenset(("fileno", "dup", "dup2", "fdopen", "buffer", "detach", "reconfigure"))
"""By these, streams are redirected where no ``StringIO`` is."""
BELOW, DRAWS = "descriptors of streams", "numbers of the tests' own"
"""Reasons for one process only together with carried streams, and with a carried seed: tests that draw numbers go on
where the program's calls have left the generator.
"""
NOT_ALONE = {BELOW: (STDOUT, STDIN), DRAWS: (SEED,)}
READ_OR_WRITTEN = ("input", "print", "open")
SINGLE = frozenset(
    name for name, value in vars(builtins).items() if isinstance(value, type) and not issubclass(value, BaseException)
)
"""Built-in types: identity of these is told outside as well."""
