"""The states of a program's lines, in the real sandbox."""

import pytest

from prl_ray.credit.trace import CUT, ENTRY, State, line_trace, returned, state_number, tracing_program
from prl_ray.lines import segment
from prl_ray.ppo.line_credit import UNKNOWN
from sandbox_workers import Sandbox


def test_states_are_values_not_names(sandbox: Sandbox) -> None:
    def states(program: str) -> list[object]:
        answers = sandbox.call(tracing_program(program, "f"), ENTRY, [(3,), (-1,)])
        return list(line_trace(program, segment(program), answers).states)

    program = "def f(a):\n    b = a + 1\n    if b > 0:\n        b = {b: 'x'}\n    return b\n"
    assert states(program) == [None, ("3|4", "-1|0"), ("3|4", "-1|0"), ("3|{4:'x'}", ""), ("={4:'x'}", "=0")]
    renamed = program.replace("b", "zz")
    assert states(renamed) == states(program)
    assert states("def f(a):\n    return 1 // 0\n") == [None, ("!ZeroDivisionError", "!ZeroDivisionError")]
    # a loop that never ends, or only after many lines: on that input the values after its lines are not known
    endless = "def f(a):\n    b = a * 2\n    while {}:\n        b = b + 1 if a > 0 else 0\n    return b\n"
    cut = [None, ("3|6", "-1|-2"), (CUT, "-1|0"), (CUT, "-1|0"), (CUT, "=0")]
    for condition in ("a > 0 or b", "(a > 0 and b < 9999) or b < 0"):
        assert states(endless.format(condition)) == cut
    # the trace is cut before the first line where the program blocks: what follows is not known either
    blocked = "import time\ndef f(a):\n    if a > 0:\n        time.sleep(9)\n    return a\n"
    assert states(blocked) == [None] * 5


def test_equal_states_have_equal_numbers_that_are_never_unknown() -> None:
    states: list[State | None] = [("a", "b"), ("ab", ""), ("", "ab"), ("a",), None]
    numbers = [state_number(s) for s in states]
    assert len(set(numbers)) == len(states) and numbers[-1] == UNKNOWN and min(numbers[:-1]) >= 0
    assert state_number(("a", "b")) == numbers[0]
    assert state_number(("a", CUT)) == UNKNOWN


def test_a_call_that_the_function_does_not_take_fails_at_its_def(sandbox: Sandbox) -> None:
    for program, state in (
        ("def f(a, b):\n    return a\n", ("!TypeError",)),
        ("def f():\n    return 1\n", ("!TypeError",)),
        ("from json import dumps as f\n", None),  # its own TypeError, of a function that is not the program's
        ("f = lambda: 1\n", ("!TypeError",)),
    ):
        answers = sandbox.call(tracing_program(program, "f"), ENTRY, [(3,)])
        assert line_trace(program, segment(program), answers).states[0] == state


def test_returned_values_are_read_from_their_states(sandbox: Sandbox) -> None:
    def value(expression: str) -> object:
        program = f"def f(a):\n    return {expression}\n"
        answers = sandbox.call(tracing_program(program, "f"), ENTRY, [(3,)])
        state = line_trace(program, segment(program), answers).states[1]
        assert state is not None
        return returned(state[0])

    for expression in ("3", "-1.5", "None", "True", "'a|b'", "b'x'", "2j", "[1, [2]]", "{'a': [1], 2: {}}", "''"):
        assert value(expression) == eval(expression)
    assert value("(1, ('x',))") == [1, ["x"]]
    for expression in (
        "object()",
        "float('nan')",
        "{1, 2}",
        "'...'",
        "[[[[[[1]]]]]]",
        "{(1,): 2}",
        "'x' * 3000",
        "10 ** 1998",
    ):
        with pytest.raises(ValueError):
            value(expression)
    with pytest.raises(ValueError):
        returned("3|4")
