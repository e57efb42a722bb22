"""The most lines of a program that a completion which passes keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from prl_ray.credit.expected import expected_results
from prl_ray.credit.screen import MOST_CPU_S, Answers, screened
from prl_ray.problems import Problem
from sandbox_workers import UNDECIDED, SandboxError, Status, TestSuite, Verdict

Judge = Callable[[str, TestSuite], Verdict]
"""The sandbox's verdict on a program, up to the first test that it fails."""
MOST_ENDLESS_S = 4.0
"""Seconds of completions of one program that do not end; then the search ends without a result."""
AT_ONCE = 32
"""Completions that are screened in one run."""


@dataclass
class CompletionJudge:
    """Judges completions, and caches those of the last problem, of which samples that begin alike share many."""

    judge: Judge
    answers: Answers
    runs: int = 0
    """Runs of the sandbox so far."""
    endless_s: float = 0.0
    """Seconds of the present program's completions that did not end."""
    _problem: Problem | None = None
    _known: dict[str, Status] = field(default_factory=dict)

    def longest(self, problem: Problem, found: Mapping[int, Sequence[str]], otherwise: int) -> int:
        """The most lines kept by a completion that passes; ``otherwise`` if none does.

        Where one times out, others that keep as many lines are not tried: the kept lines most likely have the endless
        loop. After ``MOST_ENDLESS_S`` seconds of such completions the result is ``otherwise``; see ``exhausted``.
        """
        if problem is not self._problem:
            self._problem, self._known = problem, {}
        options = [(kept, text) for kept in sorted(found, reverse=True) for text in found[kept]]
        endless = -1
        for number, (kept, text) in enumerate(options):
            if number % AT_ONCE == 0 and not self.exhausted:
                self._screen(problem, [text for kept, text in options[number : number + AT_ONCE] if kept != endless])
            if kept == endless:
                continue
            if self.exhausted:
                return otherwise
            status = self._status(problem, text)
            if status is Status.PASSED:
                return kept
            if status is Status.TIMEOUT:
                endless = kept
        return otherwise

    @property
    def exhausted(self) -> bool:
        """Whether completions that do not end have taken all of their seconds, so that longer ones may have been missed
        and no others are tried."""
        return self.endless_s >= MOST_ENDLESS_S

    def _screen(self, problem: Problem, texts: Sequence[str]) -> None:
        """Finds out, in one run, which of these completions fail."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if len(new) < 2 or not expected_results(problem.tests, problem.entry_point):
            return
        self.runs += 1
        with suppress(SandboxError):  # an infrastructure failure: they are judged alone
            found = zip(new, screened(problem, new, self.answers), strict=True)
            judged = {text: status for text, status in found if status is not None}
            self.endless_s += MOST_CPU_S * sum(status is Status.TIMEOUT for status in judged.values())
            self._known |= judged

    def _status(self, problem: Problem, completion: str) -> Status:
        if completion in self._known:
            return self._known[completion]
        self.runs += 1
        verdict = self.judge(completion, problem.tests)
        status = verdict.status
        self.endless_s += verdict.wall_s * (status is Status.TIMEOUT)
        if status not in UNDECIDED:  # a failure of the sandbox is not that of the program
            self._known[completion] = status
        return status
