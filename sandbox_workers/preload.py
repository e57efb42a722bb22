"""Modules that every zygote imports before its first fork: what programs use, so that none pays for it."""

from __future__ import annotations

STANDARD_LIBRARY = (
    *("abc", "array", "ast", "base64", "bisect", "calendar", "cmath", "collections", "contextlib", "copy", "csv"),
    *("ctypes", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "gc", "hashlib", "heapq"),
    *("io", "itertools", "json", "keyword", "linecache", "locale", "logging", "math", "numbers", "operator", "os"),
    *("pathlib", "pprint", "queue", "random", "re", "secrets", "shutil", "signal", "statistics", "string", "struct"),
    *("subprocess", "sys", "tempfile", "textwrap", "threading", "time", "timeit", "traceback", "types", "typing"),
    *("unicodedata", "uuid", "warnings", "weakref"),
)
