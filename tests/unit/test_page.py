"""The page of a report, as text: what a browser makes of it is in tests/slow/test_browser.py."""

import json
import re
from html.parser import HTMLParser

import pytest

from skiploop import Program
from skiploop.evaluation.records import Record
from skiploop.evaluation.search_table import SearchOutcome, search_table
from skiploop.evaluation.wall_time import Timing
from skiploop.jsontext import plain
from skiploop.programs.space import ProgramSpace
from skiploop.report.details import Details
from skiploop.report.page import SCRIPTS, Playground, page_files, page_text
from skiploop.report.report import build_report
from skiploop.report.write import write_report
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


def test_nothing_is_loaded_but_the_files_beside_the_page(page, tmp_path):
    (tmp_path / "run").mkdir()
    written = {path.name for path in write_report(tmp_path / "run", make_report())}
    reader = read(page)
    assert not {tag for tag, _ in reader.elements} & {"img", "iframe", "object"}
    loaded = [
        value
        for _, attributes in reader.elements
        for name, value in attributes.items()
        if name in {"src", "href"} and not value.startswith("#")
    ]
    assert loaded == ["style.css", "data.js", *SCRIPTS] and set(loaded) <= written
    style = page_files(make_report(), Details())["style.css"]
    assert "url(" not in style and "@import" not in style


def test_browsers_are_told_to_load_nothing_else(page):
    policies = [
        attributes["content"]
        for tag, attributes in read(page).elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policies == ["default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'"]


def test_a_page_with_a_playground_may_ask_its_server_and_nobody_else():
    playground = Playground(model=ATTACK, policies=(ATTACK,), stop=("'", ATTACK))
    reader = read(page_text(make_report(), playground))
    (policy,) = (a["content"] for tag, a in reader.elements if "http-equiv" in a)
    assert policy.endswith("; connect-src 'self'") and policy.startswith("default-src 'none'; ")
    (given,) = (a["data-playground"] for _, a in reader.elements if "data-playground" in a)
    assert json.loads(given) == plain(playground)


def test_every_text_is_escaped(page):
    assert len(re.findall("<script", page)) == len(SCRIPTS) + 1
    words = "".join(read(page).words)
    assert words.count(ATTACK.strip()) > 5


def test_a_page_with_thirty_layers_and_three_policies_stays_small(page):
    assert len(page.encode()) < 40_000


def test_the_page_has_all_tables_of_a_report(page):
    words = "".join(read(page).words)
    for title in (
        "Policies",
        "Search (every oracle looks at the answer)",
        "How to read this",
        "Accuracy by program length",
        "Layers changed by the chosen programs",
        "Fixed and broken",
        "Wall time at equal numbers of generated tokens",
        "Provenance",
    ):
        assert title in words


def test_a_page_without_records_has_no_pictures_of_policies():
    page = page_text(build_report([], title="search", search=make_report().search))
    assert "<figure" not in page
    assert "Any program (Skip &amp; Loop), oracle" in page
