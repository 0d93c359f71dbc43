"""A report as one self-contained HTML file: no script, no network, readable on a phone.

The content security policy in its head makes a browser refuse anything but its own style sheet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from skiploop.evaluation.changed_answers import AnswerChange
from skiploop.evaluation.policy_table import PolicyRow
from skiploop.evaluation.table import Table
from skiploop.report.charts import (
    CostPoint,
    IntervalRow,
    calibration_chart,
    cost_chart,
    curve_chart,
    interval_chart,
    layer_chart,
)
from skiploop.report.conclusions import HOW_TO_READ, conclusions
from skiploop.report.report import Report
from skiploop.report.tables import (
    LENGTH_WORDS,
    calibration_table,
    comparison_tables,
    layers_table,
    lengths_table,
    menu_table,
    policies_table,
    provenance_table,
    search_words,
    timing_table,
)

_STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --soft: #e3e7ee; --dim: #5a6575;
  --loop: #b8560b; --skip: #1f6fb5; --dot: #1d2430; }
@media (prefers-color-scheme: dark) { :root { --ink: #e7eaf0; --paper: #14181f; --soft: #2d3440;
  --dim: #9aa5b5; --loop: #f29b4c; --skip: #64b0f2; --dot: #e7eaf0; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 80rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; overflow-wrap: anywhere; }
p, li { max-width: 46rem; }
.note { color: var(--dim); font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .55rem; text-align: right; border-bottom: 1px solid var(--soft);
  vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; padding-left: 0;
  min-width: 6.5rem; }
th { font-weight: 600; max-width: 9rem; }
td:not(:first-child) { white-space: nowrap; }
.facts td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
svg { display: block; width: 100%; font: 12px system-ui, sans-serif; fill: var(--ink); }
.mid { text-anchor: middle; fill: var(--dim); } .end { text-anchor: end; fill: var(--dim); }
.grid { stroke: var(--soft); } .axis { stroke: var(--dim); }
.range { stroke: var(--dot); stroke-width: 2; } .dot { fill: var(--dot); }
.ref { fill: none; stroke: var(--loop); stroke-width: 1.5; }
.loop { fill: var(--loop); } .skip { fill: var(--skip); }
.loop-word { color: var(--loop); } .skip-word { color: var(--skip); }
dl { margin: 0 0 1rem; } dt { color: var(--dim); font-size: .85rem; margin-top: .4rem; }
dd { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere;
  font: 13px/1.45 ui-monospace, monospace; }
"""


def page_text(report: Report) -> str:
    """Return `report.html`."""
    title = escape(report.title)
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    body = "\n".join(part for part in _parts(report) if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n"
        f"<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )


def _parts(report: Report) -> Iterable[str]:
    """Yield the sections in reading order."""
    if lines := conclusions(report):
        yield "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in lines) + "</ul>"
    if report.policies:
        yield _section(policies_table(report.policies, report.timing))
        yield _wide(_accuracy_chart(report.policies))
        yield _wide(_cost_chart(report.policies))
        yield _section(layers_table(report.policies))
    yield from map(_section, comparison_tables(report))
    if report.calibration:
        yield _section(calibration_table(report.calibration))
        points = [(one.expected, one.observed) for one in report.calibration]
        yield _wide(calibration_chart(points, "Scores against expected ones", "expected"))
    if report.menu:
        yield _section(menu_table(report.menu))
        title = "Oracle coverage of other questions against programs on the menu"
        yield _wide(curve_chart(report.menu.oracle_coverage, title, "programs on the menu"))
    if report.search:
        yield _section(search_words(report.search))
    yield "<h2>How to read this</h2>" + "".join(f"<p>{escape(text)}</p>" for text in HOW_TO_READ)
    if report.policies:
        yield _section(lengths_table(report.policies))
        yield _wide(_length_chart(report.policies))
        yield '<p class="note">Dot and line: the policy. Diamond: the identity, same questions.</p>'
        yield _layers(report.policies)
    if report.changed_answers:
        yield "<h2>Answers that changed</h2>" + "".join(map(_changed, report.changed_answers))
    if report.timing:
        yield _section(timing_table(report.timing))
    if report.provenance:
        yield _section(provenance_table(report.provenance.items()), style="facts")


def _section(table: Table, *, style: str = "numbers") -> str:
    note = f'<p class="note">{escape(table.note)}</p>' if table.note else ""
    return f"<h2>{escape(table.title)}</h2>\n{_wide(_table(table, style))}\n{note}"


def _table(table: Table, style: str) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.header)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    head = f"<thead><tr>{head}</tr></thead>"
    return f'<table class="{style}">\n{head}\n<tbody>\n{rows}\n</tbody></table>'


def _wide(inner: str) -> str:
    """Return content that scrolls sideways on its own on a narrow screen."""
    return f'<div class="wide">{inner}</div>'


def _accuracy_chart(rows: Iterable[PolicyRow]) -> str:
    lines = [IntervalRow(row.policy, row.accuracy) for row in rows]
    return interval_chart(lines, "Top-1 accuracy with 95 % intervals")


def _cost_chart(rows: Sequence[PolicyRow]) -> str:
    """Return accuracy against executed layers, where there is more than the plain model."""
    points = [CostPoint(row.policy, row.mean_slots, row.accuracy) for row in rows]
    if len(points) < 2:
        return ""
    axis = "mean executed layers of a prompt token"
    return cost_chart(points, "Top-1 accuracy against executed layers", axis)


def _length_chart(rows: Iterable[PolicyRow]) -> str:
    lines = [
        IntervalRow(f"{row.policy}: {b.length} (n = {b.n_examples})", b.accuracy, b.reference)
        for row in rows
        for b in row.by_length
        if b.n_examples
    ]
    return interval_chart(lines, f"Accuracy by program length: {', '.join(LENGTH_WORDS.values())}")


def _layers(rows: Iterable[PolicyRow]) -> str:
    """Return one chart for every policy that changes a layer."""
    parts = [
        "<h2>Layers changed by the top-1 programs</h2>",
        '<p class="note">Share of questions, by layer. Upwards, <span class="loop-word">run twice '
        'or more</span>; downwards, <span class="skip-word">skipped</span>.</p>',
    ]
    for row in rows:
        parts.append(f"<h3>{escape(row.policy)}</h3>")
        if not any((*row.n_repeated, *row.n_skipped)):
            parts.append('<p class="note">No layer changed.</p>')
            continue
        title = f"Layers repeated and skipped by {row.policy}"
        parts.append(_wide(layer_chart(row.n_repeated, row.n_skipped, row.n_examples, title)))
    return "\n".join(parts)


def _changed(answer: AnswerChange) -> str:
    facts = (
        ("question", answer.question),
        ("gold", answer.gold),
        ("identity", answer.identity_text),
        (f"{answer.policy}, program {answer.program}", answer.policy_text),
    )
    body = "".join(f"<dt>{escape(name)}</dt><dd>{escape(text)}</dd>" for name, text in facts)
    return (
        f"<h3>{escape(answer.policy)}: {answer.change} {escape(answer.example_id)}</h3>"
        f"<dl>{body}</dl>\n"
    )
