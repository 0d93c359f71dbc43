import re
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
    interval_chart,
    layer_chart,
)
from skiploop.report.html import page_text
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
    svg = layer_chart([0, 4, 0], [2, 0, 0], 8, "layers")
    bars = re.findall(r'<rect class="(\w+)" .*?height="([\d.]+)">', svg)
    assert bars == [("skip", "32.0"), ("loop", "64.0")]
    assert svg.count(">50 %<") == 2
    assert "layer 1: repeated for 4 questions" in svg


def test_an_interval_chart_puts_shares_on_an_axis_from_0_to_100_percent():
    svg = interval_chart([IntervalRow("a", Share(0, 9)), IntervalRow("b", Share(9, 9))], "t")
    axis = [float(x) for x in re.findall(r'class="grid" x1="([\d.]+)"', svg)]
    dots = [float(x) for x in re.findall(r'class="dot" cx="([\d.]+)"', svg)]
    assert dots == [axis[0], axis[-1]]


def test_an_unknown_share_has_no_dot():
    svg = interval_chart([IntervalRow("a", Share(0, 0), Share(0, 0))], "t")
    read(svg)
    assert "circle" not in svg
    assert "ref" not in svg


def test_a_cost_chart_puts_dear_policies_to_the_right_and_good_ones_higher():
    points = [
        CostPoint("plain", 30, Share(10, 100)),
        CostPoint("<vote>", 90, Share(20, 100)),
        CostPoint("unknown", 30, Share(0, 0)),
    ]
    page = read(cost_chart(points, "accuracy", "layers"))
    plain, vote = [attrs for tag, attrs in page.elements if attrs.get("class") == "dot"]
    assert float(plain["cx"]) < float(vote["cx"])
    assert float(plain["cy"]) > float(vote["cy"])
    assert {"plain", "<vote>", "layers"} <= set(page.words) and "unknown" not in page.words
    assert cost_chart(points[2:], "accuracy", "layers") == ""
    assert "NaN" not in cost_chart(points[:1], "accuracy", "layers")


def test_a_calibration_chart_has_a_dot_a_bin_and_a_line_where_expected_is_true():
    points = [(0.1, Share(1, 10)), (0.5, Share(6, 10)), (0.7, Share(0, 0))]
    page = read(calibration_chart(points, "calibration", "expected"))
    rare, likely = [attrs for _, attrs in page.elements if attrs.get("class") == "dot"]
    equal = next(attrs for _, attrs in page.elements if attrs.get("class") == "axis")

    def true_at(expected):
        x1, x2, y1, y2 = (float(equal[name]) for name in ("x1", "x2", "y1", "y2"))
        return y1 + (y2 - y1) * (expected - x1) / (x2 - x1)

    assert float(rare["cy"]) == pytest.approx(true_at(float(rare["cx"])), abs=0.2)
    assert float(likely["cy"]) < true_at(float(likely["cx"]))  # right more often than expected
    assert calibration_chart(points[2:], "calibration", "expected") == ""
