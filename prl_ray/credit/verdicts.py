"""The first line of a failing program after which no completion passes, found by execution.

- ``state``  on all inputs of the tests that come to a line, the values after it are those with which a reference goes
  on, and the first lines followed by that rest of the reference pass the tests
- ``prefix``  the first lines, followed by the rest of a reference from another place, pass the tests
- ``error``  a line fails whatever follows it: no Python goes on from it; or on an input of the tests it raises also
  where it is the last one, or returns a wrong result before anything has been computed; asked only if the others keep
  no line
- ``repair``  a small repair of the next line passes; tried only where the program does not go as a reference does

``state``, ``prefix`` and ``repair`` find the longest prefix with a witness, which is always a program that passes, and
the line behind it counts as wrong. References take the program's names for their variables (``credit.anchors``). A
program goes as a reference does if it has only such blocks and variables as that one has, in its order: then the
longest completion by a reference counts. Any other program may be right where it leaves the reference, so a repair that
keeps more lines counts more; without one the line is believed to be wrong if nothing behind it is built otherwise than
in the reference, and else not known. Lines that keep the values of the call's arguments are no evidence: every
reference completes them, as it does the lines up to the ``def`` of the entry point.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain

from prl_ray.credit.certain import cut_behind, syntax_error, wrong_return
from prl_ray.credit.completion_judge import CompletionJudge, Judge
from prl_ray.credit.expected import expected_results
from prl_ray.credit.references import References, first_judged, first_of_body, trace_references
from prl_ray.credit.screen import Answers
from prl_ray.credit.trace import ENTRY, RAISED, State, Trace, line_trace, state_number, tracing_program
from prl_ray.lines import segment
from prl_ray.ppo.line_credit import UNKNOWN
from prl_ray.problems import Problem
from prl_ray.supervision.completions import (
    Anchor,
    Kept,
    at_anchors,
    completions,
    given_lines,
    repaired,
    spliced,
)
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
    _known: dict[str, References] = field(default_factory=dict)
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
        before, self._completions.endless_s = self.runs, 0.0
        trace = self.trace(problem, program)
        states, references = trace.states, self.references(problem)
        entry = first_of_body(problem, program)
        known = [*states[: entry - 1], references.start, *states[entry:]] if entry else states
        numbers = tuple(state_number(state) for state in known)
        wrong, found_by = (len(states), "passed") if passed else self._located(problem, program, trace)
        at = telling_input(states, references.shown)
        shown = _shown(states, at), _shown(references.shown, at)
        return LineVerdict(wrong, found_by, numbers, self.runs - before, *shown)

    def _located(self, problem: Problem, program: str, trace: Trace) -> tuple[int, str]:
        lines, given = segment(program), first_judged(problem, program)
        references = self.references(problem)
        places = references.anchors(program, trace)
        continued = spliced(problem, program, references.offsets(program, places))
        kept = self._kept(problem, program, chain(at_anchors(problem, program, places), continued), given)
        wrong = next((index for index in range(kept, len(lines)) if not lines[index].neutral), len(lines))
        found_by = "state" if kept > given and any(place.kept == kept for place in places) else "prefix"
        blocks, variables = references.like(program)
        a_block = wrong == given and wrong < len(lines) and lines[wrong].header  # the error may be anywhere in it
        if wrong == len(lines) or (variables and not a_block and not self._completions.exhausted):
            return wrong, found_by
        computed = kept > first_of_body(problem, program) and trace.states[kept - 1] != (references.start or ())
        if not computed and (failing := self.by_error(problem, program, trace.states)) != UNKNOWN:
            return failing, "error"
        repaired = self.by_repair(problem, program, kept + computed) if self.repair else UNKNOWN
        if repaired != UNKNOWN:
            return repaired, "repair"
        comparable = blocks or not any(line.header for line in lines[wrong:])
        return (wrong, found_by) if computed and comparable and not self._completions.exhausted else (UNKNOWN, "")

    def trace(self, problem: Problem, program: str) -> Trace:
        """The trace of a program on the inputs of the tests; its states are None if the tests have no arguments."""
        lines = segment(program)
        inputs = _inputs(problem)
        unknown = Trace((None,) * len(lines), ((),) * len(lines))
        if not inputs:
            return unknown
        self._traced += 1
        try:
            answers = self.answers(tracing_program(program, problem.entry_point), ENTRY, inputs)
        except SandboxError:  # an infrastructure failure: the states stay unknown
            return unknown
        return line_trace(program, lines, answers)

    def by_state(self, problem: Problem, program: str, places: Sequence[Anchor], above: int) -> int:
        """Length of the longest prefix, of more than ``above`` lines, from whose values a reference goes on and passes;
        ``above`` if there is none."""
        return self._kept(problem, program, at_anchors(problem, program, places), above)

    def by_prefix(self, problem: Problem, program: str, places: Sequence[Anchor], above: int) -> int:
        """Length of the longest prefix, of more than ``above`` lines, that the rest of a reference completes; ``above``
        if there is none."""
        offsets = self.references(problem).offsets(program, places)
        return self._kept(problem, program, spliced(problem, program, offsets), above)

    def _kept(self, problem: Problem, program: str, found: Iterable[Kept], above: int) -> int:
        longer = ((kept, text) for kept, text in found if kept > above)
        return self._completions.longest(problem, completions(problem, program, longer, None, random.Random(0)), above)

    def references(self, problem: Problem) -> References:
        """What is known of the problem's references, which are traced once."""
        if problem.task_id not in self._known:
            if len(self._known) == MOST_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[problem.task_id] = trace_references(problem, partial(self.trace, problem))
        return self._known[problem.task_id]

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
        allowed = _raising(self.references(problem).shown)
        raises = ((line, at, text) for at, (line, text) in _raising(states).items() if at not in allowed)
        for line, at, text in sorted(raises):
            if line >= given and (returns is None or line <= returns):
                cut = self.trace(problem, cut_behind(program, lines[line])).states
                same = line < len(cut) and (state := cut[line]) is not None and state[at] == text
                return line if same else UNKNOWN
        return UNKNOWN if returns is None or returns < given else returns

    def by_repair(self, problem: Problem, program: str, least: int = 0) -> int:
        """Length of the longest prefix, of at least ``least`` lines, after which a small repair makes the program pass;
        ``UNKNOWN`` if there is none."""
        rng = random.Random(f"{problem.task_id}/{program}")
        found = ((kept, text) for kept, text in repaired(problem, program) if kept >= least)
        options = completions(problem, program, found, REPAIRS_PER_LINE, rng)
        return self._completions.longest(problem, options, UNKNOWN)


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
