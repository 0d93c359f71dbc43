import itertools
from html.parser import HTMLParser

import pytest

from skiploop import Program
from skiploop.evaluation.records import Record
from skiploop.evaluation.search_table import SearchOutcome, search_table
from skiploop.evaluation.wall_time import Timing
from skiploop.programs.space import ProgramSpace
from skiploop.report.charts import (
    CostPoint,
    IntervalRow,
    calibration_chart,
    cost_chart,
    curve_chart,
    interval_chart,
    layer_chart,
)
from skiploop.report.html import page_text
from skiploop.report.picture import Scale
from skiploop.report.report import build_report
from skiploop.stats import Share
from skiploop.tasks.base import Example

N = 30
VOID = {"meta", "br", "hr", "img", "input", "link"}
ATTACK = """<script src="https://example.org/x.js">alert('1')</script> & "quoted" """


class Reader(HTMLParser):
    """Collects elements and visible words, and refuses tags that do not balance."""

    def __init__(self):
        super().__init__()
        self.open, self.elements, self.words = [], [], []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


def make_report(*, n_examples=40, policies=("polar", ATTACK)):
    space, identity = ProgramSpace(N), Program.identity(N)
    records, outcomes = [], []
    for i in range(n_examples):
        for policy in ("identity", *policies):
            program = identity if policy == "identity" else space.sample(i, n_edits=2)
            records.append(
                Record(
                    policy=policy,
                    example_id=f"q{i}",
                    rank=0,
                    program=program,
                    correct=(i + len(policy)) % 3 == 0,
                    n_tokens=4,
                    text=ATTACK,
                )
            )
        outcomes.append(SearchOutcome(f"q{i}", [(identity, False)]))
    return build_report(
        records,
        title=f"toy {ATTACK}",
        examples=[
            Example(id=f"q{i}", question=f"{ATTACK} {i}?", gold=ATTACK) for i in range(n_examples)
        ],
        search=search_table(outcomes),
        timing=Timing(16, {"identity": [1.0], "polar": [0.5]}),
        provenance={"python": "3.11", "command": ATTACK},
    )


@pytest.fixture(scope="module")
def page():
    return page_text(make_report())


def test_tags_balance(page):
    assert read(page).elements[0][0] == "html"


def test_nothing_is_loaded_from_anywhere(page):
    reader = read(page)
    assert not {tag for tag, _ in reader.elements} & {"script", "link", "img", "iframe", "object"}
    for _, attributes in reader.elements:
        assert not {"src", "href", "srcset", "xlink:href", "onload"} & set(attributes)
        assert not any("//" in (value or "") for value in attributes.values())
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_browsers_are_told_to_load_nothing(page):
    policies = [
        attributes["content"]
        for tag, attributes in read(page).elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; style-src 'unsafe-inline'"]


def test_every_text_is_escaped(page):
    assert "<script" not in page
    words = "".join(read(page).words)
    assert words.count(ATTACK.strip()) > 10


def test_a_page_with_thirty_layers_and_three_policies_stays_small(page):
    assert len(page.encode()) < 60_000


def test_the_page_shows_the_sections_of_a_report(page):
    words = "".join(read(page).words)
    for title in (
        "Policies",
        "Search (every oracle looks at the answer)",
        "How to read this",
        "Accuracy by program length",
        "Layers changed by the top-1 programs",
        "Answers that changed",
        "Wall time at equal numbers of generated tokens",
        "Provenance",
    ):
        assert title in words


def test_a_page_without_records_has_no_charts():
    page = page_text(build_report([], title="search", search=make_report().search))
    assert "<svg" not in page
    assert "Skip &amp; Loop, oracle" in page


def test_bars_stand_for_counts():
    picture = layer_chart([0, 4, 0], [2, 0, 0], 8, "layers")
    assert [(bar.style, bar.height) for bar in picture.bars] == [("skip", 32.0), ("loop", 64.0)]
    assert [text.text for text in picture.texts].count("50 %") == 2
    assert picture.bars[1].words == "layer 1: repeated for 4 questions"


def test_an_interval_chart_puts_shares_on_an_axis_from_0_to_100_percent():
    picture = interval_chart([IntervalRow("a", Share(0, 9)), IntervalRow("b", Share(9, 9))], "t")
    axis = [line.x1 for line in picture.lines if line.style == "grid"]
    assert [dot.x for dot in picture.dots] == [axis[0], axis[-1]]


def test_an_unknown_share_has_no_dot():
    assert not interval_chart([IntervalRow("a", Share(0, 0), Share(0, 0))], "t").dots


def test_a_chart_of_nothing_is_no_chart():
    assert interval_chart([], "t") is None
    assert cost_chart([CostPoint("unknown", 30, Share(0, 0))], "t", "layers") is None
    assert calibration_chart([(0.7, Share(0, 0))], "t", "expected") is None
    assert curve_chart([0.5], "t", "programs") is None


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
    words = set(read(picture.svg()).words)
    assert {"plain", "<vote>", "layers"} <= words and "unknown" not in words


def test_a_cost_chart_of_equal_costs_has_its_dots_in_the_plot():
    (dot,) = cost_chart([CostPoint("one", 30, Share(0, 4))], "accuracy", "layers").dots
    assert 0 < dot.x < 440


def test_a_calibration_chart_has_a_dot_a_bin_and_a_line_where_expected_is_true():
    points = [(0.1, Share(1, 10)), (0.5, Share(6, 10)), (0.7, Share(0, 0))]
    picture = calibration_chart(points, "calibration", "expected")
    rare, likely = picture.dots
    equal = next(line for line in picture.lines if line.style == "axis" and line.y1 != line.y2)

    def true_at(expected):
        return equal.y1 + (equal.y2 - equal.y1) * (expected - equal.x1) / (equal.x2 - equal.x1)

    assert rare.y == pytest.approx(true_at(rare.x), abs=0.2)
    assert likely.y < true_at(likely.x)  # right more often than expected


def charts_of_many_policies():
    """Charts with a policy at either end, and ten that are nearly the same."""
    close = [(f"selector:{28 + n / 10}", 28 + n / 100, Share(170 + n, 1000)) for n in range(10)]
    rows = [("identity", 30, Share(0, 1000)), *close, ("vote:5", 90, Share(1000, 1000))]
    return (
        interval_chart([IntervalRow(name, share, share) for name, _, share in rows], "interval"),
        cost_chart([CostPoint(*row) for row in rows], "cost", "layers"),
        calibration_chart(
            [(share.value, share) for _, _, share in rows], "calibration", "expected"
        ),
        curve_chart([share.value for _, _, share in rows], "curve", "programs"),
        layer_chart([10] * 60, [1000] * 60, 1000, "layers"),
    )


many = pytest.mark.parametrize(
    "picture", charts_of_many_policies(), ids=lambda picture: picture.title
)


def box(text):
    """Return left, top, right and bottom of a text, wide as letters of 12 pixels are."""
    width = 6.8 * len(text.text)
    before = {"mid": width / 2, "end": width}.get(text.style, 0)
    return text.x - before, text.y - 7, text.x - before + width, text.y + 7


@many
def test_no_label_of_a_chart_covers_another(picture):
    for one, other in itertools.combinations(map(box, picture.texts), 2):
        is_apart = one[2] <= other[0] or other[2] <= one[0]
        assert is_apart or one[3] <= other[1] or other[3] <= one[1]


@many
def test_all_of_a_chart_stands_inside_its_frame(picture):
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
