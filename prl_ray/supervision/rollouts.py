"""Labels for a policy's own programs: the first wrong line of a failing program, found by completion.

The first lines of a program are right if *some* right program continues them; ``completions`` lists the programs tried.

The longest prefix kept by a passing completion is right, and the next line is the first wrong one. Completions come
from references and small repairs instead of a sampled model. The method is conservative for right lines, since each has
a witness. Programs without a passing completion stay unlabelled.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.completions import completions, repaired, spliced
from prl_ray.supervision.executor import Call, Executor, Verify
from prl_ray.supervision.inputs import agree, differential_inputs, seen_arguments
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rows import NEGATIVE, POSITIVE, UNLABELLED, LabelledProgram, line_labels
from sandbox_workers import UNDECIDED, Verdict

OPERATOR = "rollout"


@dataclass(slots=True)
class _Rollout:
    """One program and its state."""

    problem: Problem
    program: str
    verdict: Verdict
    agrees: bool = False
    """For a passing program: it agrees with the reference."""
    kept: int = -1
    """For a failing program: length of the longest prefix kept by a passing completion; -1 if there is none."""

    @property
    def label(self) -> int:
        """The label of its lines up to the first wrong one."""
        if self.verdict.ok:
            return POSITIVE if self.agrees else UNLABELLED
        return NEGATIVE if self.kept >= 0 else UNLABELLED


def label_rollouts(
    rollouts: Sequence[tuple[Problem, str]],
    verify: Verify,
    call: Call | None = None,
    *,
    completions_per_line: int = 24,
    differential: int = 8,
    seed: int = 0,
    retries: int = 2,
) -> LabelReport:
    """Labels whole programs (``code_prefix`` included) of a policy, unchanged.

    All lines of a passing program are positive if it also agrees with the first reference on differential inputs (or
    ``call`` is not given), else unlabelled. A failing program is labelled up to its first wrong line, or not at all.

    Args:
        rollouts: pairs (problem, program); duplicates are labelled once.
        verify: see ``label_problems``.
        call: the same.
        completions_per_line: maximum number of completions tried for each number of kept lines.
        differential: number of differential inputs.
        seed: draws completions and inputs.
        retries: see ``LabelConfig``.

    Returns:
        Rows with the operator ``rollout`` in the order of the rollouts; without those that had a sandbox error. The
        table's ``negative`` are failing programs with a first wrong line, ``unknown`` those without any label.

    Raises:
        DataError: see ``label_problems``.
    """
    report = LabelReport()
    executor = Executor(verify, call if differential else None, retries)
    unique = list({(problem.task_id, program): (problem, program) for problem, program in rollouts}.values())
    verdicts = executor.run_with_forced_failure([(program, problem.tests) for problem, program in unique])
    report.forced_failures += bool(unique)
    found = [_Rollout(problem, text, verdict) for (problem, text), verdict in zip(unique, verdicts, strict=True)]
    valid = [rollout for rollout in found if rollout.verdict.status not in UNDECIDED]
    _compare([rollout for rollout in valid if rollout.verdict.ok], executor, differential, seed)
    _search([rollout for rollout in valid if not rollout.verdict.ok], executor, completions_per_line, seed)
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
    wrong = max(rollout.kept, 0)
    lines = segment(rollout.program)
    labels = line_labels(lines, prefix=len(problem.code_prefix), changed=(wrong, wrong), label=rollout.label)
    return LabelledProgram(
        task_id=problem.task_id,
        prompt=problem.prompt,
        code_prefix=problem.code_prefix,
        program=rollout.program,
        line_labels=labels,
        passed=verdict.ok,
        operator=OPERATOR,
        changed_line=rollout.kept,
        killed_by=-1 if verdict.ok or verdict.failed_test is None else verdict.failed_test,
        status=str(verdict.status),
    )


def _compare(passing: Sequence[_Rollout], executor: Executor, count: int, seed: int) -> None:
    """Whether each passing program does what its problem's first reference does."""
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


def _search(failing: Sequence[_Rollout], executor: Executor, limit: int, seed: int) -> None:
    """Finds the longest right prefix of each program, trying long ones first."""
    options = []
    for rollout in failing:
        rng = random.Random(f"{seed}/{rollout.problem.task_id}/{rollout.program}")
        tries = chain(spliced(rollout.problem, rollout.program), repaired(rollout.problem, rollout.program))
        options.append(completions(rollout.problem, rollout.program, tries, limit, rng))
    for kept in sorted({k for by_length in options for k in by_length}, reverse=True):
        tried = [
            (rollout, by_length[kept])
            for rollout, by_length in zip(failing, options, strict=True)
            if rollout.kept < 0 and kept in by_length
        ]
        verdicts = iter(executor.run([(text, r.problem.tests) for r, texts in tried for text in texts]))
        for rollout, texts in tried:
            found = [next(verdicts) for _ in texts]
            if any(verdict.ok for verdict in found):
                rollout.kept = kept
