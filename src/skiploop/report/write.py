"""The files of a report: the same as JSON, Markdown and HTML."""

from __future__ import annotations

from pathlib import Path

from skiploop.errors import RunError
from skiploop.files import write_atomic
from skiploop.jsontext import json_text
from skiploop.report.html import page_text
from skiploop.report.markdown import markdown_text
from skiploop.report.report import Report


def write_report(run_dir: str | Path, report: Report) -> list[Path]:
    """Write `report.json`, `report.md` and `report.html`, each replaced in one step.

    Returns:
        The three files.

    Raises:
        RunError: The folder does not exist.

    Guarantees:
        Equal reports give equal bytes (tests/unit/test_report.py).
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise RunError(f"no run folder {str(run_dir)!r}: create it or check the path")
    data = json_text(report, indent=2)
    texts = {
        "report.json": data + "\n",
        "report.md": markdown_text(report),
        "report.html": page_text(report),
    }
    for name, text in texts.items():
        write_atomic(run_dir / name, text)
    return [run_dir / name for name in texts]
