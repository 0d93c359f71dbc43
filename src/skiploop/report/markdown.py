"""A report as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from skiploop.evaluation.policy_table import PolicyRow
from skiploop.evaluation.table import Table
from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.report import Report
from skiploop.report.tables import report_tables


def markdown_text(report: Report) -> str:
    """Return `report.md`."""
    parts = [f"# {_escaped(report.title)}"]
    if lines := conclusions(report):
        parts.append("\n".join(f"- {_escaped(line)}" for line in lines))
    parts += [table_text(table) for table in report_tables(report)]
    if report.policies:
        parts.append(_layers_text(report.policies))
    parts.append("## How to read this\n\n" + "\n\n".join(HOW_TO_READ))
    return "\n\n".join(parts) + "\n"


def table_text(table: Table) -> str:
    """Return one table with its title and note."""
    lines = [
        _line(table.header),
        "|" + " --- |" + " ---: |" * (len(table.header) - 1),
        *map(_line, table.rows),
    ]
    parts = [f"## {_escaped(table.title)}", "\n".join(lines), _escaped(table.note)]
    return "\n\n".join(part for part in parts if part)


def _layers_text(rows: Sequence[PolicyRow]) -> str:
    """Return, for every policy, the layers that its top-1 programs change and how often."""
    lines = []
    for row in rows:
        skipped = _counts(row.n_skipped)
        repeated = _counts(row.n_repeated)
        lines.append(f"- {_escaped(row.policy)}: skipped {skipped}; repeated {repeated}")
    return "## Layers changed by the top-1 programs (layer: questions)\n\n" + "\n".join(lines)


def _counts(counts: Sequence[int]) -> str:
    return ", ".join(f"{layer}: {n}" for layer, n in enumerate(counts) if n) or "none"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(map(_escaped, cells)) + " |"


def _escaped(text: str) -> str:
    """Return text on one line, in which Markdown sees no cell border, tag, link or emphasis."""
    for mark in "\\`*_[]|":
        text = text.replace(mark, f"\\{mark}")
    return " ".join(text.replace("&", "&amp;").replace("<", "&lt;").split())
