"""How one output is judged: by a rule of comparison, or by the problem's own checker, which runs in the sandbox too."""

from __future__ import annotations

import ast
import marshal
import os
import re
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from . import native_programs, needs, stdio
from .compile_service import CompileFailure
from .errors import SuiteError
from .languages import PYTHON, canonical
from .languages.language import Language
from .limits import Limits
from .outcome import Failure
from .suite import Case, Checker
from .syntax import Source
from .verdict import Status
from .worker import Run, Worker

LIMITS = Limits(wall_s=10, cpu_s=10, memory_mb=512)
"""Limits of one run of a checker."""
BUILDS_KEPT = 32
INPUT, OUTPUT, ANSWER = "input.txt", "output.txt", "answer.txt"
"""Names of the files that a checker is given, in this order."""
_REJECTED = frozenset({1, 2, 4, 5, 7, 8, *range(16, 117)})
"""Exit codes by which testlib rejects an output, or gives points for a part of it."""
_SHOWN = 200
_SCRIPTS = frozenset({"javascript", "typescript"})
_EVALUATES = re.compile(
    r"""\b(?:eval|Function|vm|child_process)\b|\bimport\s*\(|\bfrom\s*["']\.|"""
    r"""\brequire\b(?!\s*\(\s*["'](?:node:)?[a-z_/]+["'])"""
)
"""Names with which a checker of these languages turns a text or a file into code."""

OutputJudge = Callable[[int, Case, bytes], Failure | None]
"""Judges the output of one case, given the case's number: None if it is right, else what is wrong."""


def by_rule(rule: str) -> OutputJudge:
    """Compares outputs by a rule of ``stdio``."""
    is_right = stdio.comparison(rule)

    def judge(number: int, case: Case, output: bytes) -> Failure | None:
        printed = output.decode("utf-8", "replace")
        if is_right(printed, str(case.expected)):
            return None
        got = repr(printed[:_SHOWN])
        return Failure(Status.WRONG_ANSWER, message=f"case {number}: printed {got}", test=number, got=got)

    return judge


class Checkers:
    """Runs checkers, and keeps the builds of the last ``BUILDS_KEPT``."""

    def __init__(self) -> None:
        self._builds: OrderedDict[Checker, bytes] = OrderedDict()

    def judge(self, worker: Worker, checker: Checker, language: Language | None) -> OutputJudge:
        """Has a checker judge outputs; ``language`` is None for Python.

        Raises:
            SuiteError: the checker does not compile.
        """
        try:
            run = self._python(worker, checker) if language is None else self._native(worker, checker, language)
        except CompileFailure as failure:
            raise SuiteError(f"the checker does not compile: {failure.kind} {failure}") from failure

        def judge(number: int, case: Case, output: bytes) -> Failure | None:
            texts = (_bytes(case.given), output, _bytes(case.expected))
            failure = _decided(number, run(list(zip((INPUT, OUTPUT, ANSWER), texts, strict=True))))
            return failure and replace(failure, got=repr(output.decode("utf-8", "replace")[:_SHOWN]))

        return judge

    def _native(self, worker: Worker, checker: Checker, language: Language) -> Callable[[list[tuple[str, bytes]]], Run]:
        own = [(name, _bytes(text)) for name, text in checker.files]
        if checker not in self._builds:
            self._builds[checker] = native_programs.build(worker, language, checker.source, own)
            while len(self._builds) > BUILDS_KEPT:
                self._builds.popitem(last=False)
        self._builds.move_to_end(checker)
        artifact = self._builds[checker]

        def run(files: list[tuple[str, bytes]]) -> Run:
            names = [name for name, _ in files]
            present = files if artifact else [*own, *files]
            return native_programs.run(worker, language, checker.source, artifact, b"", LIMITS, present, names)

        return run

    def _python(self, worker: Worker, checker: Checker) -> Callable[[list[tuple[str, bytes]]], Run]:
        compiled = worker.compile(checker.source, LIMITS.wall_s)
        own = [(name, _bytes(text)) for name, text in checker.files]

        def run(files: list[tuple[str, bytes]]) -> Run:
            ready = _prelude([*own, *files], ["program.py", *(name for name, _ in files)])
            return worker.run_script(compiled._replace(prelude=ready), b"", LIMITS, lambda _: False)

        return run


def _prelude(files: list[tuple[str, bytes]], arguments: list[str]) -> bytes:
    """Code that writes these files and sets the arguments, before a program of Python begins."""
    source = (
        f"import sys\nsys.argv[:] = {arguments!r}\n"
        f"for name, data in {files!r}:\n    with open(name, 'wb') as file:\n        file.write(data)\n"
        "del name, data, file\n"
    )
    return marshal.dumps(compile(source, "checker", "exec", dont_inherit=True))


def _decided(number: int, run: Run) -> Failure | None:
    """The judgement on the output, from how the checker ended."""
    assert run.record.ended is not None
    status = run.record.ended.status
    said = (bytes(run.record.stderr) or bytes(run.record.stdout)).decode("utf-8", "replace").strip()[:_SHOWN]
    if run.cause == "" and os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        if code == 0:
            return None
        if code in _REJECTED:
            return Failure(Status.WRONG_ANSWER, message=f"case {number}: the checker says: {said}", test=number)
    ended = run.cause or f"exit code {os.waitstatus_to_exitcode(status)}"
    return Failure(Status.SANDBOX_ERROR, "CheckerFailed", message=f"case {number}: {ended}: {said}", test=number)


@lru_cache(maxsize=256)
def can_be_forged(checker: Checker) -> bool:
    """Whether a checker makes code of its input: then the program's output decides the verdict."""
    language = canonical(checker.language)
    if language in _SCRIPTS:
        return bool(_EVALUATES.search(checker.source))
    if language != PYTHON:
        return False
    texts = [checker.source, *(text for name, text in checker.files if name.endswith(".py"))]
    try:
        return needs.runs_values([Source.of(ast.parse(text)) for text in texts])
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True  # one that does not parse here may be run by another version


def language_of(checker: Checker, find: Callable[[str], Language]) -> Language | None:
    """The language of a checker; None for Python."""
    return None if checker.language == PYTHON else find(checker.language)


def _bytes(text: object) -> bytes:
    return str(text).encode("utf-8", "surrogatepass")
