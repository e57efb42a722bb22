"""Labels for a policy's own programs, from line verdicts by execution (``prl_ray.credit.verdicts``).

The lines before the first wrong one are right: each has a witness. Where the wrong line was found by its error alone,
they have none and stay unlabelled. So do programs whose first wrong line is not known. Where the length limit truncated
a program, its last line and its end are not the policy's choice: they have no label.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prl_ray.lines import segment
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.problems import Problem
from prl_ray.supervision.executor import Call, Executor, Locate, Verify
from prl_ray.supervision.inputs import agree, differential_inputs, seen_arguments
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rows import NEGATIVE, POSITIVE, UNLABELLED, LabelledProgram, line_labels
from sandbox_workers import UNDECIDED, Verdict

if TYPE_CHECKING:
    from prl_ray.credit.verdicts import LineVerdict

OPERATOR = "rollout"


@dataclass(slots=True)
class _Rollout:
    """One program and its state."""

    problem: Problem
    program: str
    finished: bool
    """The policy ended the program; the length limit did not."""
    verdict: Verdict
    agrees: bool = False
    """For a passing program: it agrees with the reference."""
    lines: LineVerdict | None = None
    """For a failing program; None if it could not be executed."""

    @property
    def wrong(self) -> int:
        """Index of the first wrong line; -1 if it is not known or there is none."""
        return -1 if self.lines is None or self.lines.wrong == UNKNOWN else self.lines.wrong

    @property
    def right(self) -> int:
        """Number of lines before it that are known to be right."""
        return 0 if self.lines is None or self.lines.found_by == "error" else self.wrong

    @property
    def label(self) -> int:
        """The label of its first wrong line, or of all lines of a passing program."""
        if self.verdict.ok:
            return POSITIVE if self.agrees else UNLABELLED
        chosen = self.finished or self.wrong < len(segment(self.program)) - 1
        return NEGATIVE if self.wrong >= 0 and chosen else UNLABELLED


def label_rollouts(
    rollouts: Sequence[tuple[Problem, str]],
    verify: Verify,
    locate: Locate,
    call: Call | None = None,
    *,
    differential: int = 8,
    seed: int = 0,
    retries: int = 2,
    finished: Sequence[bool] | None = None,
) -> LabelReport:
    """Labels whole programs (``code_prefix`` included) of a policy, unchanged.

    All lines of a passing program are positive if it also agrees with the first reference on differential inputs (or
    ``call`` is not given), else unlabelled. A failing program is labelled up to its first wrong line, or not at all.

    Args:
        rollouts: pairs (problem, program); duplicates are labelled once.
        verify: see ``label_problems``.
        locate: line verdicts of failing programs, in order.
        call: see ``label_problems``.
        differential: number of differential inputs.
        seed: draws the inputs.
        retries: see ``LabelConfig``.
        finished: for each rollout, False if the length limit truncated it; by default none was.

    Returns:
        Rows with the operator ``rollout`` in the order of the rollouts; without those that had a sandbox error. The
        table's ``negative`` are failing programs with a first wrong line, ``unknown`` those without any label.

    Raises:
        DataError: see ``label_problems``.
    """
    report = LabelReport()
    executor = Executor(verify, call if differential else None, retries)
    ended = [True] * len(rollouts) if finished is None else finished
    named = {(p.task_id, text, end): (p, text, end) for (p, text), end in zip(rollouts, ended, strict=True)}
    unique = list(named.values())
    verdicts = executor.run_with_forced_failure([(program, problem.tests) for problem, program, _ in unique])
    report.forced_failures += bool(unique)
    found = [_Rollout(*rollout, verdict) for rollout, verdict in zip(unique, verdicts, strict=True)]
    valid = [rollout for rollout in found if rollout.verdict.status not in UNDECIDED]
    _compare([rollout for rollout in valid if rollout.verdict.ok], executor, differential, seed)
    failing = [rollout for rollout in valid if not rollout.verdict.ok]
    for rollout, located in zip(failing, locate([(r.problem, r.program) for r in failing]), strict=True):
        rollout.lines = located
    for rollout in found:
        _count(rollout, report)
    report.rows += [_row(rollout) for rollout in valid]
    return report


def _count(rollout: _Rollout, report: LabelReport) -> None:
    task = rollout.problem.task_id
    report.add(OPERATOR, task, "executed")
    if rollout.verdict.status in UNDECIDED:
        report.add(OPERATOR, task, "sandbox_error")
        return
    report.add(OPERATOR, task, "survived" if rollout.verdict.ok else "killed")
    report.add(OPERATOR, task, {POSITIVE: "positive", NEGATIVE: "negative", UNLABELLED: "unknown"}[rollout.label])
    report.add(OPERATOR, task, "kept")


def _row(rollout: _Rollout) -> LabelledProgram:
    problem, verdict = rollout.problem, rollout.verdict
    lines = segment(rollout.program)
    changed = (max(rollout.right, 0), max(rollout.wrong, 0))
    labels = line_labels(lines, prefix=len(problem.code_prefix), changed=changed, label=rollout.label)
    if not rollout.finished:
        labels = (*labels[:-2], UNLABELLED, UNLABELLED)[-len(labels) :]
    return LabelledProgram(
        task_id=problem.task_id,
        prompt=problem.prompt,
        code_prefix=problem.code_prefix,
        program=rollout.program,
        line_labels=labels,
        passed=verdict.ok,
        operator=OPERATOR,
        changed_line=rollout.wrong,
        killed_by=-1 if verdict.ok or verdict.failed_test is None else verdict.failed_test,
        status=str(verdict.status),
    )


def _compare(passing: Sequence[_Rollout], executor: Executor, count: int, seed: int) -> None:
    """Whether each passing program behaves as its problem's first reference."""
    if executor.call is None:
        for rollout in passing:
            rollout.agrees = True
        return
    jobs = []
    for rollout in passing:
        problem = rollout.problem
        seen = seen_arguments(problem.tests, problem.entry_point)
        inputs = differential_inputs(seen, count, random.Random(f"{seed}/{problem.task_id}"))
        jobs += [(text, problem.entry_point, inputs) for text in (problem.references[0], rollout.program)]
    answers = executor.answers(jobs)
    for rollout, expected, given in zip(passing, answers[::2], answers[1::2], strict=True):
        rollout.agrees = bool(agree(expected, given))
