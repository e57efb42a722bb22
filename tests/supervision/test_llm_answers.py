"""An answer is read as the line it means, or dropped with the reason."""

from __future__ import annotations

import pytest

from prl_ray.supervision.differences import line_texts
from prl_ray.supervision.llm.answers import Reading, comment_of, read_answer
from prl_ray.supervision.llm.questions import question
from prl_ray.supervision.operators.registry import Kind

PROGRAM = """def f(xs, limit):
    total = 0
    for x in xs:
        if x > limit:
            total += x
        elif x == limit:
            total = (total + 1)
    return total
"""
LINES = [text for text, _ in line_texts(PROGRAM)]


def read(text: str, line: int, kind: Kind = "mutation") -> Reading:
    return read_answer(text, LINES, line, kind)


@pytest.mark.parametrize(
    "text",
    [
        "return total + 1",
        "    return total + 1",
        "\treturn total + 1   \n\n",
        "8 |     return total + 1",
        ">>> 8 |     return total + 1",
        "Line 8: return total + 1",
        "8: return total + 1",
        "Answer: return total + 1",
        "The mutated line: return total + 1",
        "return total + 1  # off by one",
        "```python\n    return total + 1\n```",
        "```\n8 |     return total + 1\n```",
        "```return total + 1```",
        "```python\nreturn total + 1",
        "Sure! Here's the line with a bug:\n\n```python\nreturn total + 1\n```\nIt isn't right any more.",
        "Here is the changed line:\nreturn total + 1\nThis returns one too many.",
        "Sure\nreturn total + 1\nDone",
        "You can write `return total + 1` instead of `return total`.",
        "`return total + 1`",
        "return total\nreturn total + 1",
        "Original:\n```\nreturn total\n```\nChanged:\n```\nreturn total + 1\n```",
        "            total = (total + 1)\n    return total + 1",
        "elif x == limit:\n    total = total+1\nreturn total + 1",
        PROGRAM.replace("return total", "return total + 1"),
        "```\n" + "\n".join(f"{i + 1} | {line}" for i, line in enumerate(LINES)) + " + 1\n```",
        "# a comment\nreturn total + 1\n# and another",
        "return (\n    total\n    + 1\n)",
    ],
)
def test_what_is_around_the_line_is_taken_off(text: str) -> None:
    reading = read(text, 7)
    assert not reading.dropped
    assert "".join(reading.code.split()).replace("(", "").replace(")", "") == "returntotal+1"
    assert not reading.code.startswith((" ", "\t"))


@pytest.mark.parametrize(
    ("text", "line", "code"),
    [
        ("if x >= limit:", 3, "if x >= limit:"),
        ("        if x >= limit:\n            total += x", 3, "if x >= limit:"),
        ("elif x != limit:", 5, "elif x != limit:"),
        ("for x in xs[1:]:", 2, "for x in xs[1:]:"),
        ("total = 1", 1, "total = 1"),
        ("1\ntotal = 1", 1, "total = 1"),
    ],
)
def test_headers_and_statements(text: str, line: int, code: str) -> None:
    assert read(text, line) == Reading(code)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "unparsed"),
        ("I cannot do that.", "unparsed"),
        ("Sure", "unparsed"),
        ("Note: done", "unparsed"),
        ("return total +", "unparsed"),
        ("pass", "unparsed"),
        ("'return total + 1'", "unparsed"),
        ("try `return total + 1` or `return total - 1`", "unparsed"),
        ("7 |     return total + 1", "elsewhere"),
        ("1 | def f(xs):\n8 |     return total + 1", "elsewhere"),
        (PROGRAM.replace("total = 0", "total = 1").replace("return total", "return total + 1"), "elsewhere"),
        (PROGRAM.replace("total = 0", "total = 1"), "elsewhere"),
        ("total += 1\nreturn total * 1", "several_lines"),
    ],
)
def test_what_means_no_line_is_dropped_with_the_reason(text: str, why: str) -> None:
    assert read(text, 7) == Reading(dropped=why)


def test_a_program_that_is_repeated_unchanged_gives_its_own_line() -> None:
    assert read(PROGRAM, 7) == Reading("return total")


@pytest.mark.parametrize(
    "text",
    [
        "if x > limit:\n    total = total + x\n    total += 0",
        "        if x > limit:\n            total = total + x\n            total += 0",
        "if x > limit:\n            total = total + x\n            total += 0",
    ],
)
def test_a_refactoring_may_be_several_lines(text: str) -> None:
    reading = read(text.replace("if x > limit", "if limit < x"), 3, "refactoring")
    assert reading == Reading("if limit < x:\n    total = total + x\n    total += 0")
    flat = read("    more = total\n    return more", 7, "refactoring")
    assert flat == Reading("more = total\nreturn more")
    assert read("more = total\n    return more", 7, "refactoring") == flat


def test_comments_of_a_line() -> None:
    assert comment_of("x = 1  # one") == "  # one"
    assert comment_of("    x = '#'  # a # b") == "  # a # b"
    assert comment_of("x = '# no'") == ""


def test_the_question_shows_the_program_and_marks_one_line() -> None:
    text = question("Sum what is above the limit.\n", LINES, 3, "mutation")
    assert "Sum what is above the limit." in text
    assert ">>> 4 |         if x > limit:\n" in text and "    3 |     for x in xs:\n" in text
    assert text.count(">>>") == 1
    assert text.endswith("4 |         if x > limit:\n") and "bug into line 4" in text
    assert "exactly the same" in question("p", LINES, 3, "refactoring")
