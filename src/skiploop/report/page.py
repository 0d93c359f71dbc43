"""The page of a report: a folder of static files that opens from a disk and asks no network.

Tables are in the page itself. Pictures and questions are drawn by its scripts, in `static/`, from
`data.js`. The content security policy in its head makes a browser refuse everything else.
"""

from __future__ import annotations

from importlib import resources

from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.render import render
from skiploop.report.report import Report
from skiploop.report.tables.comparisons import (
    categories_table,
    pairs_table,
    risk_table,
    shuffled_answers_table,
)
from skiploop.report.tables.policies import layers_table, lengths_table, policies_table
from skiploop.report.tables.provenance import provenance_table
from skiploop.report.tables.search import search_words
from skiploop.report.tables.selector import calibration_table, menu_table
from skiploop.report.tables.timing import timing_table

SCRIPTS = ("plot.js", "dom.js", "layers.js", "charts.js", "questions.js", "programs.js", "main.js")
"""In the order in which the page takes them, after `data.js`."""


def page_text(report: Report) -> str:
    """Return `index.html`."""
    return render(
        "index.html",
        report=report,
        scripts=("data.js", *SCRIPTS),
        conclusions=conclusions(report),
        how_to_read=HOW_TO_READ,
        policies=report.policies and policies_table(report.policies, report.timing),
        layers=report.policies and layers_table(report.policies),
        lengths=report.policies and lengths_table(report.policies),
        shuffled=report.shuffled_answers and shuffled_answers_table(report),
        pairs=report.pairs and pairs_table(report.pairs),
        categories=report.categories and categories_table(report.categories),
        risk=report.risk and risk_table(report.risk),
        calibration=report.calibration and calibration_table(report.calibration),
        menu=report.menu and menu_table(report.menu),
        search=report.search and search_words(report.search),
        timing=report.timing and timing_table(report.timing),
        provenance=report.provenance and provenance_table(report.provenance.items()),
    )


def style_text() -> str:
    """Return `style.css`: the colours and tables of all pages, and what this one has beyond."""
    own = (resources.files("skiploop.report") / "static" / "page.css").read_text(encoding="utf-8")
    return "".join((render("colours.css"), "\n", render("page.css"), "\n", own))
