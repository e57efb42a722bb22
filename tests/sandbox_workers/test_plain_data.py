"""What crosses from a program to its judge: nothing is changed, nothing else gets through, forged trees do no harm."""

from __future__ import annotations

import itertools
import math
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from enum import Enum, IntEnum
from fractions import Fraction
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_workers import Limits, Sandbox, TestSuite, bounded, cost, decoding, plain, wire
from sandbox_workers.wire import FrameTooLongError

ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=-(10**300), max_value=10**300)
    | st.floats(allow_nan=False)
    | st.text(st.characters())
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False)
)
HASHABLE = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=6)
VALUES = st.recursive(
    HASHABLE,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner)
        | st.sets(HASHABLE, max_size=4)
        | st.dictionaries(HASHABLE, inner, max_size=4)
        | st.lists(inner, max_size=3).map(deque)
    ),
    max_leaves=12,
)


def crossed(value: Any) -> Any:
    return decoding.decode(plain.loads(plain.dumps(plain.encode(value))))


@given(VALUES)
def test_values_cross_unchanged(value: Any) -> None:
    result = crossed(value)
    assert result == value
    assert type(result) is type(value)


@given(VALUES, VALUES)
def test_equal_values_have_equal_size(left: Any, right: Any) -> None:
    if left == right:
        limit = 1 << 20
        assert cost.size(plain.encode(left), limit) == cost.size(plain.encode(right), limit)


def test_special_numbers() -> None:
    assert math.isnan(crossed(math.nan))
    assert crossed([math.inf, -math.inf]) == [math.inf, -math.inf]
    assert math.copysign(1, crossed(-0.0)) == -1
    assert crossed(10**5000) == 10**5000
    assert crossed("\ud800") == "\ud800"
    assert crossed(range(1, 9, 2)) == range(1, 9, 2)


def test_dicts_of_the_library_become_dicts() -> None:
    for value in (Counter("aab"), OrderedDict(a=2, b=1), defaultdict(int, a=2, b=1)):
        assert crossed(value) == {"a": 2, "b": 1}


class Pair(NamedTuple):
    x: int


class Number(int):
    def __repr__(self) -> str:
        return "a number of its own"


class Level(IntEnum):
    LOW = 1


class Letter(str, Enum):  # noqa: UP042 -- the text of a StrEnum is its value, of this one it is not
    A = "a"


class Backwards(list[int]):
    def __iter__(self) -> Iterator[int]:
        return reversed(self)


class Likable(list[int]):
    def __eq__(self, other: object) -> bool:
        return True


class Countdown:
    def __init__(self, start: int) -> None:
        self.left = start

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        if self.left == 0:
            raise StopIteration
        self.left -= 1
        return self.left


@pytest.mark.parametrize(
    ("value", "held"),
    [
        (Pair(1), (1,)),
        ([Number(7)], [7]),
        (Level.LOW, 1),
        (Letter.A, "a"),
        (Backwards([1, 2]), [1, 2]),
        (OrderedDict({Pair(1): Number(2)}), OrderedDict({(1,): 2})),
    ],
)
def test_a_subclass_crosses_as_what_it_holds(value: Any, held: Any) -> None:
    result = crossed(value)
    assert result == value == held  # as a plain comparison of both says
    assert type(result) is type(held)


@pytest.mark.parametrize(
    "make",
    [lambda: iter([2, 1, 0]), lambda: (n for n in (2, 1, 0)), lambda: map(int, "210"), lambda: Countdown(3)],
)
def test_an_iterator_crosses_as_one_of_its_values(make: Callable[[], Any]) -> None:
    assert list(crossed(make())) == list(make()) == [2, 1, 0]
    assert crossed(make()) != [2, 1, 0]


def test_views_of_a_dict_cross() -> None:
    value = {"a": 1, "b": [2]}
    assert list(crossed(value.keys())) == ["a", "b"]
    assert crossed(value.keys()) == {"a", "b"}
    assert list(crossed(value.values())) == [1, [2]]
    assert list(crossed(value.items())) == [("a", 1), ("b", [2])]
    for view in (value.keys(), {"a": 1}.items()):
        assert cost.size(plain.encode(view), 100) == cost.size(plain.encode(set(view)), 100)


@pytest.mark.parametrize("value", [object(), {1: {2: Pair}}, len, Likable([1]), [Likable()], itertools.count()])
def test_everything_else_is_refused(value: Any) -> None:
    with pytest.raises(plain.NotPlainError):
        plain.encode(value)


TREES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*decoding._DECODERS, "x"]), inner, max_size=2),
    max_leaves=20,
)


@given(TREES)
def test_forged_trees_decode_to_plain_values_or_are_refused(tree: Any) -> None:
    cost.size(tree, 10)
    try:
        value = decoding.decode(tree)
    except (ValueError, plain.NotPlainError):
        return
    plain.encode(value)


@given(st.binary())
def test_forged_messages_are_trees_or_raise_value_error(data: bytes) -> None:
    try:
        plain.loads(data)
    except ValueError:
        return


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match="deep"):
        plain.loads(b"[" * 200_000)


def test_size_stops_counting_early() -> None:
    assert cost.size([[1] * 10**6] * 1000, 100) <= 102


@given(st.lists(st.binary(max_size=50)), st.integers(1, 7))
def test_frames_survive_every_cut(bodies: list[bytes], step: int) -> None:
    stream = b"".join(map(wire.frame, bodies))
    reader, found = wire.FrameReader(1000), []
    for start in range(0, len(stream), step):
        found += reader.feed(stream[start : start + step])
    assert found == bodies


def test_a_second_message_in_a_frame_is_refused() -> None:
    for data in (b'["end"] ["end"]', b'["end"]x', b"", b"x"):
        with pytest.raises(ValueError, match=r"message|JSON|Expecting"):
            plain.loads(data)


def test_a_frame_may_not_claim_more_than_the_limit() -> None:
    with pytest.raises(wire.FrameTooLongError):
        wire.FrameReader(1000).feed(b"\xff\xff\xff\xff")


def test_decimal_and_fraction() -> None:
    assert crossed([Decimal("1.10"), Fraction(1, 3)]) == [Decimal("1.1"), Fraction(1, 3)]


@pytest.mark.parametrize(
    ("value", "numbers"),
    [
        ([1] * 9, 0),
        ([{1: {3, 4, 5}}], 0),
        ((range(2, 9, 3), range(3)), 6),
        (range(9, 2, -3), 3),
        (range(5, 5), 0),
        (range(10**17), 10**17),
    ],
)
def test_numbers_that_ranges_stand_for(value: Any, numbers: int) -> None:
    assert bounded.numbers_in_ranges(plain.encode(value)) == numbers


COLLIDING = [n * (2**61 - 1) for n in range(1, 2000)]


@pytest.mark.parametrize(
    "tree",
    [
        {"set": COLLIDING},
        {"frozenset": COLLIDING},
        {"keys": COLLIDING},
        {"dict": [[n, 1] for n in COLLIDING]},
        {"counter": [[n, 1] for n in COLLIDING]},
        {"items": [{"tuple": [n, 1]} for n in COLLIDING]},
        {"iterator": [0] * (cost.MAX_DRAINED + 1)},
    ],
)
def test_a_table_of_colliding_values_is_refused(tree: Any) -> None:
    with pytest.raises(ValueError, match=r"hash|too many"):
        decoding.decode(tree)


@given(st.lists(st.integers() | st.floats() | st.text() | st.tuples(st.integers(-3, 3), st.integers(-3, 3))))
def test_what_honest_programs_return_makes_a_table(values: list[Any]) -> None:
    assert set(cost.hashable(values * 2)) == set(values) or any(value != value for value in values)


def test_ordered_dicts_and_counters_compare_as_what_they_are() -> None:
    first, second = OrderedDict([(1, 2), (3, 4)]), OrderedDict([(3, 4), (1, 2)])
    assert crossed(first) == first != crossed(second)
    moved = OrderedDict(first)
    moved.move_to_end(1)
    assert list(crossed(moved)) == [3, 1]
    assert crossed(Counter({"a": 1, "b": 0})) == Counter("a")
    assert crossed(Counter({"a": 1, "b": 0})) != {"a": 1}


def test_a_message_of_many_small_values_is_refused_before_it_is_read() -> None:
    large = b"[" + b"1," * 1_000_000 + b"1]"
    assert len(plain.loads(large)) == 1_000_001
    for piece in (b"[],", b"1,", b'{"a":1},'):
        with pytest.raises(FrameTooLongError):
            plain.loads(b"[" + piece * plain.MAX_VALUES + b"1]")


def test_a_program_that_returns_millions_of_values_passes_a_limit(sandbox: Sandbox) -> None:
    suite = TestSuite(tests=("assert len(f(1)) == 1",))
    program = "def f(n):\n    return [0] * 3_000_000\n"
    assert sandbox.run(program, suite, limits=Limits(wall_s=20, cpu_s=20, memory_mb=1024)).status == "output_limit"
    assert sandbox.run("def f(n):\n    return [0]\n", suite).ok
