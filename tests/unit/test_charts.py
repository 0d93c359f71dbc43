"""The picture of shares against a cost."""

import itertools
import xml.etree.ElementTree as ET

import pytest

from skiploop.report.charts import CostPoint, cost_chart
from skiploop.report.picture import Scale
from skiploop.stats import Share


def test_a_chart_of_nothing_is_no_chart():
    assert cost_chart([CostPoint("unknown", 30, Share(0, 0))], "t", "layers") is None


def test_a_cost_chart_puts_dear_policies_to_the_right_and_good_ones_higher():
    points = [
        CostPoint("plain", 30, Share(10, 100), "plain"),
        CostPoint("<vote>", 90, Share(20, 100)),
        CostPoint("unknown", 30, Share(0, 0)),
    ]
    picture = cost_chart(points, "accuracy", "layers")
    plain, vote = picture.dots
    assert plain.x < vote.x and plain.y > vote.y
    assert (plain.style, vote.style) == ("dot plain", "dot chosen")
    words = set(ET.fromstring(picture.svg()).itertext())
    assert {"plain", "<vote>", "layers"} <= words and "unknown" not in words


def test_a_cost_chart_of_equal_costs_has_its_dots_in_the_plot():
    (dot,) = cost_chart([CostPoint("one", 30, Share(0, 4))], "accuracy", "layers").dots
    assert 0 < dot.x < 440


def chart_of_many_policies():
    """A chart with a policy at either end, and ten that are nearly the same."""
    close = [(f"selector:{28 + n / 10}", 28 + n / 100, Share(170 + n, 1000)) for n in range(10)]
    rows = [("identity", 30, Share(0, 1000)), *close, ("vote:5", 90, Share(1000, 1000))]
    return cost_chart([CostPoint(*row) for row in rows], "cost", "layers")


def box(text):
    """Return left, top, right and bottom of a text, wide as letters of 12 pixels are."""
    width = 6.8 * len(text.text)
    before = {"mid": width / 2, "end": width}.get(text.style, 0)
    return text.x - before, text.y - 7, text.x - before + width, text.y + 7


def test_no_label_of_a_chart_covers_another():
    for one, other in itertools.combinations(map(box, chart_of_many_policies().texts), 2):
        is_apart = one[2] <= other[0] or other[2] <= one[0]
        assert is_apart or one[3] <= other[1] or other[3] <= one[1]


def test_all_of_a_chart_stands_inside_its_frame():
    picture = chart_of_many_policies()
    ends = [(x, y) for line in picture.lines for x, y in (line[1:3], line[3:5])]
    places = [*ends, *((dot.x, dot.y) for dot in picture.dots)]
    assert all(0 <= x <= picture.width and 0 <= y <= picture.height for x, y in places)
    for left, top, right, bottom in map(box, picture.texts):
        assert left >= 0 and top >= 0 and right <= picture.width and bottom <= picture.height


@pytest.mark.parametrize("values", [[0.3], [0.0], [30, 31.4], [0.092, 0.184], [1, 12], [-3, 4e6]])
def test_an_axis_ends_at_round_numbers_around_its_values(values):
    scale = Scale(values, 0, 100)
    assert scale.ticks[0] <= min(values) and max(values) <= scale.ticks[-1]
    assert 2 <= len(scale.ticks) <= 7
    assert all(len(f"{tick:g}") <= 6 for tick in scale.ticks)
    assert [scale(tick) for tick in (scale.ticks[0], scale.ticks[-1])] == [0, 100]
