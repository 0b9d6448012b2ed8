"""Plots are well-formed drawings that show the numbers where they belong."""

import math
import re
from xml.etree import ElementTree

from hypothesis import given, strategies as st

from policykit.charts import Interval, Line, histogram, intervals, lines
from policykit.charts.svg import Scale, ticks

SVG = "{http://www.w3.org/2000/svg}"
FINITE = st.floats(-1e9, 1e9, allow_subnormal=False).filter(lambda v: v == 0 or abs(v) > 1e-9)


def points(drawing: str, tag: str) -> list[list[tuple[float, float]]]:
    found = ElementTree.fromstring(drawing).iter(f"{SVG}{tag}")
    return [[(float(a), float(b)) for a, b in re.findall(r"(\S+),(\S+)", one.get("points", ""))] for one in found]


def test_an_interval_stands_where_its_values_are() -> None:
    drawing = intervals("Rates", [("<rule> & co", {"a": Interval(0.1, 0.2, 0.4)})], "share", limit=0.05)
    root = ElementTree.fromstring(drawing)
    circle = next(root.iter(f"{SVG}circle"))
    marks = {t.text: float(t.get("x", "")) for t in root.iter(f"{SVG}text") if t.text and t.text.endswith("%")}
    assert math.isclose(float(circle.get("cx", "")), marks["20 %"], abs_tol=0.02)
    assert any(t.text == "<rule> & co" for t in root.iter(f"{SVG}text"))
    red = next(one for one in root.iter(f"{SVG}line") if one.get("stroke") == "#b00020")
    assert math.isclose(float(red.get("x1", "")), (marks["0 %"] + marks["10 %"]) / 2, abs_tol=0.02)


def test_a_line_with_a_hole_is_two_lines_and_each_point_keeps_its_place() -> None:
    values = (1.0, 2.0, math.nan, 4.0, 3.0)
    drawing = lines("λ", [Line("g", tuple(enumerate(values)))], "step")
    first, second = points(drawing, "polyline")
    heights = [y for _, y in first + second]
    assert heights[0] > heights[1] > heights[3] > heights[2]
    assert [x for x, _ in first + second] == sorted(x for x, _ in first + second)


def test_a_histogram_holds_every_value_once() -> None:
    drawing = histogram("KL", {"a": [0.0, 0.0, 1.0, 2.0]}, "nat", n_bins=4)
    (outline,) = points(drawing, "polygon")
    floor = outline[0][1]
    tops = [floor - y for _, y in outline[1:-1:2]]
    assert [round(t / sum(tops), 2) for t in tops] == [0.5, 0.0, 0.25, 0.25]


def test_nothing_to_show_is_drawn_as_nothing() -> None:
    for drawing in (intervals("a", [], "x"), lines("b", [Line("c", ())], "x"), histogram("d", {"e": []}, "x")):
        ElementTree.fromstring(drawing)


@given(FINITE, FINITE)
def test_ticks_reach_over_both_ends_and_are_few(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)
    marks = ticks(low, high)
    slack = 1e-6 * max(abs(low), abs(high), 1e-9)
    assert marks[0] <= low + slack
    assert marks[-1] >= high - slack
    assert 2 <= len(marks) <= 12
    assert list(marks) == sorted(set(marks))
    scale = Scale(marks[0], marks[-1], 0, 100)
    assert -1e-3 <= scale.at(low) <= scale.at(high) <= 100.001
