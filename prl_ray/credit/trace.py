"""A program that runs another one and reports the values of its variables after each line.

The text of :func:`tracing_program` goes through the sandbox like any program: ``Sandbox.call(text, "trace", inputs)``.
The result is read and compared outside. A candidate can disturb its own trace, but only so that its states differ from
a reference's, which it never sees.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prl_ray.lines import Line
from prl_ray.ppo.line_credit import UNKNOWN
from sandbox_workers import CallResult

ENTRY = "trace"
State = tuple[str, ...]
"""The values of all variables after a line, one item per input; ``""`` for an input that does not reach the line, and
``CUT`` where that is not known."""

RAISED = "!"
"""Begins the state of a line that ended the call by an exception; the exception's name follows."""
RETURNED = "="
"""Begins the state of a line that returned from the call; the value's text follows."""
CUT = "?"
"""State of a line on an input whose trace was cut, after 400 events or by a limit, before the line or in its loop."""
Variables = Mapping[str, str]
"""The text of each variable's value after a line, by name; empty where the call did not reach the line or ended there,
and where that is not known."""
_MOST_EVENTS, _MOST_TEXT = 400, 2000

_TRACER = """
import sys

class Enough(BaseException):
    pass

PHYSICAL = SOURCE.split("\\n")

def _text(value, depth=0):
    if depth > 4:
        return "..."
    if isinstance(value, (bool, int, float, complex, str, bytes, type(None))):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(sorted(_text(k, depth + 1) + ":" + _text(v, depth + 1) for k, v in value.items())) + "}"
    if isinstance(value, (set, frozenset)):
        return "<" + ",".join(sorted(_text(v, depth + 1) for v in value)) + ">"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_text(v, depth + 1) for v in value) + "]"
    return type(value).__name__

def trace(*arguments):
    notes, times, here, events, failed, inside = {}, {}, 0, 0, "", False

    def note(what):
        notes.pop(here, None)  # the last one counts, in the order of the last ones
        notes[here] = what[:MOST_TEXT]
        times[here] = times.get(here, 0) + 1

    def values(frame):
        room, found = MOST_TEXT, []
        for text, name in sorted((_text(v), n) for n, v in frame.f_locals.items()):
            found.append([name, text[:room]])
            room -= len(found[-1][1])
        return found

    def step(frame, event, argument):
        nonlocal here, events, failed
        events += 1
        if events > MOST_EVENTS:
            raise Enough  # the loop may be endless
        if event == "exception":
            failed = argument[0].__name__
        elif event == "line":
            if here:
                note(values(frame))
            here, failed = frame.f_lineno, ""
        elif event == "return" and here:
            ended = argument is None and "return" not in PHYSICAL[here - 1]  # fell off the end
            note(RAISED + failed if failed else values(frame) if ended else RETURNED + _text(argument))
        return step

    def enter(frame, event, argument):
        nonlocal inside
        code = frame.f_code
        if event == "call" and not inside and code.co_filename == "<traced>" and code.co_name == NAME:
            inside = True
            return step
        return None

    space = {"__name__": "traced"}
    try:
        exec(compile(SOURCE, "<traced>", "exec"), space)
    except Exception as error:  # of the program's own level: no call is reached
        at = error.__traceback__.tb_next
        return [[at.tb_lineno, RAISED + type(error).__name__]] if at else []
    function = space[NAME]
    sys.settrace(enter)
    try:
        function(*arguments)
    except (Exception, Enough) as error:  # the notes say so
        code = getattr(function, "__code__", None)
        if error.__traceback__.tb_next is None and code and code.co_filename == "<traced>":  # not these arguments
            return [[code.co_firstlineno, RAISED + type(error).__name__]]
    finally:
        sys.settrace(None)
    if events <= MOST_EVENTS:
        return [[line, what] for line, what in notes.items()]
    # the values after a line of a loop that was cut are not its last ones
    return [[0, CUT], *([line, what] for line, what in notes.items() if times[line] == 1)]
"""


def tracing_program(program: str, entry_point: str) -> str:
    """The program to call: ``trace(*arguments)`` gives ``[[physical line, [[name, value's text], …]], …]``.

    Only the outermost call of ``entry_point`` is traced, over at most 400 events. A line that ends the call has a text
    in place of the variables: the returned value, or the exception's name.
    """
    limits = {"MOST_EVENTS": _MOST_EVENTS, "MOST_TEXT": _MOST_TEXT}
    constants = {"SOURCE": program, "NAME": entry_point, "RAISED": RAISED, "RETURNED": RETURNED, "CUT": CUT}
    return "".join(f"{name} = {value!r}\n" for name, value in (constants | limits).items()) + _TRACER


def returned(text: str) -> object:
    """The value of a line's state on one input, with lists for tuples.

    Raises ``ValueError`` if the line does not return there, or if its text does not contain the whole value.
    """
    if not text.startswith(RETURNED) or "..." in text or len(text) >= _MOST_TEXT:
        raise ValueError(text[:100])
    try:
        return ast.literal_eval(text[len(RETURNED) :])
    except (SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ValueError(text[:100]) from error


@dataclass(frozen=True, slots=True)
class Trace:
    """What is known after each line of a program, by line and then by input."""

    states: tuple[State | None, ...]
    """None for a line that no input is known to reach. States hold values, not names, so that programs that differ only
    in names have equal states."""
    variables: tuple[tuple[Variables, ...], ...]

    def with_line(self, line: int, state: State | None, variables: tuple[Variables, ...]) -> Trace:
        """The trace with other values after one line."""
        states = (*self.states[:line], state, *self.states[line + 1 :])
        return Trace(states, (*self.variables[:line], variables, *self.variables[line + 1 :]))


def line_trace(program: str, lines: Sequence[Line], answers: Sequence[CallResult]) -> Trace:
    """The trace of ``program``, from the results of ``trace`` for each input.

    A result that is not a trace counts as one that was cut before the first line.
    """
    noted = [_notes(answer) for answer in answers]
    states: list[State | None] = []
    variables: list[tuple[Variables, ...]] = []
    for line in lines:
        first, last = physical_lines(program, line)
        found = [next((note for note in reversed(notes) if first <= note[0] <= last), None) for notes in noted]
        unreached = (CUT if any(number == 0 for number, _ in notes) else "" for notes in noted)
        texts = tuple(_state(note[1]) if note else otherwise for note, otherwise in zip(found, unreached, strict=True))
        states.append(texts if {*texts} - {"", CUT} else None)
        variables.append(tuple(note[1] if note and isinstance(note[1], dict) else {} for note in found))
    return Trace(tuple(states), tuple(variables))


def physical_lines(program: str, line: Line) -> tuple[int, int]:
    """Numbers, from 1, of the first and the last physical line that a line of ``program`` is on."""
    first = program.count("\n", 0, line.start) + 1
    return first, first + program.count("\n", line.start, line.end)


def state_number(state: State | None) -> int:
    """int64 for ``LineCredit.states``; equal states have equal numbers, and ``UNKNOWN`` stands for None and for a state
    that an input's cut trace leaves open."""
    if state is None or CUT in state:
        return UNKNOWN
    digest = hashlib.blake2b("\x00".join(state).encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1  # positive: never UNKNOWN


def _state(noted: str | Variables) -> str:
    return noted if isinstance(noted, str) else "|".join(sorted(noted.values()))[:_MOST_TEXT]


def _notes(answer: CallResult) -> list[tuple[int, str | Variables]]:
    """The valid entries of one call's result: the traced program controlled the process, so nothing about it is
    trusted."""
    if not answer.ok or not isinstance(answer.value, list):
        return [(0, CUT)]
    found: list[tuple[int, str | Variables]] = []
    for item in answer.value:
        match item:
            case [int(line), str(text)]:
                found.append((line, text))
            case [int(line), list(pairs)] if all(_is_pair(pair) for pair in pairs):
                found.append((line, dict(pairs)))
    return found


def _is_pair(pair: object) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair)
