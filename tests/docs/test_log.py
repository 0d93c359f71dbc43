"""The log is an index: short entries, newest first, and nothing that was measured without one."""

import re
from pathlib import Path

import pytest

from skiploop.evaluation.comparison import Comparison

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
ENTRIES = re.split(r"^## ", (ROOT / "docs" / "log.md").read_text(), flags=re.MULTILINE)[1:]
TEXTS = [re.findall(r"\(\.\./benchmarks/results/(\S+\.md)\)", entry) for entry in ENTRIES]

_LINK = re.compile(r"\]\(([^)#:\s]+)(?:#[^)\s]*)?\)")


def pages():
    texts = [*ROOT.glob("docs/**/*.md"), ROOT / "docs" / "llms.txt"]
    return [*ROOT.glob("*.md"), *texts, *RESULTS.glob("*.md")]


def test_an_entry_has_at_most_ten_lines():
    assert max(len(entry.strip().splitlines()) for entry in ENTRIES) <= 10


def test_the_newest_entry_comes_first():
    dates = [entry[:10] for entry in ENTRIES]
    assert dates == sorted(dates, reverse=True)


def test_each_entry_links_a_text_of_its_day_and_each_text_has_an_entry():
    assert all(len(found) == 1 for found in TEXTS)
    assert [found[0][:10] for found in TEXTS] == [entry[:10] for entry in ENTRIES]
    assert sorted(found[0] for found in TEXTS) == sorted(path.name for path in RESULTS.glob("*.md"))


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_what_a_page_links_is_there(page):
    assert not [
        link for link in _LINK.findall(page.read_text()) if not (page.parent / link).exists()
    ]


@pytest.mark.parametrize(
    "path", sorted(RESULTS.glob("*-methods-*.json")), ids=lambda path: path.stem
)
def test_methods_that_were_compared_can_be_put_on_one_page(path):
    assert Comparison.load(path).rows[0].method == "identity"
