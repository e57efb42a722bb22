"""The vocabulary of composed problems: each step kind is an English phrase and one assignment.

A value's type is named by the variable that holds it: ``xs`` list of int, ``n`` int, ``s`` str, ``ws`` list of str,
``d`` dict from str to int. Neither ``code`` nor ``wrong`` raises on a value of its type. Single capital letters in
phrase and code are parameters. Code is written as ``ast.unparse`` prints it, so that programs which went through it
look no different from references. To add a kind, add one entry to ``VOCABULARY``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

Variable = Literal["xs", "n", "s", "ws", "d"]
Choices = tuple[int | str, ...]

SMALL: Choices = tuple(range(1, 10))
LETTERS: Choices = ("a", "e", "i", "o", "n", "r", "s", "t")
_PARAMETER = re.compile(r"\b[A-J]\b")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of step."""

    name: str
    source: Variable
    target: Variable
    phrases: tuple[str, ...]
    code: str
    """Expression over the source variable."""
    wrong: tuple[str, ...] = ()
    """Expressions of likely mistakes; the tests catch each one that differs from ``code`` on any input."""
    parameters: Mapping[str, Choices] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A kind with its parameters chosen: one sentence, one line."""

    kind: Kind
    phrase: str
    code: str
    wrong: tuple[str, ...]

    @property
    def line(self) -> str:
        """The assignment, without indentation."""
        return f"{self.kind.target} = {self.code}"


def choose_step(kind: Kind, rng: Random) -> Step:
    """A step of ``kind`` with random parameters and phrasing."""
    values = {name: repr(rng.choice(choices)) for name, choices in kind.parameters.items()}

    def fill(template: str) -> str:
        return _PARAMETER.sub(lambda match: values[match.group()], template)

    return Step(kind, fill(rng.choice(kind.phrases)), fill(kind.code), tuple(fill(code) for code in kind.wrong))


_NUMBERS = (
    Kind(
        "add_each",
        "xs",
        "xs",
        ("Add A to each number", "Increase each number by A"),
        "[x + A for x in xs]",
        ("[x - A for x in xs]",),
        {"A": SMALL},
    ),
    Kind(
        "multiply_each",
        "xs",
        "xs",
        ("Multiply each number by A",),
        "[x * A for x in xs]",
        ("[x + A for x in xs]",),
        {"A": (2, 3, 4, 5)},
    ),
    Kind("square_each", "xs", "xs", ("Square each number",), "[x * x for x in xs]", ("[x * 2 for x in xs]",)),
    Kind(
        "absolute_each",
        "xs",
        "xs",
        ("Drop the sign of each number", "Take absolute values"),
        "[abs(x) for x in xs]",
        ("[-x for x in xs]", "[x for x in xs if x > 0]"),
    ),
    Kind(
        "add_index",
        "xs",
        "xs",
        ("Add to each number its index",),
        "[x + i for i, x in enumerate(xs)]",
        ("[x * i for i, x in enumerate(xs)]", "[x + i + 1 for i, x in enumerate(xs)]"),
    ),
    Kind(
        "keep_even",
        "xs",
        "xs",
        ("Keep the even numbers", "Drop the odd numbers"),
        "[x for x in xs if x % 2 == 0]",
        ("[x for x in xs if x % 2 == 1]",),
    ),
    Kind(
        "keep_above",
        "xs",
        "xs",
        ("Keep the numbers above A", "Keep numbers greater than A"),
        "[x for x in xs if x > A]",
        ("[x for x in xs if x >= A]", "[x for x in xs if x < A]"),
        {"A": (0, *SMALL)},
    ),
    Kind(
        "remove_value",
        "xs",
        "xs",
        ("Remove every A",),
        "[x for x in xs if x != A]",
        ("[x for x in xs if x == A]",),
        {"A": (0, *SMALL)},
    ),
    Kind("sort_up", "xs", "xs", ("Sort the numbers",), "sorted(xs)", ("sorted(xs, reverse=True)",)),
    Kind("sort_down", "xs", "xs", ("Sort from high to low",), "sorted(xs, reverse=True)", ("sorted(xs)", "xs[::-1]")),
    Kind("reverse_list", "xs", "xs", ("Reverse the list",), "xs[::-1]", ("sorted(xs, reverse=True)",)),
    Kind("take_first", "xs", "xs", ("Take the first A numbers",), "xs[:A]", ("xs[A:]", "xs[-A:]"), {"A": (2, 3, 4)}),
    Kind("skip_first", "xs", "xs", ("Skip the first number", "Drop the first number"), "xs[1:]", ("xs[:1]", "xs[:-1]")),
    Kind(
        "unique",
        "xs",
        "xs",
        ("Remove repeated numbers", "Remove duplicates"),
        "list(dict.fromkeys(xs))",
        ("[x for x in xs if xs.count(x) == 1]", "sorted(set(xs))"),
    ),
    Kind(
        "differences",
        "xs",
        "xs",
        ("Take the differences of neighbors",),
        "[b - a for a, b in zip(xs, xs[1:])]",
        ("[a - b for a, b in zip(xs, xs[1:])]",),
    ),
    Kind("total", "xs", "n", ("Add up the numbers", "Take the sum"), "sum(xs)", ("len(xs)", "max(xs, default=0)")),
    Kind("count", "xs", "n", ("Count the numbers",), "len(xs)", ("sum(xs)", "len(set(xs))")),
    Kind(
        "largest",
        "xs",
        "n",
        ("Take the largest number, or 0",),
        "max(xs, default=0)",
        ("min(xs, default=0)", "sum(xs)"),
    ),
    Kind("count_value", "xs", "n", ("Count how often A occurs",), "xs.count(A)", ("len(xs)",), {"A": (0, *SMALL)}),
    Kind(
        "join_numbers",
        "xs",
        "s",
        ("Join the numbers with A",),
        "A.join(map(str, xs))",
        ("''.join(map(str, xs))",),
        {"A": ("-", "+", ":")},
    ),
)

_NUMBER = (
    Kind("add", "n", "n", ("Add A", "Increase it by A"), "n + A", ("n - A", "n * A"), {"A": SMALL}),
    Kind("multiply", "n", "n", ("Multiply by A",), "n * A", ("n + A",), {"A": (2, 3, 4, 5)}),
    Kind("remainder", "n", "n", ("Take it modulo A",), "n % A", ("n // A",), {"A": (3, 4, 5, 6, 7)}),
    Kind("at_least", "n", "n", ("Raise it to at least A",), "max(n, A)", ("min(n, A)", "n + A"), {"A": SMALL}),
    Kind("digit_sum", "n", "n", ("Add up its digits",), "sum(map(int, str(abs(n))))", ("len(str(abs(n)))",)),
    Kind(
        "digits", "n", "xs", ("List its digits",), "list(map(int, str(abs(n))))", ("list(map(int, str(abs(n))[::-1]))",)
    ),
    Kind(
        "multiples",
        "n",
        "xs",
        ("List its first A multiples",),
        "[n * (i + 1) for i in range(A)]",
        ("[n * i for i in range(A)]", "[n + i for i in range(A)]"),
        {"A": (2, 3, 4)},
    ),
    Kind("to_text", "n", "s", ("Write it as text",), "str(n)", ("str(abs(n))",)),
)

_TEXT = (
    Kind("upper", "s", "s", ("Make it upper case",), "s.upper()", ("s.lower()",)),
    Kind("reverse_text", "s", "s", ("Reverse the text",), "s[::-1]", ("''.join(sorted(s))",)),
    Kind(
        "replace",
        "s",
        "s",
        ("Replace A with B",),
        "s.replace(A, B)",
        ("s.replace(B, A)",),
        {"A": LETTERS, "B": ("-", "u", "x", "#")},
    ),
    Kind("append_text", "s", "s", ("Append A",), "s + A", ("A + s",), {"A": ("!", "?", "er", "ing", "x")}),
    Kind(
        "remove_vowels",
        "s",
        "s",
        ("Remove the letters aeiou",),
        "''.join([c for c in s if c not in 'aeiou'])",
        ("''.join([c for c in s if c in 'aeiou'])",),
    ),
    Kind("length", "s", "n", ("Take its length",), "len(s)", ("len(s.split())",)),
    Kind("count_letter", "s", "n", ("Count how often A occurs",), "s.count(A)", ("len(s)",), {"A": LETTERS}),
    Kind("split", "s", "ws", ("Split it into words",), "s.split()", ("list(s)",)),
    Kind("letter_counts", "s", "d", ("Map each character to its count",), "{c: s.count(c) for c in s}"),
)

_WORDS = (
    Kind("reverse_words", "ws", "ws", ("Reverse each word",), "[w[::-1] for w in ws]", ("ws[::-1]",)),
    Kind("upper_words", "ws", "ws", ("Make each word upper case",), "[w.upper() for w in ws]"),
    Kind(
        "keep_long",
        "ws",
        "ws",
        ("Keep words longer than A",),
        "[w for w in ws if len(w) > A]",
        ("[w for w in ws if len(w) >= A]", "[w for w in ws if len(w) < A]"),
        {"A": (2, 3, 4)},
    ),
    Kind(
        "keep_with",
        "ws",
        "ws",
        ("Keep words with A",),
        "[w for w in ws if A in w]",
        ("[w for w in ws if A not in w]",),
        {"A": LETTERS},
    ),
    Kind("sort_by_length", "ws", "ws", ("Sort the words by length",), "sorted(ws, key=len)", ("sorted(ws)",)),
    Kind("join_words", "ws", "s", ("Join the words with A",), "A.join(ws)", ("''.join(ws)",), {"A": (" ", "-", "+")}),
    Kind(
        "longest",
        "ws",
        "s",
        ("Take the longest word, or ''",),
        "max(ws, key=len, default='')",
        ("max(ws, default='')",),
    ),
    Kind("lengths", "ws", "xs", ("List the word lengths",), "[len(w) for w in ws]"),
    Kind("word_lengths", "ws", "d", ("Map each word to its length",), "{w: len(w) for w in ws}"),
)

_DICT = (
    Kind(
        "add_values",
        "d",
        "d",
        ("Add A to each value",),
        "{k: v + A for k, v in d.items()}",
        ("{k: v * A for k, v in d.items()}",),
        {"A": SMALL},
    ),
    Kind(
        "keep_values",
        "d",
        "d",
        ("Keep entries with values above A",),
        "{k: v for k, v in d.items() if v > A}",
        ("{k: v for k, v in d.items() if v >= A}",),
        {"A": (1, 2, 3)},
    ),
    Kind("values", "d", "xs", ("List the values",), "list(d.values())", ("sorted(d.values())",)),
    Kind("keys", "d", "ws", ("List the keys in order",), "sorted(d)", ("list(d)",)),
)

VOCABULARY: tuple[Kind, ...] = _NUMBERS + _NUMBER + _TEXT + _WORDS + _DICT
