"""The rounds that label one chunk of problems; each is one batch for the verifier.

1. the references, and a program that must fail (if it passes, the verifier does not run programs);
2. refactorings and truncations;
3. refactorings that pass, on differential inputs, compared with the reference;
4. mutations of references, and of refactored programs that were found correct;
5. second thoughts on killed mutations: a program that, if it passes, proves that the changed line was not wrong yet.

Invariant, for each operator: executed = killed + survived + sandbox_error. A program with the verdict ``sandbox_error``
is run again; this verdict never becomes a label.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.config import LabelConfig
from prl_ray.supervision.differences import Difference, SecondThought, second_thought
from prl_ray.supervision.executor import Executor
from prl_ray.supervision.inputs import agree, differential_inputs, seen_arguments
from prl_ray.supervision.report import LabelReport
from prl_ray.supervision.rows import NEGATIVE, POSITIVE, UNLABELLED, LabelledProgram, line_labels
from prl_ray.supervision.selection import blamed_line, is_crash, select_negatives, truncation_points
from prl_ray.supervision.teacher import Proposals, Teachers, Variant
from prl_ray.supervision.trials import Trial, Work, rounded, shares, side_by_side
from sandbox_workers import UNDECIDED, Status, Verdict

_UNBOUND = ("NameError", "UnboundLocalError")


class LabelRounds:
    """The rounds of one chunk; ``report`` holds the results."""

    def __init__(self, config: LabelConfig, executor: Executor, teachers: Teachers) -> None:
        self.config = config
        self.executor = executor
        self.teachers = teachers
        self.report = LabelReport()

    def label(self, problems: Sequence[Problem]) -> LabelReport:
        """Labelled programs of the chunk's problems, in order."""
        self.report.notes["problems"] = len(problems)
        works = self._references(problems)
        failed = self._settle_first(self._trials(works, self._first_trials))
        self._settle_mutations(self._trials(works, self._mutations), failed)
        return self.report

    def _trials(self, works: Sequence[Work], make: Callable[[Work], Iterator[Trial]]) -> list[Trial]:
        trials = side_by_side(works, make, self.teachers.parallel)
        for work in works:
            while work.proposals:
                self.report.take(work.problem.task_id, work.proposals.pop(0))
        return trials

    # references

    def _references(self, problems: Sequence[Problem]) -> list[Work]:
        works = [work for problem in problems for work in self._prepare(problem)]
        verdicts = self.executor.run_with_forced_failure([(work.program, work.problem.tests) for work in works])
        self.report.forced_failures += bool(works)
        for work, verdict in zip(works, verdicts, strict=True):
            if verdict.ok:
                self._keep(work, work.program, verdict, "reference", (-1, -1), POSITIVE)
            else:
                self.report.notes[f"reference: {verdict.status}"] += 1
        return [work for work, verdict in zip(works, verdicts, strict=True) if verdict.ok]

    def _prepare(self, problem: Problem) -> Iterator[Work]:
        count = len(problem.references)
        for index, reference in enumerate(problem.references):
            try:
                program = canonical(reference, len(problem.code_prefix))
            except SyntaxError:
                self.report.notes["reference: does not parse"] += 1
                continue
            rng = random.Random(f"{self.config.seed}/{problem.task_id}/{index}")
            budget = self.config.variants_per_problem * (index + 1) // count
            budget -= self.config.variants_per_problem * index // count
            positives = rounded(budget * self.config.refactoring_share, rng)
            yield Work(problem, program, rng, self.teachers, positives, budget)

    # refactorings and truncations

    def _first_trials(self, work: Work) -> Iterator[Trial]:
        wanted = rounded(work.positives * self.config.oversample, work.rng)
        yield from (Trial(work, variant) for variant in work.propose(work.teacher, "refactoring", wanted))
        lines = segment(work.program)
        cuts = Proposals()
        for point in truncation_points(work.program, lines, work.prefix, self.config.truncations_per_problem, work.rng):
            cut = work.program[: lines[point].end] + ("\n" if work.program.endswith("\n") else "")
            work.seen.add(cut)  # deleting the last statements gives the same program
            cuts.count("truncation", "proposed")
            whole = Difference(point + 1, point + 1, single=True, omission=True)
            yield Trial(work, Variant(cut, work.program, "truncation", "mutation", whole))
        work.proposals.append(cuts)

    def _settle_first(self, trials: list[Trial]) -> list[Trial]:
        """Keeps truncations and refactorings; returns the refactorings that turned out to be mutations."""
        survivors, failed = [], []
        for trial in self._decided(trials):
            refactoring = trial.variant.kind == "refactoring"
            if trial.verdict.ok and refactoring:
                survivors.append(trial)
            elif trial.verdict.ok or not trial.variant.difference.single:
                self._count(trial, "unknown")  # a failing refactoring of several lines: the wrong line is unknown
            elif not refactoring:
                self._count(trial, "negative")
                self._keep_trial(trial, NEGATIVE)
            elif trial.verdict.status is Status.TIMEOUT:
                self._count(trial, "unknown")  # slow is not wrong
            else:
                failed.append(trial)
        for trial, agrees in zip(survivors, self._agreement(survivors), strict=True):
            if not agrees:
                self._unknown(trial)
                continue
            self._count(trial, "positive")
            if len(trial.work.refactored) < trial.work.positives:
                self._keep_trial(trial, POSITIVE)
            trial.work.refactored.append(trial.variant)
        return failed

    def _agreement(self, trials: Sequence[Trial]) -> list[bool]:
        """For each surviving refactoring, whether it is known to behave like the reference."""
        if self.executor.call is None:
            return [True] * len(trials)
        works = {id(trial.work): trial.work for trial in trials}
        inputs = {}
        for key, work in works.items():
            seen = seen_arguments(work.problem.tests, work.problem.entry_point)
            inputs[key] = differential_inputs(seen, self.config.differential_inputs, work.rng)
        sources = [*((key, work.program) for key, work in works.items())]
        sources += [(id(trial.work), trial.variant.program) for trial in trials]
        jobs = [(program, works[key].problem.entry_point, inputs[key]) for key, program in sources]
        answers = self.executor.answers(jobs)
        known = dict(zip(works, answers, strict=False))
        return [bool(agree(known[id(t.work)], a)) for t, a in zip(trials, answers[len(works) :], strict=True)]

    # mutations

    def _mutations(self, work: Work) -> Iterator[Trial]:
        wanted = rounded(work.negatives * self.config.oversample, work.rng)
        elsewhere = sum(work.rng.random() < self.config.on_refactored for _ in range(wanted)) if work.refactored else 0
        for variant, share in shares(work.refactored, elsewhere, work.rng):
            teacher = self.teachers.teach(work.problem, variant.program, work.seen)
            for mutant in work.propose(teacher, "mutation", share):
                wanted -= 1
                yield Trial(work, mutant, variant.operator)
        yield from (Trial(work, mutant) for mutant in work.propose(work.teacher, "mutation", wanted))

    def _settle_mutations(self, trials: list[Trial], failed: list[Trial]) -> None:
        killed = list(failed)
        for trial in self._decided(trials):
            if trial.verdict.ok:
                self._unknown(trial)
            else:
                killed.append(trial)
        found: dict[int, list[Trial]] = {}
        for trial in self._thought_over(killed):
            self._count(trial, "negative")
            found.setdefault(id(trial.work), []).append(trial)
        for mine in found.values():
            work = mine[0].work
            facts = [(trial.blamed, trial.verdict) for trial in mine]
            for index in select_negatives(facts, work.negatives, self.config.max_crash_share, work.rng):
                self._keep_trial(mine[index], NEGATIVE)

    def _thought_over(self, killed: list[Trial]) -> Iterator[Trial]:
        """The killed variants with a known wrong line, and that line."""
        doubts: list[tuple[Trial, SecondThought]] = []
        for trial in killed:
            if trial.variant.difference.omission and trial.verdict.error in _UNBOUND and trial.verdict.line is not None:
                # a name is missing: the line that needs it is wrong, not the line that is too early
                trial.blamed = max(trial.blamed, blamed_line(trial.variant.program, trial.verdict.line))
                continue
            thought = second_thought(trial.variant.origin, trial.variant.program, trial.variant.difference)
            if thought is not None:
                doubts.append((trial, thought))
        verdicts = self.executor.run([(thought.program, trial.work.problem.tests) for trial, thought in doubts])
        for (trial, thought), verdict in zip(doubts, verdicts, strict=True):
            if verdict.ok:
                trial.blamed = thought.blamed
                self._count(trial, "recovered")
        for trial in killed:
            if trial.blamed < 0 or trial.work.goes_on_well(trial.variant.program, trial.blamed):
                self._count(trial, "unknown")
            else:
                yield trial

    # verdicts and rows

    def _decided(self, trials: list[Trial]) -> Iterator[Trial]:
        """Counts the trials' verdicts; yields the trials without a sandbox error."""
        verdicts = self.executor.run([(trial.variant.program, trial.work.problem.tests) for trial in trials])
        for trial, verdict in zip(trials, verdicts, strict=True):
            trial.verdict = verdict
            self._count(trial, "executed")
            if verdict.status in UNDECIDED:
                self._count(trial, "sandbox_error")
                continue
            self._count(trial, "survived" if verdict.ok else "killed")
            if is_crash(verdict):
                self._count(trial, "crashed")
            yield trial

    def _count(self, trial: Trial, what: str) -> None:
        self.report.add(trial.variant.operator, trial.work.problem.task_id, what)

    def _unknown(self, trial: Trial) -> None:
        self._count(trial, "unknown")
        if self.config.keep_unknown:
            self._keep_trial(trial, UNLABELLED)

    def _keep_trial(self, trial: Trial, label: int) -> None:
        self._count(trial, "kept")
        changed = (trial.variant.difference.line, trial.blamed)
        self._keep(trial.work, trial.variant.program, trial.verdict, trial.operator, changed, label)

    def _keep(
        self, work: Work, program: str, verdict: Verdict, operator: str, changed: tuple[int, int], label: int
    ) -> None:
        labels = line_labels(
            segment(program),
            prefix=work.prefix,
            changed=changed,
            label=label,
            after_error=self.config.after_error,
        )
        problem = work.problem
        self.report.rows.append(
            LabelledProgram(
                task_id=problem.task_id,
                prompt=problem.prompt,
                code_prefix=problem.code_prefix,
                program=program,
                line_labels=labels,
                passed=verdict.ok,
                operator=operator,
                changed_line=changed[1],
                killed_by=-1 if verdict.ok or verdict.failed_test is None else verdict.failed_test,
                status=str(verdict.status),
            )
        )
