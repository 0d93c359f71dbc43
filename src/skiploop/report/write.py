"""The files of a report: the same as JSON, Markdown and a folder of pages."""

from __future__ import annotations

from pathlib import Path

from skiploop.errors import RunError
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.report.details import Details
from skiploop.report.markdown import markdown_text
from skiploop.report.page import page_files
from skiploop.report.report import Report

PAGES = "report"
"""Folder of the pages within a run; `index.html` in it opens from the disk."""


def write_report(run_dir: str | Path, report: Report, details: Details | None = None) -> list[Path]:
    """Write `report.json`, `report.md` and the folder `report`, each file replaced in one step.

    Returns:
        All files.

    Raises:
        RunError: The folder does not exist.

    Guarantees:
        Equal reports give equal bytes (tests/unit/test_report.py).
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise RunError(f"no run folder {str(run_dir)!r}: create it or check the path")
    (run_dir / PAGES).mkdir(exist_ok=True)
    pages = page_files(report, details or Details())
    texts = {
        "report.json": json_text(report, indent=2) + "\n",
        "report.md": markdown_text(report),
        **{f"{PAGES}/{name}": text for name, text in pages.items()},
    }
    for name, text in texts.items():
        write_atomic(run_dir / name, text)
    return [run_dir / name for name in texts]
