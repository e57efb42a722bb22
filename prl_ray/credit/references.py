"""What is known of a problem's references: their texts, their traces, and where a program could go on as one does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from prl_ray.credit.anchors import anchors, with_new_names
from prl_ray.credit.trace import State, Trace
from prl_ray.lines import segment
from prl_ray.problems import Problem
from prl_ray.supervision.completions import Anchor, given_lines, printed
from prl_ray.supervision.differences import Texts, joined, line_texts
from prl_ray.supervision.names import assigns, bound_names

MOST_OFFSETS = 4
"""Of one program: each is tried at every line behind it."""
_HARMLESS = re.compile(r"import\b|from\b|@")
_BLOCK = re.compile(r"(?:async|for|while|if|elif|else|try|except|with|def|class|match)\b")


@dataclass(frozen=True, slots=True)
class References:
    """The references of one problem."""

    problem: Problem
    texts: tuple[Texts, ...]
    """The lines of each, as completions have them."""
    traces: tuple[Trace, ...]
    """The trace of each of these texts."""
    start: State | None
    """The state before the first line of the call: its arguments."""
    shown: tuple[State | None, ...]
    """The states of the first reference as the problem has it, for display."""

    def anchors(self, program: str, trace: Trace) -> list[Anchor]:
        """The places at which a program with this trace has the values with which a reference goes on, longest first.

        Before the first line of a reference's body these are the arguments. Programs that keep them come back there
        only if they have computed nothing else: whatever they compute and do not use would count as right.
        """
        found = [
            anchor
            for number, (text, there) in enumerate(zip(self.texts, self.traces, strict=True))
            for anchor in anchors(program, trace, text, there, number)
            if anchor.skipped > first_of_body(self.problem, joined(text)) or trace.states[anchor.kept - 1] == self.start
        ]
        return sorted(found, key=lambda anchor: -anchor.kept)

    def offsets(self, program: str, places: Iterable[Anchor]) -> list[Anchor]:
        """At most ``MOST_OFFSETS`` places from which a program could follow a reference line by line, with different
        distances between their lines or different names: first lines of the body, then anchors."""
        chosen: dict[object, Anchor] = {}
        for place in [*self._bodies(program), *places]:
            chosen.setdefault((place.reference, place.names, place.skipped - place.kept), place)
        return list(chosen.values())[:MOST_OFFSETS]

    def like(self, program: str) -> tuple[bool, bool]:
        """Whether a program has only blocks that a reference has, and whether it also has only its variables, in its
        order."""
        blocks, names = _blocks(line_texts(program)), bound_names(program)
        alike = [text for text in self.texts if blocks <= _blocks(text)]
        orders = [iter(bound_names(joined(text))) for text in alike]
        variables = assigns(program) and any(all(name in order for name in names) for order in orders)
        return bool(alike), variables

    def _bodies(self, program: str) -> list[Anchor]:
        """The first lines of the bodies, if variables have other names there: with names in the order of the texts."""
        found = []
        for number, text in enumerate(map(joined, self.texts)):
            names = with_new_names({}, bound_names(text), bound_names(program))
            if names:
                kept, skipped = (first_of_body(self.problem, written) for written in (program, text))
                found.append(Anchor(kept, skipped, number, names))
        return found


def trace_references(problem: Problem, trace: Callable[[str], Trace]) -> References:
    """The references of a problem, traced."""
    # the parameters' values before the first line: those after a line that does nothing
    before = trace(f"{problem.code_prefix or _header(problem)}    pass\n    pass")
    start = before.states[-2] if len(before.states) > 1 else None
    texts = tuple(printed(reference) for reference in problem.references)
    traces = []
    for text in map(joined, texts):
        found, body = trace(text), first_of_body(problem, text)
        traces.append(found.with_line(body - 1, start, before.variables[-2]) if body and start else found)
    shown: tuple[State | None, ...] = ()
    if traces:
        same = len(segment(problem.references[0])) == len(texts[0])
        shown = (traces[0] if same else trace(problem.references[0])).states
    return References(problem, texts, tuple(traces), start, shown)


def first_of_body(problem: Problem, program: str) -> int:
    """Number of lines up to the ``def`` of the entry point, or of those that the problem gives, if they are more. A
    program that reads stdin has no entry point."""
    if not problem.entry_point:
        return given_lines(problem, program)
    header = re.compile(rf"(?:async )?def {re.escape(problem.entry_point)}\b")
    named = (i + 1 for i, line in enumerate(segment(program)) if header.match(program, line.start))
    return max(given_lines(problem, program), next(named, 0))


def first_judged(problem: Problem, program: str) -> int:
    """Index of the first line that may be wrong: that behind the ``def`` of the entry point, or of a function before
    it, since before them are imports, which every reference completes."""
    lines, body = segment(program), first_of_body(problem, program)
    for index in range(given_lines(problem, program), body - 1):
        text = program[lines[index].start : lines[index].end]
        if not lines[index].neutral and not _HARMLESS.match(text):
            return index + text.startswith(("def ", "async def "))
    return body


def _header(problem: Problem) -> str:
    """The reference's ``def`` line, if the problem gives none."""
    pattern = rf"^def {re.escape(problem.entry_point)}\(.*\):[ \t]*$"
    for reference in problem.references:
        if found := re.search(pattern, reference, re.MULTILINE):
            return found[0] + "\n"
    return f"def {problem.entry_point}(*arguments):\n"


def _blocks(lines: Texts) -> Counter[str]:
    """How often each kind of compound statement occurs."""
    return Counter(found[0] for text, _ in lines if (found := _BLOCK.match(text.lstrip())))
