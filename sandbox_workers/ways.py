"""The four ways of running a suite, each from a compiled program to a verdict."""

from __future__ import annotations

import marshal
import os
import secrets
from collections.abc import Callable
from typing import Any

from . import plain, stdio
from .languages.language import Language
from .limits import Limits
from .outcome import Failure, Tally, verdict
from .plan import Plan
from .suite import Case, TestSuite
from .supervise import Handler
from .verdict import Execution, Status, Verdict
from .worker import Run, Worker

PROGRAM = -1
"""Number of the test in messages about the program itself; smaller ones are about the suite's setup."""
_SHOWN = 200


class NeedsObjectsError(Exception):
    """A suite that was planned for a judge hands objects of its own to the program: ``always``, or to this program."""

    def __init__(self, always: bool) -> None:
        super().__init__()
        self.always = always


def run_values(worker: Worker, code: bytes, suite: TestSuite, prepared: Plan, limits: Limits, stop: bool) -> Verdict:
    """Calls inside, comparisons here."""
    checks = Tally(len(prepared.checks))

    def take(message: list[Any]) -> bool:
        kind, test = message[0], message[1] if len(message) > 1 else None
        if kind == "error" and type(test) is int and test < 0:
            checks.fail(None, Failure.raised(message[2:5]))
        elif kind == "error" and type(test) is int:
            checks.fail(test, Failure.raised(message[2:5], test=prepared.groups[test]))
        elif kind == "value" and type(test) is int and test >= 0:
            _decide(checks, prepared, suite, test, message[2])
        elif kind != "end":
            raise ValueError(kind)
        return kind == "end" or (stop and checks.first is not None)

    run = worker.run("values", code, prepared.body, limits, stop, take)
    return verdict(checks, run.cause, run.record, limits, run.wall_s, groups=prepared.groups, total=prepared.total)


def _decide(checks: Tally, prepared: Plan, suite: TestSuite, check: int, trees: list[Any]) -> None:
    """Compare what the calls of one check returned with what was expected."""
    holds, group = prepared.checks[check], prepared.groups[check]
    try:
        held, error = holds(trees), ""
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as raised:
        held, error = False, type(raised).__name__
    if held:
        checks.succeed(check)
    else:
        got = ", ".join(_shown(tree) for tree in trees)
        message = f"{_test_text(suite, group)}: got {got}"
        checks.fail(check, Failure(Status.WRONG_ANSWER, error, message=message, test=group, got=got))


def _shown(tree: Any) -> str:
    if plain.size(tree, _SHOWN) > _SHOWN:
        return "a large value"
    try:
        return repr(plain.decode(tree))[:_SHOWN]
    except ValueError:
        return "a malformed value"


def _test_text(suite: TestSuite, test: int) -> str:
    if suite.kind == "call":
        return f"{suite.entry_point}{suite.cases[test].given!r}"[:_SHOWN]
    return suite.tests[test].strip()[:_SHOWN] if suite.kind == "assert" else "check"


def run_judged(worker: Worker, code: bytes, prepared: Plan, limits: Limits, stop: bool) -> Verdict:
    """Tests in a process of their own.

    Raises:
        NeedsObjectsError: the tests hand over objects.
    """
    tally = Tally(prepared.total)
    objects: list[bool] = []

    def take(message: list[Any]) -> bool:
        match message:
            case ["pass", int(test)]:
                tally.succeed(test)
            case ["fail", int(test), kind, line, text, raised]:
                tally.fail(test, _test_failure(kind, line, text, test, bool(raised)))
            case ["program", kind, line, text]:
                tally.fail(None, Failure.raised((kind, line, text)))
                return True
            case ["objects", bool(answered)]:
                objects.append(answered)
                return True
            case ["end"]:
                return True
        return False

    run = worker.run_judged(code, prepared.setup, prepared.body, limits, stop, take)
    if objects:
        raise NeedsObjectsError(always=not objects[0])
    return verdict(tally, run.cause, run.record, limits, run.wall_s)


def _test_failure(kind: Any, line: Any, text: Any, test: int, raised_by_program: bool) -> Failure:
    if raised_by_program:
        return Failure.raised((kind, line, text), test)
    return Failure(Status.WRONG_ANSWER, "" if kind == "AssertionError" else str(kind), message=str(text), test=test)


def run_shared(worker: Worker, code: bytes, prepared: Plan, limits: Limits, stop: bool) -> Verdict:
    """Tests beside the program; every report must carry the secret that came with the tests."""
    tally = Tally(prepared.total)
    secret = secrets.token_hex(16)

    def take(message: list[Any]) -> bool:
        match message:
            case ["error", -1, kind, line, text]:
                tally.fail(None, Failure.raised((kind, line, text)))
            case [str(key), "pass", int(test), *_] if (
                secrets.compare_digest(key, secret) and 0 <= test < prepared.total
            ):
                tally.succeed(test)
            case [str(key), "fail", int(test), kind, line, text] if secrets.compare_digest(key, secret):
                from_program = line is not None and kind != "AssertionError"
                tally.fail(test, _test_failure(kind, line, text, test, from_program))
            case ["end"]:
                return True
            case _:
                raise ValueError("a report without the secret")
        return False

    run = worker.run_shared(code, marshal.dumps((secret, prepared.body)), limits, stop, take)
    return verdict(tally, run.cause, run.record, limits, run.wall_s, shared=True)


Script = Callable[[bytes, Handler], Run]
"""Runs a program as a script that reads these bytes; the handler takes what it reports."""


def python_script(worker: Worker, program: str, limits: Limits) -> Script:
    """A Python program, compiled.

    Raises:
        CompileFailure: it does not compile.
    """
    code = worker.compile(program, limits.wall_s)
    return lambda stdin, handler: worker.run_script(code, stdin, limits, handler)


def foreign_script(worker: Worker, language: Language, program: str, limits: Limits) -> Script:
    """A program of another language, built.

    Raises:
        CompileFailure: it does not compile.
    """
    artifact = worker.build(language, program)

    def script(stdin: bytes, handler: Handler) -> Run:
        run = worker.run_foreign(language, program, artifact, stdin, limits)
        ended, complaint = run.record.ended, run.record.stderr.decode("utf-8", "replace")
        if ended is not None and ended.status != 0 and run.cause == "":
            kind = "MemoryError" if language.ran_out_of_memory(complaint) else "ExitCode"
            handler(["error", PROGRAM, kind, language.line_of(complaint), complaint[:_SHOWN]])
        return run

    return script


def run_cases(script: Script, suite: TestSuite, limits: Limits, stop: bool) -> Verdict:
    """The program once a case, its standard output compared here."""
    is_right = stdio.comparison(suite.compare)
    verdicts: list[Verdict] = []
    for number, case in enumerate(suite.cases):
        verdicts.append(_run_case(script, number, case, is_right, limits))
        if stop and not verdicts[-1].ok:
            break
    return stdio.combined(verdicts, suite.total)


def _run_case(script: Script, number: int, case: Case, is_right: stdio.Comparison, limits: Limits) -> Verdict:
    tally = Tally(1)

    def take(message: list[Any]) -> bool:
        if message[0] == "error":
            tally.fail(0, Failure.raised(message[2:5], test=number))
        return False

    run = script(str(case.given).encode("utf-8", "surrogatepass"), take)
    ended = run.record.ended
    if ended is not None and run.cause == "" and tally.first is None and os.WIFEXITED(ended.status):
        exit_code = os.WEXITSTATUS(ended.status)
        printed = run.record.stdout.decode("utf-8", "replace")
        if exit_code != 0:
            message = f"ended with exit code {exit_code}"
            tally.fail(0, Failure(Status.RUNTIME_ERROR, "ExitCode", message=message, test=number))
        elif is_right(printed, str(case.expected)):
            tally.succeed(0)
        else:
            got = repr(printed[:_SHOWN])
            failure = Failure(Status.WRONG_ANSWER, message=f"case {number}: printed {got}", test=number, got=got)
            tally.fail(0, failure)
    return verdict(tally, run.cause, run.record, limits, run.wall_s, first_test=number)


def execute(script: Script, stdin: str, limits: Limits) -> Execution:
    """The program once, without tests: what it printed and how it ended."""
    tally = Tally(1)

    def take(message: list[Any]) -> bool:
        if message[0] == "error":
            tally.fail(0, Failure.raised(message[2:5]))
        return False

    run = script(stdin.encode("utf-8", "surrogatepass"), take)
    ended = run.record.ended
    assert ended is not None
    if run.cause == "" and ended.status == 0:
        tally.succeed(0)
    outcome = verdict(tally, run.cause, run.record, limits, run.wall_s)
    stdout, stderr = (bytes(text).decode("utf-8", "replace") for text in (run.record.stdout, run.record.stderr))
    return Execution(outcome, os.waitstatus_to_exitcode(ended.status), stdout, stderr)
