"""When an output is the expected one: the rules of ``compare``, and those of the data sets that the docs name."""

from __future__ import annotations

from decimal import Decimal, DecimalException

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_workers import Case, Sandbox, SuiteError, TestSuite
from sandbox_workers.stdio import comparison


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("", ""),
        ("1 2\n3", "1 2 \n3\n\n"),
        ("1 2\r\n3\r\n", "1 2\n3\n"),
        ("  *\n **\n", "  *\n **"),
        ("2", " 2 "),
        ("0.3333333", "0.33333333333"),
        ("0.30000000000000004", "0.3"),
        ("2.5", "2.500000"),
        ("0.5000000000", "0.5"),
        ("2.500", "2.50"),
        ("3", "3.0"),
        ("3.0000", "3.0"),
        ("-0.0", "0.0"),
        ("1e-05", "0.00001"),
        ("0.00001", "1e-05"),
        ("1.0E10", "1e+10"),
        ("case 1: 2.0000001", "case 1: 2.000000"),
        ("nan", "nan"),
        ("1234567890123.4561", "1234567890123.456"),
    ],
)
def test_lines_accept_what_shows_the_same(printed: str, expected: str) -> None:
    assert comparison("lines")(printed, expected)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("1\n2", "1 2"),  # split
        ("1 2", "1\n2"),  # joined
        ("1\n\n2", "1\n2"),
        ("\n1", "1"),
        ("*\n**\n", " *\n**\n"),
        ("5\n10\n", "  5\n 10\n"),
        ("*\n***\n", " *\n ***\n"),  # the margin of a pattern
        ("1  2", "1 2"),
        ("1\x1c2", "1 2"),
        ("YES", "yes"),
        ("1 2", "1"),
        ("1.0", "1"),
        ("1_000.0", "1000.0"),
        ("1000.0", "1_000.0"),
        ("100000", "1e5"),  # five hexadecimal digits
        ("12000", "12e3"),
        ("0x1p3", "8.0"),
        ("\u0661.5", "1.5"),  # an Arabic digit
        ("inf", "1e+400"),
        ("1e400", "1e+401"),
        ("1e9999999999999999999999", "1e+9999999999999999999998"),
        ("nan", "1.5"),
        ("1.1", "1.10"),  # versions
        ("3.1", "3.10"),
        ("9.3", "9.30"),  # times
        ("09.300", "09.30"),
        ("5.5", "5.50"),  # money
        ("1000000.99", "1000000.50"),
        ("123456700.00", "123456789.12"),  # large numbers by relative error
        ("1000000006.0", "1000000007.0"),
        ("1000000006.000", "1000000007.000"),
        ("1.2.3", "1.2.4"),
        ("0.33", "0.333333"),
        ("0." + "0" * 500, "0.0"),
    ],
)
def test_lines_refuse_what_shows_something_else(printed: str, expected: str) -> None:
    assert not comparison("lines")(printed, expected)


@pytest.mark.parametrize(
    ("rule", "printed", "expected", "same"),
    [
        ("exact", "1\n", "1\n", True),
        ("exact", "1", "1\n", False),
        ("exact", "1 \n", "1\n", False),
        ("tokens", "1\n2", " 1  2\n", True),
        ("tokens", "1.0", "1.00", False),
        ("tokens ignoring case", "yes\nNO", "YES no", True),
        ("lines ignoring case", "Yes\n", "YES", True),
        ("lines ignoring case", "Yes No\n", "YES\nNo", False),
        ("tokens(1e-4, 0)", "1\n2.00005", "1 2", True),
        ("tokens(1e-4, 0)", "1\n2.0002", "1 2", False),
        ("floats(1e-6, 1e-6)", " 1   2.0000001 \n\n", "1 2", True),
        ("floats(1e-6, 1e-6)", "1\n2.0000001", "1 2", False),
        ("floats(0, 1e-6)", "1000000.5", "1000000.0", True),
        ("floats(0, 1e-6)", "1000002.0", "1000000.0", False),
        ("floats(1e-6, 1e-6)", "1000000006", "1000000007", False),  # whole numbers exactly
        ("floats(0, 0)", "2.5", "2.50", True),
        ("floats(0, 0)", "0.30000000000000004", "0.3", False),
        ("floats(0, 0)", "1_0", "10", False),
        ("floats(1, 0)", "nan", "0.5", False),
        ("floats(1, 0)", "inf", "0.5", False),
    ],
)
def test_other_rules(rule: str, printed: str, expected: str, same: bool) -> None:
    assert comparison(rule)(printed, expected) is same


@pytest.mark.parametrize(
    "rule",
    [
        *("", "words", "floats", "floats()", "floats(1)", "floats(-1, 0)", "floats(a, 0)", "floats(inf, 0)"),
        *("floats(nan, 0)", "exact(1, 1)", "lines(1, 1)", "exact ignoring case", "floats(1, 0) ignoring", "checker"),
    ],
)
def test_rules_that_do_not_exist_are_refused(rule: str) -> None:
    with pytest.raises(SuiteError, match="compare"):
        TestSuite("stdio", cases=(Case("", "1"),), compare=rule)


def test_a_rule_belongs_to_outputs_and_values() -> None:
    with pytest.raises(SuiteError, match="by its own tests"):
        TestSuite(tests=("assert f(1) == 2",), compare="tokens")
    with pytest.raises(SuiteError, match="exactly or by floats"):
        TestSuite("call", entry_point="f", cases=(Case((1,), 2),), compare="tokens")


_texts = st.text(alphabet="01.e-+ \n\tab_", max_size=20)
_rules = st.sampled_from(["exact", "lines", "tokens", "floats(1e-6, 1e-6)", "tokens(0, 0) ignoring case"])


@given(_rules, _texts)
def test_every_rule_accepts_the_expected_text_itself(rule: str, text: str) -> None:
    assert comparison(rule)(text, text)


@given(_texts, _texts)
def test_rules_by_strictness(printed: str, expected: str) -> None:
    if comparison("exact")(printed, expected):
        assert comparison("lines")(printed, expected)
    if comparison("lines")(printed, expected):
        assert comparison("floats(1e-6, 1e-12)")(printed, expected)
    if comparison("floats(1e-6, 0)")(printed, expected):
        assert comparison("tokens(1e-6, 0)")(printed, expected)


def _livecodebench(printed: str, expected: str) -> bool:
    """As its runner describes: stripped lines, as many of them, each the same or of equal decimal numbers."""
    lines, wanted = ([line.strip() for line in text.strip().split("\n")] for text in (printed, expected))
    return len(lines) == len(wanted) and all(
        line == want or (_decimals(line) is not None and _decimals(line) == _decimals(want))
        for line, want in zip(lines, wanted, strict=True)
    )


def _decimals(line: str) -> list[Decimal] | None:
    try:
        return [Decimal(word) for word in line.split()]
    except DecimalException:
        return None


def _code_contests(printed: str, expected: str) -> bool:
    """As its tester describes: lower-case words, the same or numbers that differ by less than 0.00001."""
    words, wanted = printed.lower().split(), expected.lower().split()
    return len(words) == len(wanted) and all(map(_about, words, wanted))


def _about(word: str, wanted: str) -> bool:
    try:
        return word == wanted or abs(float(word) - float(wanted)) < 1e-5
    except ValueError:
        return False


_NUMBERS = ["1", "2", "1.0", "1.00", "0.5", "0.50", "0.500001", "0.6", "1000000", "1000001", "\n", " "]
_numbers = st.lists(st.sampled_from(_NUMBERS), max_size=6).map(" ".join)
_outputs = st.lists(st.sampled_from([*_NUMBERS, "yes", "Yes"]), max_size=6).map(" ".join)


@given(_numbers, _numbers)
def test_numbers_are_compared_as_livecodebench_compares_them(printed: str, expected: str) -> None:
    has_empty_line = any("\n\n" in text.replace(" ", "") for text in (printed, expected))
    if not has_empty_line:  # which count there
        assert comparison("floats(0, 0)")(printed, expected) is _livecodebench(printed, expected)


@given(_outputs, _outputs)
def test_what_livecodebench_accepts_is_accepted(printed: str, expected: str) -> None:
    if _livecodebench(printed, expected):
        assert comparison("floats(0, 0)")(printed, expected)


@given(_outputs, _outputs)
def test_no_more_is_accepted_than_by_code_contests(printed: str, expected: str) -> None:
    if comparison("tokens(9.9e-6, 0) ignoring case")(printed, expected):
        assert _code_contests(printed, expected)


def test_the_sandbox_compares_by_the_suites_rule(sandbox: Sandbox) -> None:
    program = "print('Yes')\nprint(0.1 + 0.2)"
    for rule, status in (
        ("lines", "wrong_answer"),
        ("lines ignoring case", "passed"),
        ("tokens(1e-9, 0) ignoring case", "passed"),
        ("exact", "wrong_answer"),
    ):
        suite = TestSuite("stdio", cases=(Case("", "YES\n0.3\n"),), compare=rule)
        assert sandbox.run(program, suite).status == status, rule


@pytest.mark.parametrize(
    ("returned", "expected", "status"),
    [
        ("0.30000000000000004", 0.3, "passed"),
        ("[1, 0.1000000001]", [1, 0.1], "passed"),
        ("{'a': (0.1000000001, 2)}", {"a": [0.1, 2]}, "passed"),
        ("1", 1.0, "passed"),
        ("[1.0000000001]", [1], "wrong_answer"),
        ("0.31", 0.3, "wrong_answer"),
        ("True", 1.0000000001, "wrong_answer"),
        ("float('nan')", 0.3, "wrong_answer"),
        ("10 ** 400", 0.3, "wrong_answer"),
        ("[0.3]", 0.3, "wrong_answer"),
    ],
)
def test_calls_compare_floats_by_the_suites_tolerance(
    sandbox: Sandbox, returned: str, expected: object, status: str
) -> None:
    cases = (Case((), expected),)
    program = f"def f():\n    return {returned}\n"
    suite = TestSuite("call", entry_point="f", cases=cases, compare="floats(1e-6, 1e-6)")
    assert sandbox.run(program, suite).status == status
