"""One worker for many programs: warm, jailed, and deciding about each outside its reach."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from types import TracebackType

from . import modes, plain, preludes
from .calls import Calls
from .checker import Checkers, OutputJudge, by_rule, language_of
from .compile_service import CompileFailure, CompileTimeout
from .errors import SandboxError, SandboxUnavailable, SuiteError
from .languages import PYTHON, canonical, require
from .languages.language import Language
from .limits import Limits
from .outcome import printable
from .packages import missing
from .plan import Plan, plan, shared_plan
from .suite import Case, TestSuite
from .verdict import CallResult, Execution, Status, Verdict
from .verdict_cache import VerdictCache
from .worker import BrokenChildError, Worker
from .zygote_process import ZygoteLostError

ATTEMPTS = 3
"""Zygotes that may die under one program before it is given back as ``sandbox_error``."""
AT_ONCE_S = 0.1
"""A child that is broken fails within this time; one that fails later has begun its program, and is not tried again."""
RECYCLE_AFTER = 20_000
"""Programs after which a zygote is replaced."""
_NO_LIMITS = Limits()
_PROBE = TestSuite("call", entry_point="probe", cases=(Case((20,), 22),))
_PROBE_PROGRAM = "def probe(n):\n    return n + 2\n"


class Sandbox:
    """Runs programs in one jail, one after the other. For one thread at a time; a context manager.

    A zygote that dies is replaced, and the program that it was running is run again.

    Raises:
        SandboxUnavailable: the host denies the isolation that was asked for; says what is missing and what would do
        with less.
    """

    def __init__(
        self,
        isolation: str = "full",
        limits: Limits = _NO_LIMITS,
        *,
        packages: Sequence[str] = (),
        languages: Sequence[str] = (PYTHON,),
        flags: Mapping[str, Sequence[str]] | None = None,
        shared_fallback: bool = True,
        recycle_after: int = RECYCLE_AFTER,
        cache_size: int = 0,
    ) -> None:
        """Start a zygote and show that it works.

        ``packages``: top-level packages of this environment that programs may import, such as ``numpy``.
        ``languages``: those that programs may be written in; each but Python needs its toolchain, which programs can
        read.
        ``flags``: by language, those of its compiler in place of its own, such as ``{"cpp": ["-std=gnu++17", "-O2"]}``.
        ``shared_fallback``: run the tests in the program's process, and mark the verdict ``shared``, where a program
        returns what cannot be carried to tests of its own process. Without it such a verdict is ``unsupported``, and no
        program can choose the mode in which verdicts can be forged; suites still can, by their text.
        ``cache_size``: how many verdicts to keep by content; 0 runs every program anew.
        """
        self._owner = os.getpid()
        self._busy = threading.Lock()
        self._cache = VerdictCache(cache_size)
        self._checkers = Checkers()
        known = require(tuple(languages), flags)
        self._languages = {language.name: language for language in known}
        self._limits = limits
        self._shared_fallback = shared_fallback
        self._packages = tuple(packages)
        self._objects: set[TestSuite] = set()  # suites whose judge found that they need the program's objects
        self.restarts = 0
        """Zygotes that died and were replaced."""
        self._worker: Worker | None = Worker(isolation, tuple(packages), known, recycle_after)
        probe = self.run(_PROBE_PROGRAM, _PROBE)
        if not probe.ok:
            self.close()
            raise SandboxUnavailable(f"isolation {isolation!r} started, but its self-test failed: {probe}")

    @property
    def zygote_pid(self) -> int:
        """Process id of the zygote, for those who watch it."""
        return self._living().zygote.pid

    def run(
        self,
        program: str,
        suite: TestSuite,
        *,
        limits: Limits | None = None,
        stop_at_first_failure: bool = True,
        language: str = PYTHON,
    ) -> Verdict:
        """The verdict of one program on one suite.

        Raises:
            SuiteError: the suite is empty or does not parse, or is not for this language.
            SandboxUnavailable: the sandbox was not started with this language.
        """
        limits = limits or self._limits
        if suite.time_limit_s > limits.wall_s:
            limits = replace(limits, wall_s=suite.time_limit_s, cpu_s=max(limits.cpu_s, suite.time_limit_s))
        if suite.checker is not None:
            language_of(suite.checker, self._language)  # said at once if it is not here
        key = self._cache.key(program, suite, limits, stop_at_first_failure, language)
        verdict = self._cache.get(key)
        if verdict is None:
            if language == PYTHON:
                verdict = self._run_python(program, suite, limits, stop_at_first_failure)
            else:
                verdict = self._run_native(program, suite, self._language(language), limits, stop_at_first_failure)
            self._cache.put(key, verdict)
        return verdict

    def call(
        self, program: str, entry_point: str, args_list: Sequence[tuple[object, ...]], *, limits: Limits | None = None
    ) -> list[CallResult]:
        """The result of ``entry_point`` for each tuple of arguments (plain data); in one process, one after the
        other.
        """
        return self._results(program, Calls([(entry_point, tuple(arguments)) for arguments in args_list]), limits)

    def evaluate(
        self, program: str, calls: Sequence[str], setup: str = "", *, limits: Limits | None = None
    ) -> list[CallResult]:
        """The value of each expression after the program and ``setup``; in one process, one after the other."""
        codes = [compile(call, "test", "eval", dont_inherit=True) for call in calls]
        return self._results(program, Calls(codes, compile(setup, "setup", "exec", dont_inherit=True)), limits)

    def execute(
        self, program: str, stdin: str = "", *, language: str = PYTHON, limits: Limits | None = None
    ) -> Execution:
        """Run a program as a script, without tests."""
        limits = limits or self._limits
        found = None if language == PYTHON else self._language(language)
        executions: list[Execution] = []

        def once(worker: Worker) -> Verdict:
            executions[:] = [modes.execute(_script(worker, found, program, limits), stdin, limits)]
            return executions[0].verdict

        outcome = self._attempt(1, once)
        if executions and executions[0].verdict is outcome:
            return executions[0]
        return Execution(outcome, 1, "", outcome.message)

    def close(self) -> None:
        """End the zygote and everything in it."""
        worker, self._worker = getattr(self, "_worker", None), None
        if worker is not None and os.getpid() == self._owner:  # a forked process has copies of it, to let go of
            worker.close()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()

    def _living(self) -> Worker:
        if self._worker is None:
            raise ValueError("this sandbox is closed")
        if os.getpid() != self._owner:
            raise SandboxError("this sandbox belongs to the process that this one was forked from: make one here")
        return self._worker

    def _attempt(self, total: int, once: Callable[[Worker], Verdict]) -> Verdict:
        """Run until a zygote survives it; a child that fails to start is tried again too.

        Raises:
            SandboxError: another thread is using this sandbox.
        """
        if not self._busy.acquire(blocking=False):
            raise SandboxError("another thread is using this sandbox: make one for each thread, or use a Pool")
        try:
            return self._attempt_alone(total, once)
        finally:
            self._busy.release()

    def _attempt_alone(self, total: int, once: Callable[[Worker], Verdict]) -> Verdict:
        reason = ""
        for attempt in range(ATTEMPTS):
            try:
                return once(self._living())
            except CompileFailure as failure:
                status = Status.TIMEOUT if isinstance(failure, CompileTimeout) else Status.COMPILE_ERROR
                message = printable(str(failure))
                return Verdict(status, 0, total, failure.line, failure.kind, message, failed_test=0)
            except BrokenChildError as error:
                reason = str(error)
                if (attempt > 0 or error.wall_s > AT_ONCE_S) and self._is_sound():
                    early = "ended before its tests"
                    return Verdict(
                        Status.RUNTIME_ERROR, 0, total, None, "EarlyExit", early, wall_s=error.wall_s, failed_test=0
                    )
            except (ZygoteLostError, OSError) as error:
                reason = self._replace() or str(error)
        return Verdict(Status.SANDBOX_ERROR, 0, total, error="SandboxError", message=reason)

    def _replace(self) -> str:
        """Start another zygote; why that failed, or nothing."""
        self.restarts += 1
        try:
            self._living().replace()
        except OSError as error:
            return str(error)
        return ""

    def _is_sound(self) -> bool:
        """Whether an honest program passes: then the one before brought its failure on itself."""
        try:
            return self._run(_PROBE_PROGRAM, _PROBE, plan(_PROBE), _NO_LIMITS, True, self._living()).ok
        except (BrokenChildError, ZygoteLostError, OSError):
            return False

    def _run_python(self, program: str, suite: TestSuite, limits: Limits, stop: bool) -> Verdict:
        def by(prepared: Plan) -> Verdict:
            return self._attempt(prepared.total, partial(self._run, program, suite, prepared, limits, stop))

        prepared = plan(suite)
        if prepared.packages and (lacking := missing(prepared.packages, self._packages)):
            raise SuiteError(f"the tests need {', '.join(lacking)}: start the sandbox with packages={lacking}")
        try:
            return by(shared_plan(suite) if self._objects and suite in self._objects else prepared)
        except modes.NeedsObjectsError as need:
            if not need.by_program:  # a program that had a hand in it shall not choose for those that follow
                self._objects.add(suite)
            elif not self._shared_fallback:
                message = f"cannot be carried to the tests: {need}; a suite that handles such values says objects=true"
                return Verdict(Status.UNSUPPORTED, 0, suite.total, error=plain.NOT_PLAIN, message=message)
            return by(shared_plan(suite))

    def _run(
        self, program: str, suite: TestSuite, prepared: Plan, limits: Limits, stop: bool, worker: Worker
    ) -> Verdict:
        prelude = preludes.before_program(suite.runs_before, suite.setup, program, suite.tests)
        if prepared.mode == "script":
            judge, script = self._judge(worker, suite), modes.python_script(worker, program, limits, prelude)
            return modes.run_cases(script, suite, judge, limits, stop)
        compiled = worker.compile(program, limits.wall_s, prelude)
        if prepared.mode == "values":
            return modes.run_values(worker, compiled, suite, prepared, limits, stop)
        if prepared.mode == "judge":
            return modes.run_judged(worker, compiled, prepared, limits, stop)
        return modes.run_shared(worker, compiled, prepared, limits, stop)

    def _run_native(self, program: str, suite: TestSuite, language: Language, limits: Limits, stop: bool) -> Verdict:
        if suite.prelude:
            raise SuiteError(f"a prelude is Python: programs in {language.name} have none")
        if suite.kind != "stdio":
            raise SuiteError(f"programs in {language.name} are judged by suites of kind 'stdio', not {suite.kind!r}")
        total = plan(suite).total

        def once(worker: Worker) -> Verdict:
            judge, script = self._judge(worker, suite), modes.native_script(worker, language, program, limits)
            return modes.run_cases(script, suite, judge, limits, stop)

        return self._attempt(total, once)

    def _judge(self, worker: Worker, suite: TestSuite) -> OutputJudge:
        if suite.checker is None:
            return by_rule(suite.compare)
        return self._checkers.judge(worker, suite.checker, language_of(suite.checker, self._language))

    def _language(self, name: str) -> Language:
        found = canonical(name)
        if found not in self._languages:
            raise SandboxUnavailable(f"this sandbox was started without {found!r}: pass it in languages=")
        return self._languages[found]

    def _results(self, program: str, calls: Calls, limits: Limits | None) -> list[CallResult]:
        outcome = self._attempt(1, partial(calls.run, program, limits or self._limits))
        if outcome.status is Status.SANDBOX_ERROR:
            raise ZygoteLostError(outcome.message)
        return calls.results(outcome)


def _script(worker: Worker, language: Language | None, program: str, limits: Limits) -> modes.Script:
    if language is None:
        return modes.python_script(worker, program, limits)
    return modes.native_script(worker, language, program, limits)
