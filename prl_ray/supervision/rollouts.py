"""Labels for what a policy wrote: the first wrong line of a failing program, found by completion.

The first lines of a program are right as long as *some* right program goes on from them. Completions that are tried for
the first ``k`` lines:

- *repair*: the program itself with line ``k`` changed by one of the teacher's operators, left out, replaced by a line
  of a reference, or put behind one;
- *splice*: what a reference has left behind ``k`` or more of its own lines.

A completion must use what the kept lines compute, as far as the program itself does: overwriting a wrong value makes
the line that computed it useless, not right.

The longest start that some passing completion keeps is right, and the line behind it is the first wrong one: minimal
repair and completion from the prefix, with references where others sample a model. It needs no model, and errs on the
safe side for the right lines, each of which has a witness. Programs without any passing completion stay unlabelled.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import line_texts
from prl_ray.supervision.executor import Call, Executor, Verify
from prl_ray.supervision.inputs import agree, differential_inputs, seen_arguments
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rows import NEGATIVE, POSITIVE, UNLABELLED, LabelledProgram, line_labels
from prl_ray.supervision.rules import RuleTeacher
from sandbox_workers import Status, Verdict

OPERATOR = "rollout"


@dataclass(slots=True)
class _Rollout:
    """One program, and what is found out about it."""

    problem: Problem
    program: str
    verdict: Verdict
    agrees: bool = False
    """For one that passes: it is known to do what the reference does."""
    kept: int = -1
    """For one that fails: lines of the longest start that a passing completion keeps; -1 if there is none."""

    @property
    def label(self) -> int:
        """The label that its lines get, up to the first wrong one."""
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
    """Labels whole programs (``code_prefix`` included) that a policy wrote, as they stand.

    A program that passes is positive throughout if it also agrees with the first reference on differential inputs (or
    ``call`` is not given), else unlabelled. One that fails is labelled up to its first wrong line, or not at all.

    Args:
        rollouts: (problem, program); repeats are labelled once.
        verify: see ``label_problems``.
        call: the same.
        completions_per_line: at most so many completions are tried for each number of kept lines.
        differential: number of differential inputs.
        seed: draws completions and inputs.
        retries: see ``LabelConfig``.

    Returns:
        Rows with the operator ``rollout`` in the order of the rollouts; without those on which the sandbox failed. The
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
    valid = [rollout for rollout in found if rollout.verdict.status is not Status.SANDBOX_ERROR]
    _compare([rollout for rollout in valid if rollout.verdict.ok], executor, differential, seed)
    _search([rollout for rollout in valid if not rollout.verdict.ok], executor, completions_per_line, seed)
    for rollout in found:
        _count(rollout, report)
    report.rows += [_row(rollout) for rollout in valid]
    return report


def _count(rollout: _Rollout, report: LabelReport) -> None:
    task = rollout.problem.task_id
    report.add(OPERATOR, task, "executed")
    if rollout.verdict.status is Status.SANDBOX_ERROR:
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
    """Finds the longest right start of each program, trying long ones first."""
    completions = []
    for rollout in failing:
        rng = random.Random(f"{seed}/{rollout.problem.task_id}/{rollout.program}")
        completions.append(_completions(rollout.problem, rollout.program, limit, rng))
    for kept in sorted({k for by_length in completions for k in by_length}, reverse=True):
        tried = [
            (rollout, by_length[kept])
            for rollout, by_length in zip(failing, completions, strict=True)
            if rollout.kept < 0 and kept in by_length
        ]
        verdicts = iter(executor.run([(text, r.problem.tests) for r, texts in tried for text in texts]))
        for rollout, texts in tried:
            found = [next(verdicts) for _ in texts]
            if any(verdict.ok for verdict in found):
                rollout.kept = kept


def _completions(problem: Problem, program: str, limit: int, rng: random.Random) -> dict[int, list[str]]:
    """Programs that keep the first ``k`` lines of ``program``, by ``k``, at most ``limit`` each."""
    lines = line_texts(program)
    given = sum(line.end <= len(problem.code_prefix) for line in segment(program))
    found: dict[int, dict[str, None]] = {}
    for kept, text in (*_spliced(problem, lines), *_repaired(problem, program, lines)):
        if kept >= given and text != program and not (kept < len(lines) and lines[kept][1]):
            found.setdefault(kept, {})[text] = None
    used = {i for i in range(given, len(lines)) if not _is_dead(lines, i)}
    chosen = {}
    for kept, texts in found.items():
        options = [text for text in texts if not any(_is_dead(line_texts(text), i) for i in used if i < kept)]
        chosen[kept] = options if len(options) <= limit else rng.sample(options, limit)
    return chosen


def _is_dead(lines: Sequence[tuple[str, bool]], index: int) -> bool:
    """Whether a line of a function's own block gives a variable a value that no later line reads."""
    assignment = re.fullmatch(r"( {0,4})(\w+) = .*", lines[index][0])
    if assignment is None:
        return False  # inside a loop or branch the order of the lines says too little
    name = re.compile(rf"\b{assignment[2]}\b")
    for text, _ in lines[index + 1 :]:
        target, equals, value = text.partition(" = ")
        if equals and target.strip() == assignment[2] and not name.search(value):
            return True
        if name.search(text):
            return False
    return True


def _joined(lines: Sequence[tuple[str, bool]]) -> str:
    return "\n".join(text for text, _ in lines)


def _references(problem: Problem) -> Iterator[list[tuple[str, bool]]]:
    for reference in problem.references:
        yield line_texts(canonical(reference, len(problem.code_prefix)))


def _spliced(problem: Problem, lines: Sequence[tuple[str, bool]]) -> Iterator[tuple[int, str]]:
    """The first lines of the program, then the last lines of a reference."""
    for kept in range(len(lines) + 1):
        for reference in _references(problem):
            for skipped in range(kept, len(reference)):
                yield kept, _joined([*lines[:kept], *reference[skipped:]])


def _repaired(problem: Problem, program: str, lines: Sequence[tuple[str, bool]]) -> Iterator[tuple[int, str]]:
    """The program with one line changed, left out, replaced or preceded by another."""
    own = sorted({line for reference in _references(problem) for line in reference if line[0].startswith(" ")})
    for k in range(len(lines)):
        yield k, _joined([*lines[:k], *lines[k + 1 :]])
        for line in own:
            yield k, _joined([*lines[:k], line, *lines[k + 1 :]])
            yield k, _joined([*lines[:k], line, *lines[k:]])
    try:
        text = canonical(program, len(problem.code_prefix))
    except SyntaxError:
        return
    if len(line_texts(text)) != len(lines):
        return  # several statements a line: the canonical lines are not the program's
    teacher = RuleTeacher(text, len(problem.code_prefix))
    for variant in teacher.propose("mutation", 400, random.Random(0)).variants:
        yield variant.difference.line, variant.program
