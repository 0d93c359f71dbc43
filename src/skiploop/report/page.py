"""The page of a report: a few static files that open from a disk and ask no network.

Tables are in the page itself. Pictures and questions are drawn by its scripts, in `static/`, from
`data.js`. The content security policy in its head makes a browser refuse everything else. A studio
serves the same page, with a playground that asks the server.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

from skiploop.jsontext import json_text
from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.details import Details
from skiploop.report.page_data import data_script
from skiploop.report.render import render
from skiploop.report.report import Report
from skiploop.report.tables.every import every_table

SCRIPTS = (
    "plot.js",
    "dom.js",
    "layers.js",
    "charts.js",
    "questions.js",
    "programs.js",
    "search.js",
    "main.js",
)
"""In the order in which the page takes them, after `data.js`."""

PLAYGROUND_SCRIPT = "playground.js"
"""Comes before the last one."""


@dataclass(frozen=True, kw_only=True)
class Playground:
    """What a server behind the page answers.

    Attributes:
        model: Its name in requests.
        policies: What chooses programs, by the names in requests.
        stop: What ends an answer to a question of the run.
        max_new_tokens: Of such an answer.
    """

    model: str
    policies: tuple[str, ...] = ()
    stop: tuple[str, ...] = ()
    max_new_tokens: int = 16


def page_files(
    report: Report, details: Details, playground: Playground | None = None
) -> dict[str, str]:
    """Return all files of the page, by name."""
    names = [*_scripts(playground), "plot.LICENSE"]
    return {
        "index.html": page_text(report, playground),
        "style.css": "\n".join((render("colours.css"), render("page.css"), _static("page.css"))),
        "data.js": data_script(report, details),
        **{name: _static(name) for name in names},
    }


def page_text(report: Report, playground: Playground | None = None) -> str:
    """Return `index.html`."""
    return render(
        "index.html",
        report=report,
        asked=json_text(playground),
        playground=playground,
        scripts=("data.js", *_scripts(playground)),
        conclusions=conclusions(report),
        how_to_read=HOW_TO_READ,
        **every_table(report),
    )


def _scripts(playground: Playground | None) -> tuple[str, ...]:
    return (*SCRIPTS[:-1], PLAYGROUND_SCRIPT, SCRIPTS[-1]) if playground else SCRIPTS


def _static(name: str) -> str:
    return (resources.files("skiploop.report") / "static" / name).read_text(encoding="utf-8")
