"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.render import render
from skiploop.report.report import Report
from skiploop.report.table import Table
from skiploop.report.tables.every import every_table


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


def report_tables(report: Report) -> list[Table]:
    """Return all tables of a report that have something to show, in reading order."""
    return [table for table in every_table(report).values() if table]


def _counts(counts: Sequence[int]) -> str:
    return ", ".join(f"{layer}: {n}" for layer, n in enumerate(counts) if n) or "none"
