"""Completions of programs as a policy writes them: any text."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.completions import completions, repaired, spliced
from sandbox_workers import TestSuite

PREFIX = "def f(xs):\n"
REFERENCE = PREFIX + '    """Text."""\n    xs = [x + 3 for x in xs]\n    return xs'
PROBLEM = Problem("t", "p", "f", TestSuite(tests=("assert f([1]) == [4]",), entry_point="f"), (REFERENCE,), "train")
PIECES = r'''
    return x
    """
    """abc
    x = (1,
        return [
    y = 2)
    }
#
    if x:
def g():
    s = 'a
    x = 1 \
\
    for i in xs:
    x = 1; y = 2
    d = {
'''.strip("\n").split("\n")


@pytest.mark.parametrize("way", [spliced, repaired])
@given(pieces=st.lists(st.sampled_from(PIECES), min_size=1, max_size=6))
def test_any_text_has_completions_that_keep_its_lines(way: object, pieces: list[str]) -> None:
    program = PREFIX + "\n".join(pieces)
    found = completions(PROBLEM, program, way(PROBLEM, program), None, random.Random(0))  # type: ignore[operator]
    assert all(0 <= kept <= len(segment(program)) for kept in found)


@pytest.mark.parametrize("body", ["    x = (1,\n#\n    }\n    y = 2)", "\\\n\\\n    '''\n    for i in x:\n\\"])
def test_a_completion_that_merges_kept_lines_does_not_keep_them(body: str) -> None:
    """What follows closes a bracket or a string that a kept line opens."""
    program = PREFIX + body
    for way in (spliced, repaired):
        for kept, texts in completions(PROBLEM, program, way(PROBLEM, program), None, random.Random(0)).items():
            assert all(len(segment(text)) >= kept for text in texts)
