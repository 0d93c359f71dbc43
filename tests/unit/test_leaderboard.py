"""The page of many comparisons."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

from test_comparison import FOUND, SHORT

from skiploop.report.leaderboard import write_leaderboard

HOSTILE = "<script>alert(1)</script>\"onclick='x'"


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.rows, self.marks = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def page(tmp_path, *found):
    return write_leaderboard(tmp_path / "page", found).read_text(encoding="utf-8")


def test_every_row_of_every_comparison_is_there_with_what_filters_look_at(tmp_path):
    elsewhere = replace(FOUND, task="words", questions="words, version 1")
    shown = Page(page(tmp_path, elsewhere, FOUND))
    rows = [attrs for tag, attrs in shown.tags if tag == "tr" and "data-method" in attrs]
    assert [(row["data-task"], row["data-method"], row["data-learned"]) for row in rows] == [
        ("arithmetic-2", "identity", "the same task"),
        ("arithmetic-2", "shortgpt:25.5", "the same task"),
        ("words", "identity", "another task"),
        ("words", "shortgpt:25.5", "another task"),
    ]
    assert ["marked" in row["class"] for row in rows] == [False, True] * 2
    assert shown.count("select") == 4 and shown.count("svg") == 2


def test_a_name_that_is_too_long_for_its_column_is_shown_in_full_by_the_pointer(tmp_path):
    long = "mix:" + "+".join(f"jsonl:questions-{i}.jsonl" for i in range(12))
    shown = Page(page(tmp_path, replace(FOUND, task=long)))
    names = [attrs for tag, attrs in shown.tags if tag == "td" and attrs.get("class") == "name"]
    assert long in {name["title"] for name in names}
    assert len(names) == 4 * len(FOUND.rows)


def test_a_picture_says_what_was_learned_on_where_that_is_another_task(tmp_path):
    elsewhere = replace(FOUND, task="words", questions="words, version 1")
    titles = re.findall("<h2>(.*?)</h2>", page(tmp_path, elsewhere, FOUND))
    here = f"{FOUND.model}, {FOUND.task}"
    assert titles[:2] == [here, f"{FOUND.model}, words, learned on {FOUND.trained_on}"]


def test_texts_of_a_file_stay_texts(tmp_path):
    row = replace(SHORT, method=HOSTILE, verdict=HOSTILE)
    hostile = replace(
        FOUND, model=HOSTILE, task=HOSTILE, provenance={HOSTILE: HOSTILE}, rows=(row, row)
    )
    shown = Page(page(tmp_path, hostile))
    assert shown.count("script") == 1
    assert not any("onclick" in attrs for _, attrs in shown.tags)


def test_a_browser_is_told_to_run_the_script_of_the_page_alone_and_to_fetch_nothing(tmp_path):
    text = page(tmp_path, FOUND)
    policy = next(a["content"] for tag, a in Page(text).tags if "http-equiv" in a)
    (script,) = re.findall("<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and policy.startswith("default-src 'none'")
    assert "http:" not in text and "https:" not in text


def test_a_comparison_without_times_has_no_picture(tmp_path):
    rows = tuple(replace(row, cost=replace(row.cost, time=None)) for row in FOUND.rows)
    assert Page(page(tmp_path, replace(FOUND, rows=rows))).count("svg") == 0


def test_the_same_comparisons_in_any_order_make_the_same_page(tmp_path):
    other = replace(FOUND, task="words")
    assert page(tmp_path, FOUND, other) == page(tmp_path, other, FOUND)
