"""Test suites: requirements on a program, in four kinds."""

from __future__ import annotations

import ast
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from . import preludes, stdio
from .errors import SuiteError

Kind = Literal["assert", "check", "stdio", "call"]
FIELDS = frozenset(
    {
        *("kind", "setup", "tests", "entry_point", "cases", "literals", "objects", "compare", "checker", "prelude"),
        "time_limit_s",
    },
)
"""Fields of a suite as JSON."""


MOST_SECONDS = 600


class Case(NamedTuple):
    """One pair: ``stdio``: text in, text out; ``call``: a tuple of arguments, the expected value (plain data)."""

    given: Any
    expected: Any


class Checker(NamedTuple):
    """A program of the problem's own that judges an output, by testlib's conventions.

    It is started with the names of three files: the input, the program's output and the expected output. Exit code 0
    accepts the output; 1 (wrong answer), 2 (presentation error), 4 and 8 (too much, too little), and 5, 7 and 16 or
    more (points in part) reject it. Any other end means that the checker itself failed, which is no verdict about the
    program. The message is its standard error, or else its standard output.
    """

    source: str
    language: str = "cpp"
    files: tuple[tuple[str, str], ...] = ()
    """Names and contents of files that the source includes, such as ``testlib.h``."""


@dataclass(frozen=True, slots=True)
class TestSuite:
    """The tests of one problem.

    ``assert``: ``tests`` are assert statements, each run after the program and ``setup`` (MBPP).
    ``check``: ``tests`` is one source that defines ``check(candidate)``, called with ``entry_point`` (HumanEval).
    ``stdio``: ``cases`` of (stdin, stdout), compared by the rule ``compare`` of ``sandbox_workers.stdio``, or by
    the problem's own ``checker`` (APPS, CodeContests, TACO).
    ``call``: ``cases`` of (arguments, expected value) for ``entry_point`` (LeetCode, LiveCodeBench); because JSON has
    no tuples, a tuple equals a list there. ``compare`` may be ``floats(ABS, REL)``: the tolerance of expected floats.

    ``prelude``: source that runs before the program in every kind, or the name of one of ``preludes.NAMED``
    (``leetcode``: LeetCode's imports and definitions); None: ``leetcode`` for an entry point of a class ``Solution``.
    ``setup`` is the tests' own: the program is given its imports, before it begins, and nothing else of it.

    ``objects``: the assert or check tests handle objects of the program's own in a way that their text does not show
    (a function that returns a match or another function, a class with a lower-case name): they run in the program's
    process, and the verdict says ``shared``.

    ``time_limit_s``: seconds that the problem itself gives a run; the sandbox's own limit holds where that is longer.
    """

    __test__ = False  # pytest collects classes by this name

    kind: Kind = "assert"
    setup: str = ""
    tests: tuple[str, ...] = ()
    entry_point: str = ""
    cases: tuple[Case, ...] = ()
    objects: bool = False
    compare: str = stdio.DEFAULT
    checker: Checker | None = None
    prelude: str | None = None
    time_limit_s: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.setup, str) or not isinstance(self.entry_point, str):
            raise SuiteError("setup and entry_point of a suite are text")
        if isinstance(self.tests, str) or not all(isinstance(test, str) for test in self.tests):
            raise SuiteError("tests of a suite are a list of texts")
        object.__setattr__(self, "tests", tuple(self.tests))
        object.__setattr__(self, "cases", tuple(Case(*case) for case in self.cases))
        if self.kind == "call" and not all(isinstance(case.given, tuple) for case in self.cases):
            raise SuiteError("a case of kind 'call' has a list of arguments, and the expected value")
        if self.kind not in get_args(Kind):
            raise SuiteError(f"unknown kind of test {self.kind!r}; one of {', '.join(get_args(Kind))}")
        if self.kind in ("check", "call") and not self.entry_point:
            raise SuiteError(f"a suite of kind {self.kind!r} needs an entry_point")
        if self.kind == "check" and len(self.tests) != 1:
            raise SuiteError("a suite of kind 'check' has exactly one test source")
        if self.objects and self.kind in ("stdio", "call"):
            raise SuiteError(f"a suite of kind {self.kind!r} knows plain data only, no objects")
        if self.prelude is not None and not isinstance(self.prelude, str):
            raise SuiteError("the prelude of a suite is text")
        if not isinstance(self.time_limit_s, (int, float)) or not 0 <= self.time_limit_s <= MOST_SECONDS:
            raise SuiteError(f"the time limit of a suite is a number of seconds, {MOST_SECONDS} at most")
        preludes.check(self.runs_before)
        self._check_compare()

    @property
    def runs_before(self) -> str:
        """The prelude, source text or a name of one."""
        if self.prelude is not None:
            return self.prelude
        return "leetcode" if self.entry_point.split(".")[0].removesuffix("()") == "Solution" else ""

    def _check_compare(self) -> None:
        if not isinstance(self.compare, str):
            raise SuiteError(f"compare is one of {', '.join(stdio.RULES)}, not {self.compare!r}")
        if (self.checker is not None) != (self.compare == stdio.CHECKER):
            raise SuiteError("compare 'checker' and a checker program belong together")
        if self.compare != stdio.DEFAULT and self.kind not in ("stdio", "call"):
            raise SuiteError(f"a suite of kind {self.kind!r} compares by its own tests, not by {self.compare!r}")
        if self.kind == "call":
            self.value_tolerance()
        elif self.checker is None:
            stdio.comparison(self.compare)

    def value_tolerance(self) -> tuple[float, float]:
        """Absolute and relative tolerance of the floats that calls are expected to return.

        Raises:
            SuiteError: ``compare`` is no rule for values.
        """
        if self.compare == stdio.DEFAULT:
            return 0.0, 0.0
        if not self.compare.startswith("floats("):
            raise SuiteError(f"a suite of kind 'call' compares exactly or by floats(ABS, REL), not by {self.compare!r}")
        return stdio.tolerance(self.compare)

    @property
    def total(self) -> int:
        """Number of tests that must report."""
        return len(self.tests) if self.kind in ("assert", "check") else len(self.cases)

    def __hash__(self) -> int:
        conditions = self.objects, self.compare, self.checker, self.prelude, self.time_limit_s
        return hash((self.kind, self.setup, self.tests, self.entry_point, repr(self.cases), *conditions))

    def to_json(self) -> dict[str, object]:
        """Plain JSON; cases of ``call`` are written as Python literals, which keep tuples, sets and non-text keys."""
        record: dict[str, object] = {"kind": self.kind, "setup": self.setup, "entry_point": self.entry_point}
        if self.prelude is not None:
            record["prelude"] = self.prelude
        if self.time_limit_s:
            record["time_limit_s"] = self.time_limit_s
        if self.kind in ("assert", "check"):
            return {**record, "tests": list(self.tests), **({"objects": True} if self.objects else {})}
        write = literal if self.kind == "call" else str
        cases = [{"given": write(case.given), "expected": write(case.expected)} for case in self.cases]
        if self.compare != stdio.DEFAULT:
            record["compare"] = self.compare
        if self.checker is not None:
            record["checker"] = {**self.checker._asdict(), "files": dict(self.checker.files)}
        return {**record, "literals": self.kind == "call", "cases": cases}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> TestSuite:
        """Read a value of ``to_json``, or plain JSON: cases as pairs or as ``{"given"|"input",
        "expected"|"output"}``.
        """
        if not isinstance(record, Mapping):
            raise SuiteError(f"a test suite is an object with {', '.join(sorted(FIELDS))}, not {record!r:.80}")
        if unknown := set(record) - FIELDS:
            raise SuiteError(
                f"unknown fields in a test suite: {', '.join(sorted(unknown))}; known: {', '.join(sorted(FIELDS))}"
            )
        try:
            cases = tuple(_case(case, bool(record.get("literals"))) for case in record.get("cases") or ())
            return cls(
                kind=record.get("kind", "assert"),
                setup=record.get("setup") or "",
                tests=record.get("tests") or (),
                entry_point=record.get("entry_point") or "",
                cases=cases,
                objects=bool(record.get("objects")),
                compare=record.get("compare") or (stdio.CHECKER if record.get("checker") else stdio.DEFAULT),
                checker=_checker(record["checker"]) if record.get("checker") else None,
                prelude=record.get("prelude"),
                time_limit_s=record.get("time_limit_s") or 0.0,
            )
        except (KeyError, TypeError, SyntaxError, ValueError) as error:
            raise SuiteError(f"not a test suite: {error}") from error


def literal(value: object) -> str:
    """A value of plain data as ``ast.literal_eval`` reads it: infinity too, which ``repr`` calls by a name."""
    text = repr(value)
    return text if "inf" not in text else _text_of(value)


def _text_of(value: object) -> str:
    match value:
        case float() if math.isinf(value):
            return "1e999" if value > 0 else "-1e999"
        case list():
            return f"[{', '.join(map(_text_of, value))}]"
        case tuple():
            return f"({', '.join(map(_text_of, value))}{',' * (len(value) == 1)})"
        case set() if value:
            return f"{{{', '.join(map(_text_of, value))}}}"
        case dict():
            return f"{{{', '.join(f'{_text_of(key)}: {_text_of(item)}' for key, item in value.items())}}}"
    return repr(value)


def _checker(record: object) -> Checker:
    """A checker that is given by its source alone is C++."""
    if isinstance(record, str):
        return Checker(record)
    if not isinstance(record, Mapping) or not isinstance(record.get("files") or {}, Mapping):
        raise SuiteError("a checker is its source, or an object with source, language and files (an object of texts)")
    if unknown := set(record) - set(Checker._fields):
        raise SuiteError(f"unknown fields in a checker: {', '.join(sorted(unknown))}")
    files = record.get("files") or {}
    checker = Checker(record["source"], record.get("language") or "cpp", tuple(files.items()))
    if not all(isinstance(text, str) for text in (*checker[:2], *files.values())):
        raise SuiteError("source, language and files of a checker are text")
    if not all(name and "/" not in name and name.strip(".") for name in files):
        raise SuiteError("the files of a checker have plain names: they lie in one directory")
    return checker


def _case(record: object, literals: bool) -> Case:
    if isinstance(record, Mapping):
        given = record["given"] if "given" in record else record["input"]
        expected = record["expected"] if "expected" in record else record["output"]
    elif isinstance(record, (list, tuple)) and len(record) == 2:
        given, expected = record
    else:
        raise TypeError(f"a case is a pair, or an object with input and output, not {record!r:.80}")
    if literals:
        given, expected = ast.literal_eval(given), ast.literal_eval(expected)
    return Case(tuple(given) if isinstance(given, list) else given, expected)
