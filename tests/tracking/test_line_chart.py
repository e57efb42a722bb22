import math
import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from prl_ray.tracking.line_chart import HEIGHT, WIDTH, line_chart, sparkline, ticks

numbers = st.floats(-1e6, 1e6, allow_nan=False)


def test_ticks_are_round():
    assert ticks(0.02, 0.47) == [0.1, 0.2, 0.3, 0.4]
    assert ticks(0, 100) == [0, 20, 40, 60, 80, 100]
    assert ticks(3, 3) == [3]
    assert ticks(-0.1, 0.1) == [-0.1, -0.05, 0.0, 0.05, 0.1]


@given(numbers, numbers)
def test_ticks_lie_between_the_ends_and_are_few(a, b):
    low, high = min(a, b), max(a, b)
    marks = ticks(low, high)
    slack = (high - low) * 1e-3 + 1e-9
    assert 1 <= len(marks) <= 11
    assert all(low - slack <= mark <= high + slack for mark in marks)


def test_a_chart_puts_points_where_they_belong():
    root = ET.fromstring(line_chart("a < b", {"x & y": [(10, 1.0), (0, 0.0), (5, math.nan)]}))
    (line,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    points = [tuple(map(float, p.split(","))) for p in line.get("points").split()]
    assert points == [(60.0, HEIGHT - 44.0), (WIDTH - 16.0, 34.0)], "sorted by x, corner to corner, NaN left out"
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "a < b" in texts and "0.4" in texts and "10" in texts


@given(st.dictionaries(st.text(min_size=1, max_size=5), st.lists(st.tuples(numbers, numbers), max_size=5), max_size=4))
def test_any_series_make_a_chart_inside_its_frame(series):
    series = {re.sub(r"[^\x20-\x7e]", "?", name): points for name, points in series.items()}
    root = ET.fromstring(line_chart("t", series))
    for line in root.iter("{http://www.w3.org/2000/svg}polyline"):
        for point in line.get("points").split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= WIDTH and 0 <= y <= HEIGHT


def test_sparklines():
    assert sparkline([0, 7, math.nan, 3.5]) == "▁█ ▅"
    assert sparkline([1, 1]) == "▁▁"
    assert sparkline([]) == "" and sparkline([math.nan]) == ""
    assert len(sparkline(list(range(1000)))) == 40
