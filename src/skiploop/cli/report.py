"""`skiploop report`: make the report of an evaluation again."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skiploop.cli import console
from skiploop.cli.options import PATH, Json


def report(
    run: Annotated[Path, typer.Argument(help="Run folder: a search, a menu, or more.", **PATH)],
    as_json: Json = False,
) -> None:
    """Make the report of a run again, from what its folder holds.

    It shows the last evaluation, and before one what was found: searches and the menu. No model is
    loaded. RUN/report/index.html opens in a browser; the folder can be sent to others.

    Example: skiploop report RUN
    """
    from skiploop.runs import pipeline
    from skiploop.runs.folder import RunFolder

    console.show_log()
    found = pipeline.report(RunFolder.open(run))
    console.print_report(found, run)
    if as_json:
        console.print_json({"run": str(run), **found.figures()})
