"""The first line of a failing program after which no completion passes, found by execution.

- ``state`` the values of all variables after a line equal those of a reference after one of its lines, on all inputs of
  the tests, so the rest of the reference could continue from there
- ``prefix``  the first lines, followed by the rest of a reference, pass the tests
- ``error``  a line fails whatever follows it: no Python goes on from it; or on an input of the tests it raises also
  where it is the last one, or returns a wrong result before anything has been computed; asked only if the others keep
  no line
- ``repair`` a small repair of the next line passes; tried only where the program does not go as a reference does

``state``, ``prefix`` and ``repair`` find the longest prefix with a witness, and the line behind it counts as wrong. A
program goes as a reference does if it assigns names, and only such as that one assigns: then the longer of the first
two counts. Any other program may be right where it leaves the reference, so a repair that keeps more lines counts
more, and lines that keep the values of the call's arguments are no evidence: every reference completes them, as it does
the lines up to the ``def`` of the entry point.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from prl_ray.credit.certain import cut_behind, syntax_error, wrong_return
from prl_ray.credit.completion_judge import CompletionJudge, Judge
from prl_ray.credit.expected import expected_results
from prl_ray.credit.screen import Answers
from prl_ray.credit.trace import CUT, ENTRY, RAISED, State, line_states, state_number, tracing_program
from prl_ray.lines import segment
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.problems import Problem
from prl_ray.supervision.completions import completions, given_lines, repaired, spliced
from prl_ray.supervision.inputs import Arguments, seen_arguments
from sandbox_workers import SandboxError

MOST_INPUTS = 8
TRACE_LENGTH = 120
REPAIRS_PER_LINE = 24
MOST_KNOWN = 1024
"""Number of problems whose references' states are cached."""


@dataclass(frozen=True, slots=True)
class LineVerdict:
    """The verdict on one program's lines; indices are those of ``segment(program)``."""

    wrong: int
    """First wrong line; the number of lines if only the end is wrong (the program stops too early) or nothing is;
    ``UNKNOWN`` if it is not known."""
    found_by: str
    """One of ``prl_ray.credit.columns.FOUND_BY``."""
    states: tuple[int, ...]
    """One number per line, see ``state_number``; after the ``def`` of the entry point, that of the call's arguments."""
    runs: int = 0
    """Number of runs of the sandbox for it."""
    trace: tuple[str, ...] = ()
    """Text of the values after each line on one input, for display; empty for a line that is not reached. The input is
    the first on which the program leaves the states of the first reference, else the first."""
    reference: tuple[str, ...] = ()
    """The same for the first reference; empty if it was not traced."""


@dataclass
class LineJudge:
    """Finds line verdicts with a sandbox; caches the references' traces."""

    judge: Judge
    answers: Answers
    repair: bool = True
    """Whether repairs are tried. They are the most expensive: up to ``REPAIRS_PER_LINE`` completions per line."""
    _completions: CompletionJudge = field(init=False)
    _known: dict[str, tuple[frozenset[State], State | None]] = field(default_factory=dict)
    _traces: dict[str, tuple[State | None, ...]] = field(default_factory=dict)
    """Traces of the first reference of each problem in ``_known``."""
    _traced: int = 0
    """Programs traced so far."""

    def __post_init__(self) -> None:
        self._completions = CompletionJudge(self.judge, self.answers)

    @property
    def runs(self) -> int:
        """Runs of the sandbox so far."""
        return self._traced + self._completions.runs

    def verdict(self, problem: Problem, program: str, passed: bool) -> LineVerdict:
        """The line verdict on a program (``code_prefix`` included), given whether it passed its tests."""
        before, self._completions.timeouts = self.runs, 0
        states = self.states(problem, program)
        entry = first_of_body(problem, program)
        known = [*states[: entry - 1], self._start(problem), *states[entry:]] if entry else states
        numbers = tuple(state_number(state) for state in known)
        wrong, found_by = (len(states), "passed") if passed else self._located(problem, program, states)
        reference = self._traces.get(problem.task_id, ())
        at = telling_input(states, reference)
        return LineVerdict(wrong, found_by, numbers, self.runs - before, _shown(states, at), _shown(reference, at))

    def _located(self, problem: Problem, program: str, states: Sequence[State | None]) -> tuple[int, str]:
        given = first_of_body(problem, program)
        kept, found_by = self.by_state(problem, states, given), "state"
        longer = self.by_prefix(problem, program, kept)
        if longer > kept:
            kept, found_by = longer, "prefix"
        if self._goes_as_reference(problem, program):
            return kept, found_by if kept > given else "prefix"
        idle = kept > given and states[kept - 1] == (self._start(problem) or ())
        on_the_way = kept > given and not idle
        if on_the_way and not any(line.header for line in segment(program)[kept:]):
            return kept, found_by
        if not on_the_way and (failing := self.by_error(problem, program, states)) != UNKNOWN:
            return failing, "error"
        least = kept + 1 if on_the_way else kept
        repaired = self.by_repair(problem, program, least) if self.repair else UNKNOWN
        if repaired != UNKNOWN:
            return repaired, "repair"
        return (kept, found_by) if on_the_way else (UNKNOWN, "")

    def states(self, problem: Problem, program: str) -> list[State | None]:
        """The state after each line on the inputs of the tests; None for all lines if the tests have no arguments."""
        lines = segment(program)
        inputs = _inputs(problem)
        if not inputs:
            return [None] * len(lines)
        self._traced += 1
        try:
            answers = self.answers(tracing_program(program, problem.entry_point), ENTRY, inputs)
        except SandboxError:  # an infrastructure failure: the states stay unknown
            return [None] * len(lines)
        return line_states(program, lines, answers)

    def by_state(self, problem: Problem, states: Sequence[State | None], given: int) -> int:
        """Length in lines of the longest prefix whose state is one of a reference; ``given`` if there is none."""
        known, start = self._references(problem)
        for kept in range(len(states), given, -1):
            state = states[kept - 1]
            if state is not None and (state in known or state == start):
                return kept
        return given

    def _start(self, problem: Problem) -> State | None:
        """The state before the first line of the call: its arguments."""
        return self._references(problem)[1]

    def _references(self, problem: Problem) -> tuple[frozenset[State], State | None]:
        """The states of the references, and the one before the first line; traced once."""
        if problem.task_id not in self._known:
            if len(self._known) == MOST_KNOWN:
                oldest = next(iter(self._known))
                del self._known[oldest]
                self._traces.pop(oldest, None)
            self._known[problem.task_id] = self._reference_states(problem)
        return self._known[problem.task_id]

    def by_prefix(self, problem: Problem, program: str, above: int) -> int:
        """Length of the longest prefix, of more than ``above`` lines, that the rest of a reference completes; ``above``
        if there is none."""
        longer = ((kept, text) for kept, text in spliced(problem, program) if kept > above)
        return self._completions.longest(problem, completions(problem, program, longer, None, random.Random(0)), above)

    def by_error(self, problem: Problem, program: str, states: Sequence[State | None]) -> int:
        """Index of the line that fails whatever follows it; ``UNKNOWN`` without one, or if the problem gives it.

        A line that uses a name which the program never defines is such a line, although another program might define
        it later. So is a ``def`` that does not take the tests' arguments.
        """
        lines, given = segment(program), given_lines(problem, program)
        refused = syntax_error(program, lines)
        if refused is not None:
            return refused if refused >= given else UNKNOWN
        returns = wrong_return(program, lines, states, _expected(problem), problem.entry_point)
        allowed = _raising(self._traces.get(problem.task_id, ()))
        raises = ((line, at, text) for at, (line, text) in _raising(states).items() if at not in allowed)
        for line, at, text in sorted(raises):
            if line >= given and (returns is None or line <= returns):
                cut = self.states(problem, cut_behind(program, lines[line]))
                same = line < len(cut) and (state := cut[line]) is not None and state[at] == text
                return line if same else UNKNOWN
        return UNKNOWN if returns is None or returns < given else returns

    def by_repair(self, problem: Problem, program: str, least: int = 0) -> int:
        """Length of the longest prefix, of at least ``least`` lines, after which a small repair makes the program pass;
        ``UNKNOWN`` if there is none."""
        rng = random.Random(f"{problem.task_id}/{program}")
        found = completions(problem, program, repaired(problem, program), REPAIRS_PER_LINE, rng)
        return self._completions.longest(
            problem, {kept: texts for kept, texts in found.items() if kept >= least}, UNKNOWN
        )

    def _reference_states(self, problem: Problem) -> tuple[frozenset[State], State | None]:
        known: set[State] = set()
        for reference in problem.references:
            states = self.states(problem, reference)
            self._traces.setdefault(problem.task_id, tuple(states))
            known |= {state for state in states if state is not None and CUT not in state}
        # the parameters' values before the first line: those after a line that does nothing
        idle = f"{problem.code_prefix or _header(problem)}    pass\n    pass"
        before = self.states(problem, idle)
        return frozenset(known), before[-2] if len(before) > 1 else None

    def _goes_as_reference(self, problem: Problem, program: str) -> bool:
        names = _assigned(program[len(problem.code_prefix) :])
        return bool(names) and any(names <= _assigned(r) | _parameters(r) for r in problem.references)


def first_of_body(problem: Problem, program: str) -> int:
    """Number of lines up to the ``def`` of the entry point, or of those that the problem gives, if they are more. A
    program that reads stdin has no entry point."""
    if not problem.entry_point:
        return given_lines(problem, program)
    header = re.compile(rf"(?:async )?def {re.escape(problem.entry_point)}\b")
    named = (i + 1 for i, line in enumerate(segment(program)) if header.match(program, line.start))
    return max(given_lines(problem, program), next(named, 0))


def telling_input(states: Sequence[State | None], reference: Sequence[State | None]) -> int:
    """Index of the first input on which the program reaches a state that the reference does not; 0 if there is none.
    Other inputs, often an empty list, do not reveal a wrong line.
    """
    known = [state for state in reference if state]
    for at in range(min((len(state) for state in (*known, *filter(None, states))), default=0) if known else 0):
        there = {state[at] for state in known}
        if any(state and state[at] and state[at] not in there for state in states):
            return at
    return 0


def _inputs(problem: Problem) -> list[Arguments]:
    """The arguments of the tests' calls on which programs are traced."""
    return seen_arguments(problem.tests, problem.entry_point)[:MOST_INPUTS]


def _expected(problem: Problem) -> dict[int, object]:
    """The result that a test expects, by index of the input."""
    results = {repr(given): result for given, result in expected_results(problem.tests, problem.entry_point)}
    return {at: results[repr(given)] for at, given in enumerate(_inputs(problem)) if repr(given) in results}


def _raising(states: Sequence[State | None]) -> dict[int, tuple[int, str]]:
    """By index of the input: the line that ended the call by an exception, and the text of its state."""
    return {
        at: (line, text)
        for line, state in enumerate(states)
        for at, text in enumerate(state or ())
        if text.startswith(RAISED)
    }


def _shown(states: Sequence[State | None], at: int) -> tuple[str, ...]:
    """The states on one input, shortened."""
    return tuple(state[at][:TRACE_LENGTH] if state and at < len(state) else "" for state in states)


def _assigned(text: str) -> set[str]:
    return set(re.findall(r"^\s*(\w+) = ", text, re.MULTILINE))


def _parameters(text: str) -> set[str]:
    found = re.search(r"^def \w+\(([^)]*)\)", text, re.MULTILINE)
    return set(re.findall(r"\w+", found[1])) if found else set()


def _header(problem: Problem) -> str:
    """The reference's ``def`` line, if the problem gives none."""
    pattern = rf"^def {re.escape(problem.entry_point)}\(.*\):[ \t]*$"
    for reference in problem.references:
        if found := re.search(pattern, reference, re.MULTILINE):
            return found[0] + "\n"
    return f"def {problem.entry_point}(*arguments):\n"
