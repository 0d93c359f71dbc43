"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.render import render
from skiploop.report.report import Report
from skiploop.report.table import Table
from skiploop.report.tables.comparisons import comparison_tables
from skiploop.report.tables.policies import layers_table, lengths_table, policies_table
from skiploop.report.tables.provenance import provenance_table
from skiploop.report.tables.search import search_words
from skiploop.report.tables.selector import calibration_table, menu_table
from skiploop.report.tables.timing import timing_table


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
    tables = []
    if report.policies:
        tables += [
            policies_table(report.policies, report.timing),
            layers_table(report.policies),
            lengths_table(report.policies),
        ]
    tables += comparison_tables(report)
    if report.calibration:
        tables.append(calibration_table(report.calibration))
    if report.menu:
        tables.append(menu_table(report.menu))
    if report.search:
        tables.append(search_words(report.search))
    if report.timing:
        tables.append(timing_table(report.timing))
    if report.provenance:
        tables.append(provenance_table(report.provenance.items()))
    return tables


def _counts(counts: Sequence[int]) -> str:
    return ", ".join(f"{layer}: {n}" for layer, n in enumerate(counts) if n) or "none"
