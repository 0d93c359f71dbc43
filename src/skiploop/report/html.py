"""A report as one self-contained HTML file: no script, no network, readable on a phone.

The content security policy in its head makes a browser refuse anything but its own style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from skiploop.evaluation.policy_table import REFERENCE, PolicyRow
from skiploop.report.charts import (
    CostPoint,
    IntervalRow,
    Look,
    calibration_chart,
    cost_chart,
    curve_chart,
    interval_chart,
    layer_chart,
)
from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.picture import Picture
from skiploop.report.render import render
from skiploop.report.report import Report
from skiploop.report.table import Table
from skiploop.report.tables.comparisons import comparison_tables
from skiploop.report.tables.policies import (
    LENGTH_WORDS,
    layers_table,
    lengths_table,
    policies_table,
)
from skiploop.report.tables.provenance import provenance_table
from skiploop.report.tables.search import search_words
from skiploop.report.tables.selector import calibration_table, menu_table
from skiploop.report.tables.timing import timing_table


def page_text(report: Report) -> str:
    """Return `report.html`."""
    return render(
        "report.html",
        report=report,
        conclusions=conclusions(report),
        sections=list(_sections(report)),
        how_to_read=HOW_TO_READ,
        lengths=lengths_table(report.policies),
        length_chart=_length_chart(report.policies),
        layer_charts=[(row.policy, _layer_chart(row)) for row in report.policies],
        timing=report.timing and timing_table(report.timing),
        provenance=report.provenance and provenance_table(report.provenance.items()),
    )


def _sections(report: Report) -> Iterable[tuple[Table, Sequence[Picture | None]]]:
    """Yield what is read first: tables, each with its pictures."""
    if report.policies:
        pictures = [_accuracy_chart(report.policies), _cost_chart(report.policies)]
        yield policies_table(report.policies, report.timing), pictures
        yield layers_table(report.policies), ()
    for table in comparison_tables(report):
        yield table, ()
    if report.calibration:
        points = [(one.expected, one.observed) for one in report.calibration]
        title = "Scores against expected ones"
        yield (
            calibration_table(report.calibration),
            [calibration_chart(points, title, "expected")],
        )
    if report.menu:
        title = "Oracle coverage of other questions against programs on the menu"
        coverage = curve_chart(report.menu.oracle_coverage, title, "programs on the menu")
        yield menu_table(report.menu), [coverage]
    if report.search:
        yield search_words(report.search), ()


def _accuracy_chart(rows: Iterable[PolicyRow]) -> Picture | None:
    lines = [IntervalRow(row.policy, row.accuracy, look=_look(row)) for row in rows]
    return interval_chart(lines, "Top-1 accuracy with 95 % intervals")


def _cost_chart(rows: Sequence[PolicyRow]) -> Picture | None:
    """Return accuracy against executed layers, where there is more than the plain model."""
    points = [CostPoint(row.policy, row.mean_slots, row.accuracy, _look(row)) for row in rows]
    if len(points) < 2:
        return None
    axis = "mean executed layers of a prompt token"
    return cost_chart(points, "Top-1 accuracy against executed layers", axis)


def _length_chart(rows: Iterable[PolicyRow]) -> Picture | None:
    lines = [
        IntervalRow(
            f"{row.policy}: {b.length} (n = {b.n_examples})", b.accuracy, b.reference, _look(row)
        )
        for row in rows
        for b in row.by_length
        if b.n_examples
    ]
    return interval_chart(lines, f"Accuracy by program length: {', '.join(LENGTH_WORDS.values())}")


def _layer_chart(row: PolicyRow) -> Picture | None:
    """Return the layers that a policy changes, None if there is not one."""
    if not any((*row.n_repeated, *row.n_skipped)):
        return None
    title = f"Layers repeated and skipped by {row.policy}"
    return layer_chart(row.n_repeated, row.n_skipped, row.n_examples, title)


def _look(row: PolicyRow) -> Look:
    return "plain" if row.policy == REFERENCE else "chosen"
