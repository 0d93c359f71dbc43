"""All tables of a report, by name."""

from __future__ import annotations

from collections.abc import Mapping

from skiploop.report.report import Report
from skiploop.report.table import Table
from skiploop.report.tables.comparisons import (
    categories_table,
    pairs_table,
    risk_table,
    shuffled_answers_table,
)
from skiploop.report.tables.policies import layers_table, lengths_table, policies_table
from skiploop.report.tables.search import search_words
from skiploop.report.tables.selector import calibration_table, menu_table
from skiploop.report.tables.timing import timing_table
from skiploop.report.words import NOTHING


def every_table(report: Report) -> dict[str, Table | None]:
    """Return all tables of a report in reading order, None for one that has nothing to show."""
    policies, facts = report.policies, report.provenance
    return {
        "policies": policies_table(policies, report.timing) if policies else None,
        "layers": layers_table(policies) if policies else None,
        "lengths": lengths_table(policies) if policies else None,
        "shuffled": shuffled_answers_table(report) if report.shuffled_answers else None,
        "pairs": pairs_table(report.pairs) if report.pairs else None,
        "categories": categories_table(report.categories) if report.categories else None,
        "risk": risk_table(report.risk) if report.risk else None,
        "calibration": calibration_table(report.calibration) if report.calibration else None,
        "menu": menu_table(report.menu) if report.menu else None,
        "search": search_words(report.search) if report.search else None,
        "timing": timing_table(report.timing) if report.timing else None,
        "provenance": _provenance_table(facts) if facts else None,
    }


def _provenance_table(facts: Mapping[str, object]) -> Table:
    """Return where the numbers come from."""
    cells = tuple((key, NOTHING if value is None else str(value)) for key, value in facts.items())
    return Table("Provenance", ("fact", "value"), cells)
