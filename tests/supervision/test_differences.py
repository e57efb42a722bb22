"""Where programs part, and who is to blame, by hand."""

from prl_ray.lines import segment
from prl_ray.supervision.canonical import canonical
from prl_ray.supervision.differences import Difference, compare, line_texts, second_thought


def difference(before: str, after: str) -> Difference:
    found = compare(line_texts(before), after)
    assert found is not None
    return found


def parted(before: str, after: str) -> tuple[int, bool, bool]:
    found = difference(before, after)
    assert found.blamed == found.line
    return found.line, found.single, found.omission


def test_where_programs_part() -> None:
    assert compare(line_texts("a\nb"), "a\nb") is None
    assert parted("a\nb\nc", "a\nx\nc") == (1, True, False)
    assert parted("a\nb\nc", "a\nx\ny") == (1, False, False)
    assert parted("a\nb\nc", "a\nc") == (1, False, True)
    assert parted("a\nb\nc", "a\nb") == (2, False, True)
    assert parted("a\nb", "a\nb\nc") == (2, False, False)
    # a neutral line says nothing: the line behind it is the first that counts
    assert parted("for x in y:\n    a\nb", "for x in y:\n    pass\nb") == (2, True, False)
    # indentation is part of a line
    assert parted("if a:\n    b\n    c", "if a:\n    b\nc") == (2, True, False)


def test_a_line_that_slipped_into_a_block_is_blamed_where_it_is() -> None:
    found = difference("b = 0\nwhile a:\n    b += 1\nc", "while a:\n    b = 0\n    b += 1\nc")
    assert (found.line, found.blamed) == (0, 1)
    found = difference("a\nb\nc", "b\na\nc")  # a swap is not a slip
    assert (found.line, found.blamed) == (0, 0)


def thought(before: str, after: str) -> tuple[str, int] | None:
    found = second_thought(before, after, difference(before, after))
    return (found.program, found.blamed) if found else None


def test_what_is_left_out_may_come_one_line_later_in_the_same_block() -> None:
    assert thought("a\nb\nc", "b\nc") == ("b\na\nc", -1)
    assert thought("if a:\n    b\nc\nd", "c\nd") == ("c\nif a:\n    b\nd", -1)
    assert thought("a\nb", "b") is None  # behind the last line nothing would be executed
    assert thought("a\nfor x in y:\n    b\nc", "for x in y:\n    b\nc") is None


def test_a_turned_condition_may_get_its_branches_turned() -> None:
    before = "def f(a):\n    if a:\n        b = 1\n    else:\n        b = 2\n    return b"
    after = before.replace("if a", "if not a")
    turned = "def f(a):\n    if not a:\n        b = 2\n    else:\n        b = 1\n    return b"
    assert thought(before, after) == (turned, 2)
    before = "def f(a):\n    if a:\n        return 1\n    return 2"
    after = before.replace("if a", "if not a")
    turned = "def f(a):\n    if not a:\n        return 2\n    else:\n        return 1"
    assert thought(before, after) == (turned, 2)
    before = "def f(a):\n    if a:\n        a = 1\n    return a"
    assert thought(before, before.replace("if a", "if not a")) is None


def test_another_variable_may_be_used_from_there_on() -> None:
    before = "def f(a, b):\n    a = a + b\n    c = a\n    return c"
    after = "def f(a, b):\n    b = a + b\n    c = a\n    return c"
    assert thought(before, after) == ("def f(a, b):\n    b = a + b\n    c = b\n    return c", -1)
    assert thought(before, after.replace("a + b", "a - b")) is None


def test_lines_carry_their_indentation() -> None:
    program = "def f():\n    # note\n    return 1\n"
    assert line_texts(program) == [("def f():", False), ("    # note", True), ("    return 1", False)]
    assert len(segment(program)) == 3 and canonical(program) == program
