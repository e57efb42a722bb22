"""The execution modes, each from a compiled program to a verdict (``inside.protocol.EXECUTION_MODES``)."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from dataclasses import replace

from . import cost, decoding, native_programs, plain, stdio
from .checker import OutputJudge, can_be_forged
from .cost import Json
from .inside import protocol, reports
from .inside.reporting import PROGRAM
from .languages.language import Language
from .limits import Limits
from .outcome import Failure, Tally, exit_failure, used_up_cpu, verdict
from .plan import Plan
from .program import Program
from .suite import Case, TestSuite
from .supervise import Handler
from .verdict import Execution, Status, Verdict
from .worker import Run, Worker

_SHOWN = 200


class NeedsObjectsError(Exception):
    """A suite that was planned for separate processes shares objects with the program, this program at least.

    ``by_program``: the program may have caused it by its return value.
    """

    def __init__(self, what: str, by_program: bool) -> None:
        super().__init__(what)
        self.by_program = by_program


def run_values(
    worker: Worker, program: Program, suite: TestSuite, prepared: Plan, limits: Limits, stop: bool
) -> Verdict:
    """Calls inside, comparisons here.

    Raises:
        NeedsObjectsError: the program returned something that is not plain data.
    """
    checks = Tally(len(prepared.checks))
    objects: list[str] = []

    def take(report: reports.Report) -> bool:
        match report:
            case reports.Value(test, values):
                try:
                    _decide(checks, prepared, suite, test, values)
                except plain.NotPlainError as error:
                    objects.append(str(error))
            case reports.Raised(_, plain.NOT_PLAIN, _, message):
                objects.append(message)
            case reports.Raised(test, kind, line, message):
                number = prepared.groups[test] if test >= 0 else None
                checks.fail(test if test >= 0 else None, Failure.raised(kind, line, message, number))
            case reports.Done():
                return True
            case _:
                raise ValueError(report)
        return bool(objects) or (stop and checks.first is not None)

    run = worker.run(program, "values", prepared.tests, limits, stop, take)
    if run.cause == "deep":
        objects.append("a deeply nested value")
    if objects:
        raise NeedsObjectsError(objects[0], by_program=True)
    return verdict(checks, run.cause, run.record, limits, run.wall_s, groups=prepared.groups, total=prepared.total)


def _decide(checks: Tally, prepared: Plan, suite: TestSuite, check: int, trees: list[Json]) -> None:
    """Compare the results of one check's calls with the expected ones.

    Raises:
        NotPlainError: the comparison needs the program's own objects.
        LookupError: there is no such check.
    """
    if check < 0:
        raise LookupError(check)
    holds, group = prepared.checks[check], prepared.groups[check]
    try:
        held, error = holds(trees), ""
    except plain.NotPlainError:
        raise
    except (ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as raised:
        held, error = False, type(raised).__name__
    if held:
        checks.succeed(check)
    else:
        got = ", ".join(_shown(tree) for tree in trees)
        message = f"{_test_text(suite, group)}: got {got}"
        checks.fail(check, Failure(Status.WRONG_ANSWER, error, message=message, test=group, got=got))


def _shown(tree: Json) -> str:
    if cost.size(tree, _SHOWN) > _SHOWN:
        return "a large value"
    try:
        return repr(decoding.decode(tree))[:_SHOWN]
    except (ValueError, plain.NotPlainError):
        return "a value that is not plain data"


def _test_text(suite: TestSuite, test: int) -> str:
    if suite.kind == "call":
        return f"{suite.entry_point}{suite.cases[test].given!r}"[:_SHOWN]
    return suite.tests[test].strip()[:_SHOWN] if suite.kind == "assert" else "check"


def run_judged(worker: Worker, program: Program, prepared: Plan, limits: Limits, stop: bool) -> Verdict:
    """Tests in a process of their own; every report carries a secret, as in ``run_shared``.

    Raises:
        NeedsObjectsError: tests and program share objects.
    """
    objects: list[reports.NeedsObjects] = []
    secret = secrets.token_hex(16)
    tally = Tally(prepared.total)
    take_report = _taker(tally, secret)

    def take(report: reports.Report) -> bool:
        if isinstance(report, reports.NeedsObjects) and secrets.compare_digest(report.secret, secret):
            objects.append(report)
            return True
        return take_report(report)

    run = worker.run_judged(program, prepared.tests, secret, limits, stop, take)
    if objects:
        raise NeedsObjectsError(objects[0].what, objects[0].by_program)
    return verdict(tally, run.cause, run.record, limits, run.wall_s)


def run_shared(worker: Worker, program: Program, prepared: Plan, limits: Limits, stop: bool) -> Verdict:
    """Tests in the program's process; every report must carry the secret that came with the tests."""
    tally = Tally(prepared.total)
    secret = secrets.token_hex(16)
    tests = protocol.pack(protocol.SharedTests(secret, prepared.tests))
    run = worker.run(program, "shared", tests, limits, stop, _taker(tally, secret))
    return verdict(tally, run.cause, run.record, limits, run.wall_s, shared=True)


_SECRET = reports.Passed, reports.Failed, reports.NotLoaded
"""Reports of tests."""


def _taker(tally: Tally, secret: str) -> Handler:
    """Takes reports of tests, if they carry the secret."""

    def take(report: reports.Report) -> bool:
        match report:
            case reports.Raised(_, kind, line, message):
                tally.fail(None, Failure.raised(kind, line, message))
                return True
            case reports.Done():
                return True
        if not isinstance(report, _SECRET) or not secrets.compare_digest(report.secret, secret):
            raise ValueError("a report without the secret")
        match report:
            case reports.Passed(_, test) if 0 <= test < tally.total:
                tally.succeed(test)
            case reports.Failed(_, test, kind, line, message, by_program) if 0 <= test < tally.total:
                tally.fail(test, _test_failure(kind, line, message, test, by_program))
            case reports.NotLoaded(_, kind, line, message):
                tally.fail(None, Failure.raised(kind, line, message))
                return True
            case _:
                raise ValueError(report)
        return False

    return take


def _test_failure(kind: str, line: int | None, message: str, test: int, by_program: bool) -> Failure:
    if by_program:
        return Failure.raised(kind, line, message, test)
    return Failure(Status.WRONG_ANSWER, "" if kind == "AssertionError" else kind, message=message, test=test)


Script = Callable[[bytes, Handler], Run]
"""Runs a program as a script that reads these bytes; the handler takes its reports."""


def python_script(worker: Worker, program: str, limits: Limits, prelude: bytes = b"") -> Script:
    """A Python program, compiled.

    Raises:
        CompileFailure: it does not compile.
    """
    compiled = worker.compile(program, limits.wall_s, prelude)
    return lambda stdin, handler: worker.run_script(compiled, stdin, limits, handler)


def native_script(worker: Worker, language: Language, program: str, limits: Limits) -> Script:
    """A program of another language, built.

    Raises:
        CompileFailure: it does not compile.
    """
    artifact = native_programs.build(worker, language, program)

    def script(stdin: bytes, handler: Handler) -> Run:
        run = native_programs.run(worker, language, program, artifact, stdin, limits)
        ended, complaint = run.record.ended, run.record.stderr.decode("utf-8", "replace")
        if ended is not None and ended.status != 0 and run.cause == "" and not used_up_cpu(ended, limits):
            lacks_memory = language.ran_out_of_memory(complaint)
            if lacks_memory or os.WIFEXITED(ended.status):
                kind = "MemoryError" if lacks_memory else "ExitCode"
                handler(reports.Raised(PROGRAM, kind, language.line_of(complaint), complaint[:_SHOWN]))
        return run

    return script


def run_cases(script: Script, suite: TestSuite, judge: OutputJudge, limits: Limits, stop: bool) -> Verdict:
    """The program once a case, its standard output judged here or by the problem's checker.

    A verdict by a checker that evaluates the output is ``shared``: the output can make it say anything.
    """
    shared = suite.checker is not None and can_be_forged(suite.checker)
    verdicts: list[Verdict] = []
    for number, case in enumerate(suite.cases):
        verdicts.append(replace(_run_case(script, number, case, judge, limits), shared=shared))
        if stop and not verdicts[-1].ok:
            break
    return stdio.combined(verdicts, suite.total)


def _run_case(script: Script, number: int, case: Case, judge: OutputJudge, limits: Limits) -> Verdict:
    tally = Tally(1)

    def take(report: reports.Report) -> bool:
        if isinstance(report, reports.Raised):
            tally.fail(0, Failure.raised(report.kind, report.line, report.message, number))
        return False

    run = script(str(case.given).encode("utf-8", "surrogatepass"), take)
    ended = run.record.ended
    if ended is not None and run.cause == "" and tally.first is None and os.WIFEXITED(ended.status):
        if ended.status != 0:
            tally.fail(0, exit_failure(ended, limits, number))
        elif (failure := judge(number, case, bytes(run.record.stdout))) is None:
            tally.succeed(0)
        else:
            tally.fail(0, failure)
    return verdict(tally, run.cause, run.record, limits, run.wall_s, first_test=number)


def execute(script: Script, stdin: str, limits: Limits) -> Execution:
    """Run the program once, without tests: its output and its end."""
    tally = Tally(1)

    def take(report: reports.Report) -> bool:
        if isinstance(report, reports.Raised):
            tally.fail(0, Failure.raised(report.kind, report.line, report.message))
        return False

    run = script(stdin.encode("utf-8", "surrogatepass"), take)
    ended = run.record.ended
    assert ended is not None
    if run.cause == "" and ended.status == 0:
        tally.succeed(0)
    outcome = verdict(tally, run.cause, run.record, limits, run.wall_s)
    stdout, stderr = (bytes(text).decode("utf-8", "replace") for text in (run.record.stdout, run.record.stderr))
    return Execution(outcome, os.waitstatus_to_exitcode(ended.status), stdout, stderr)
