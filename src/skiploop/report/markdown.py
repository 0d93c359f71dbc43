"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.render import render
from skiploop.report.report import Report
from skiploop.report.tables import report_tables


def markdown_text(report: Report) -> str:
    """Return `report.md`."""
    return render(
        "report.md",
        title=report.title,
        conclusions=conclusions(report),
        tables=report_tables(report),
        layers=[
            (row.policy, _counts(row.n_skipped), _counts(row.n_repeated)) for row in report.policies
        ],
        how_to_read=HOW_TO_READ,
    )


def _counts(counts: Sequence[int]) -> str:
    return ", ".join(f"{layer}: {n}" for layer, n in enumerate(counts) if n) or "none"
