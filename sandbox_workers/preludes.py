"""Code that runs before a program: its suite's prelude, and the imports of the tests' setup.

A suite's ``prelude`` is source text or the name of one kept here. A named prelude is cut to what the program and the
tests mention: to import all of it would take longer than most programs.
"""

from __future__ import annotations

import ast
import marshal
import re
from functools import lru_cache

from .errors import SuiteError

_LIST_NODE = """
class ListNode:
    def __init__(self, val=0, next=None):
        self.val = val
        self.next = next
"""
_TREE_NODE = """
class TreeNode:
    def __init__(self, val=0, left=None, right=None):
        self.val = val
        self.left = left
        self.right = right
"""
_LEETCODE_ALWAYS = """
import bisect, collections, functools, heapq, itertools, json, math, operator, os, re, string, sys, time, typing
from bisect import *
from collections import *
from functools import *
from heapq import *
from itertools import *
from math import *
from operator import *
from string import *
from typing import *
from builtins import abs, pow
sys.setrecursionlimit(50000)
"""
_IF_INSTALLED = "try:\n    {}\nexcept ImportError:\n    pass\n"
_LEETCODE_IF_NAMED = (
    ("random", "import random"),
    ("randint randrange choice choices shuffle sample uniform", "from random import *"),
    ("copy", "import copy"),
    ("deepcopy", "from copy import deepcopy"),
    ("datetime", "import datetime"),
    ("timedelta", "from datetime import timedelta"),
    ("statistics", "import statistics"),
    ("mean median mode stdev variance", "from statistics import mean, median, mode, stdev, variance"),
    ("Decimal getcontext", "from decimal import Decimal, getcontext"),
    ("Fraction", "from fractions import Fraction"),
    ("dataclass field", "from dataclasses import dataclass, field"),
    ("Enum IntEnum", "from enum import Enum, IntEnum"),
    ("io", "import io"),
    ("StringIO", "from io import StringIO"),
    ("queue", "import queue"),
    ("Queue PriorityQueue LifoQueue", "from queue import LifoQueue, PriorityQueue, Queue"),
    ("threading", "import threading"),
    ("Lock RLock Semaphore Barrier Condition Event Thread", "from threading import *"),
    ("SortedList SortedDict SortedSet", _IF_INSTALLED.format("from sortedcontainers import *")),
    ("numpy", _IF_INSTALLED.format("import numpy")),
    ("np", _IF_INSTALLED.format("import numpy as np")),
    ("ListNode", _LIST_NODE),
    ("TreeNode", _TREE_NODE),
)
NAMED = {"leetcode": (_LEETCODE_ALWAYS, _LEETCODE_IF_NAMED)}
"""Preludes by name: lines that are always there, and lines for the words that need them."""
_WORD = re.compile(r"[A-Za-z_]\w*")


def check(prelude: str) -> None:
    """Refuse a prelude that cannot be run.

    Raises:
        SuiteError: it is no source text, and no name of one.
    """
    if prelude in NAMED:
        return
    if prelude.isidentifier():
        raise SuiteError(f"unknown prelude {prelude!r}; one of {', '.join(NAMED)}, or source text")
    try:
        compile(prelude, "prelude", "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise SuiteError(f"the prelude does not parse: {error}") from error


def source(prelude: str, texts: tuple[str, ...]) -> str:
    """The text of a prelude, as far as these texts need it."""
    if prelude not in NAMED:
        return prelude
    always, if_named = NAMED[prelude]
    words = {word for text in texts for word in _WORD.findall(text)}
    return "\n".join([always, *(lines for names, lines in if_named if not words.isdisjoint(names.split()))])


def before_program(prelude: str, setup: str, program: str, tests: tuple[str, ...]) -> bytes:
    """Marshalled code that runs before a program, or nothing."""
    if not prelude and "import" not in setup:
        return b""
    text = f"{source(prelude, (program, *tests))}\n{_imports(setup)}".strip()
    return _marshalled(text) if text else b""


@lru_cache(maxsize=1024)
def _marshalled(text: str) -> bytes:
    return marshal.dumps(compile(text, "prelude", "exec", dont_inherit=True))


@lru_cache(maxsize=4096)
def _imports(setup: str) -> str:
    """The imports of a setup, which programs may use; the rest may hold answers."""
    if "import" not in setup:
        return ""
    return "\n".join(ast.unparse(part) for part in ast.parse(setup).body if is_import(part))


def is_import(statement: ast.stmt) -> bool:
    """Whether a statement does nothing but import."""
    return isinstance(statement, (ast.Import, ast.ImportFrom))
