"""A problem with a reference, for programs whose first wrong line is known by hand."""

from dataclasses import replace

from prl_ray.problems import Problem
from sandbox_workers import TestSuite

PREFIX = "def f(xs):\n"
REFERENCE = PREFIX + "    xs = [x + 3 for x in xs]\n    xs = sorted(xs)\n    n = sum(xs[:2])\n    return n"
TESTS = ("assert f([5, 1, 2]) == 9", "assert f([]) == 0", "assert f([1, 1]) == 8", "assert f([9, 0, 9, 1]) == 7")
PROBLEM = Problem("t", "p", "f", TestSuite("assert", tests=TESTS), (REFERENCE,), "train", code_prefix=PREFIX)
OPEN = replace(PROBLEM, code_prefix="")
"""The same without a code prefix: the program brings its own ``def``, perhaps with other names."""
