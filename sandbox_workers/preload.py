"""Modules that every zygote imports before its first fork, so that no program pays for them.

Each fork pays for every page that they take, some 80 microseconds a megabyte: so those that many programs use, and not
those that few do. ``dataclasses`` alone would be a sixth of the whole, and each module in a shared library adds five
mappings: ``random``, with its imports, 50 microseconds a program, and of MBPP's 974 references none imports it.
"""

from __future__ import annotations

STANDARD_LIBRARY = (
    *("bisect", "collections", "functools", "heapq", "itertools", "json", "math", "operator", "os", "re", "string"),
    *("sys", "time", "typing"),
)
